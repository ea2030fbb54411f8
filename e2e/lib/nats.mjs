//! NATS servers with JetStream, from the package pinned in `e2e/requirements.txt`.

import { cp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

import { atEnd, makeFolder } from './cleanup.mjs';
import { TO_CLIENT, TO_SERVER, startPartition } from './partition.mjs';
import { Program } from './program.mjs';
import { freePort } from './proxy.mjs';
import { soon } from './wait.mjs';

/** The server. */
export const NATS = fileURLToPath(new URL('../.venv/bin/nats-server', import.meta.url));

/**
 * Starts one server. It is stopped, and its folder removed, when the test `t` is over.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 * @param {{ config?: string, fileBytesMax?: number }} options `config` is the text of a file of configuration;
 *   a file that would be larger than `fileBytesMax` cannot be written, as on a full disk
 */
export async function startNats(t, { config, fileBytesMax } = {}) {
  const server = new Nats(await makeFolder(t), { port: await freePort(), config, fileBytesMax });
  atEnd(t, () => server.stop());
  await server.start();
  return server;
}

/**
 * Starts three servers that form a cluster, so that a stream can have three replicas. The first one cannot
 * write files that would be larger than `fileBytesMax`, or is on a `disk` of its own.
 */
export async function startNatsCluster(t, { fileBytesMax, disk } = {}) {
  const names = ['a', 'b', 'c'];
  const routes = [];
  for (const _ of names) routes.push(await freePort());
  const servers = [];
  for (const [at, name] of names.entries()) {
    const others = routes.map((port) => `nats://127.0.0.1:${port}`).join(',');
    const cluster = ['--cluster_name', 'e2e', '--cluster', `nats://127.0.0.1:${routes[at]}`, '--routes', others];
    const limit = at === 0 ? fileBytesMax : undefined;
    const folder = at === 0 && disk ? disk.folder : await makeFolder(t);
    servers.push(new Nats(folder, { port: await freePort(), name, cluster, fileBytesMax: limit }));
  }
  atEnd(t, () => Promise.all(servers.map((server) => server.stop())));
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

/**
 * Starts three servers likewise, of which the third one speaks to the others over a network that can be cut.
 * Clients are not told of other servers than their own.
 */
export async function startNatsApart(t) {
  const names = ['a', 'b', 'c'];
  const ports = [];
  const networks = [];
  for (const _ of names) {
    ports.push(await freePort());
    networks.push(await startPartition(t, ports.at(-1)));
  }
  const direct = ports.map((port) => `nats://127.0.0.1:${port}`);
  const routes = [direct[1], direct[0], `${networks[0].url},${networks[1].url}`];
  const servers = [];
  for (const [at, name] of names.entries()) {
    const cluster = ['--cluster_name', 'e2e', '--cluster', direct[at], '--routes', routes[at], '--no_advertise'];
    // Servers tell each other of third ones, by this address.
    cluster.push('--cluster_advertise', `127.0.0.1:${networks[at].port}`);
    servers.push(new Nats(await makeFolder(t), { port: await freePort(), name, cluster }));
  }
  atEnd(t, () => Promise.all(servers.map((server) => server.stop())));
  await Promise.all(servers.map((server) => server.start()));
  const cut = () => networks.forEach((network) => {
    network.hold(TO_SERVER, TO_CLIENT);
    network.cut();
  });
  return { servers, cut, heal: () => networks.forEach((network) => network.heal()) };
}

/** A server that can be ended and started again, on the same port and in the same folder. */
class Nats {
  /** The text of a file of configuration, if there is one. */
  config;

  /** The size of a file beyond which writing fails, if there is one. It holds from the next start on. */
  fileBytesMax;

  #folder;
  #args;
  #process;

  constructor(folder, { port, name, config, fileBytesMax, cluster = [] }) {
    this.fileBytesMax = fileBytesMax;
    this.#folder = folder;
    this.config = config;
    this.port = port;
    this.url = `nats://127.0.0.1:${port}`;
    const named = name ? ['--name', name] : [];
    this.#args = ['-js', '-a', '127.0.0.1', '-p', `${port}`, '-sd', `${folder}/data`, ...named, ...cluster];
  }

  /** Starts it, with the configuration that `config` has now. */
  async start() {
    const file = `${this.#folder}/nats.conf`;
    const configured = this.config ? ['-c', file] : [];
    if (this.config) await writeFile(file, this.config);
    const args = [...configured, ...this.#args];
    this.#process = this.fileBytesMax
      ? new Program('prlimit', [`--fsize=${this.fileBytesMax}:`, '--', NATS, ...args])
      : new Program(NATS, args);
    await this.#process.printed(/Server is ready/);
  }

  /** The output since it was started. */
  get output() {
    return this.#process.output;
  }

  signal(signal) {
    this.#process.signal(signal);
  }

  /** Halts it until it is sent SIGCONT. */
  halt() {
    return this.#process.halt();
  }

  async stop({ signal = 'SIGTERM' } = {}) {
    await this.#process?.stop({ signal });
  }

  /** Copies its folder, or puts the copy back. The server must not be running. */
  async keepCopy() {
    await cp(`${this.#folder}/data`, `${this.#folder}/copy`, { recursive: true });
  }

  async putBack() {
    await rm(`${this.#folder}/data`, { recursive: true });
    await cp(`${this.#folder}/copy`, `${this.#folder}/data`, { recursive: true });
  }

  /** Sends a request of JetStream's API, and returns its answer. While there is no leader, there may be none. */
  async ask(request, body = {}, { within } = {}) {
    const socket = net.connect(this.port, '127.0.0.1');
    const text = JSON.stringify(body);
    socket.write(
      `CONNECT {"verbose":false,"lang":"e2e","version":"0","headers":true,"no_responders":true}\r\n` +
        `SUB answer 1\r\nPUB $JS.API.${request} answer ${Buffer.byteLength(text)}\r\n${text}\r\n`,
    );
    let found = '';
    try {
      return await soon(`an answer to ${request}`, new Promise((resolve, reject) => {
        socket.on('error', reject);
        socket.on('data', (part) => {
          found += part;
          const answer = found.match(/MSG answer 1 \d+\r\n(.*)\r\n/);
          if (answer) resolve(JSON.parse(answer[1]));
        });
      }), { within });
    } finally {
      socket.destroy();
    }
  }

  /** Publishes bytes to a subject, as any client of NATS may, and waits until the server has them. */
  async publish(subject, bytes) {
    const socket = net.connect(this.port, '127.0.0.1');
    socket.write(`CONNECT {"verbose":false,"lang":"e2e","version":"0"}\r\nPUB ${subject} ${bytes.length}\r\n`);
    socket.write(bytes);
    socket.write('\r\nPING\r\n');
    try {
      await soon('the server to have a message', new Promise((resolve, reject) => {
        socket.on('error', reject);
        socket.on('data', (part) => /PONG/.test(part) && resolve());
      }));
    } finally {
      socket.destroy();
    }
  }

  /** A message of a stream, as bytes. */
  async message(stream, seq) {
    const { message } = await this.ask(`STREAM.MSG.GET.${stream}`, { seq });
    return Buffer.from(message.data, 'base64');
  }
}
