//! The servers that are measured, each on core 0, and how an answer is written to them and read from them.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const TIDINGS = process.env.TIDINGS_BIN ?? fileURLToPath(new URL('../../target/release/tidings', import.meta.url));
const peer = (name) => fileURLToPath(new URL(`peers/${name}.mjs`, import.meta.url));

/** Ticks of a process's CPU time in a second, on Linux. */
const TICKS = 100;

/** Begins a token, so that tokens can be counted whatever lies around them. */
const MARK = '~'.charCodeAt(0);

/** A token of an answer, of 100 bytes with what an event stream needs around it. */
const TOKEN = `~{"type":"text-delta","id":"0","delta":"${' tide'.repeat(10)}"}`;

const agent = new http.Agent({ keepAlive: true });

/** Each starts its processes and resolves to a server. */
export const SERVERS = { tidings, 'resumable-stream': resumableStream, 'durable-streams': durableStreams };

/** Starts Tidings in memory. A stream begins and ends with the body that is piped into it. */
async function tidings() {
  const port = await freePort();
  const hub = await start([TIDINGS, 'serve', '--memory', '--listen', `127.0.0.1:${port}`], /127\.0\.0\.1/);
  return server(port, [hub], {
    async produce(id) {
      const path = `/events?topic=${id}&begin&end=close`;
      const body = open(port, 'POST', path, { 'Content-Type': 'text/event-stream' });
      return { write: (count) => body.write(`data: ${TOKEN}\n\n`.repeat(count)), end: () => finished(body) };
    },
    path: (id) => `/topics/${id}?last_event_id=earliest&gap=close`,
  });
}

async function resumableStream() {
  const [port, redisPort] = [await freePort(), await freePort()];
  const store = ['redis-server', '--port', redisPort, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const redis = await start(store, /Ready to accept connections/);
  const node = await start([process.execPath, peer('resumable-stream'), port, redisPort], /listening/);
  return server(port, [node, redis], {
    async produce(id) {
      const body = open(port, 'POST', `/${id}`);
      body.on('response', (response) => response.resume());
      body.flushHeaders();
      await new Promise((resolve) => body.once('response', resolve));
      return { write: (count) => body.write(`data: ${TOKEN}\n\n`.repeat(count)), end: () => finished(body) };
    },
    path: (id) => `/${id}`,
  });
}

/** The protocol has an append for each piece, here in order over one connection. */
async function durableStreams() {
  const port = await freePort();
  const node = await start([process.execPath, peer('durable-streams'), port], /listening/);
  return server(port, [node], {
    async produce(id) {
      await post(port, `/${id}`, '', 'PUT');
      let last = Promise.resolve();
      return {
        write(count) {
          last = last.then(() => post(port, `/${id}`, `${TOKEN}\n`.repeat(count)));
        },
        async end() {
          await last;
          await post(port, `/${id}`, '', 'POST', { 'Stream-Closed': 'true' });
        },
      };
    },
    path: (id) => `/${id}?offset=-1&live=sse`,
  });
}

function server(port, processes, { produce, path }) {
  return {
    port,
    produce,
    path,
    /** Reads a stream, and calls `onTokens` with the number of tokens so far. Resolves at its end. */
    read: (id, onTokens) => read(port, path(id), onTokens),
    /** Seconds of CPU time of all its processes so far. */
    cpu: () => processes.reduce((sum, { pid }) => sum + cpuOf(pid), 0),
    stop: () => processes.forEach((process) => process.kill('SIGKILL')),
  };
}

/** Starts a program on core 0, and waits until it says that it is ready. */
function start(command, ready) {
  const child = spawn('taskset', ['-c', '0', ...command.map(String)], { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let output = '';
    const look = (text) => {
      output += text;
      if (ready.test(output)) resolve(child);
    };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', look);
    child.on('error', reject);
    child.on('exit', () => reject(new Error(`${command[0]} ended: ${output}`)));
  });
}

function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

function open(port, method, path, headers = {}) {
  const request = http.request({ agent, host: '127.0.0.1', port, method, path, headers });
  request.setNoDelay(true);
  return request;
}

function finished(request, body) {
  return new Promise((resolve, reject) => {
    request.on('error', reject);
    const done = (response) => response.resume().on('end', () => resolve(response));
    if (request.res) request.res.on('end', () => resolve(request.res));
    else request.on('response', done);
    request.end(body);
  });
}

async function post(port, path, body = '', method = 'POST', more = {}) {
  const request = open(port, method, path, { 'Content-Type': 'text/plain', ...more });
  const { statusCode } = await finished(request, body);
  if (statusCode >= 300) throw new Error(`${method} ${path} was answered ${statusCode}`);
}

function read(port, path, onTokens) {
  return new Promise((resolve, reject) => {
    const request = http.get({ agent: false, host: '127.0.0.1', port, path, headers: { Accept: '*/*' } });
    request.on('error', reject);
    request.on('response', (response) => {
      let tokens = 0;
      if (response.statusCode !== 200) reject(new Error(`${path} was answered ${response.statusCode}`));
      onTokens(0);
      response.on('data', (chunk) => {
        const before = tokens;
        for (let at = chunk.indexOf(MARK); at >= 0; at = chunk.indexOf(MARK, at + 1)) tokens += 1;
        if (tokens > before) onTokens(tokens);
      });
      response.on('end', () => resolve(tokens));
      response.on('error', reject);
    });
  });
}
