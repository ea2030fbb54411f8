//! Measures answers of a model: a long one that is replayed beside live readers, and the costs of a stream beside those of
//! its peers. It writes `record/answers.md`; `--quick` checks that everything runs, and writes nothing.

import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { SERVERS, TOKEN, post, tidings } from './servers.mjs';

const QUICK = process.argv.includes('--quick');
/** Tokens of the long answer, of 100 bytes each. */
const ANSWER_TOKENS = QUICK ? 2_000 : 20_000;
const REPLAYING = QUICK ? 50 : 1_000;
const LIVE = QUICK ? 20 : 100;
/** Events each second to the live readers, for so many seconds at least. */
const [LIVE_RATE, LIVE_SECONDS] = [50, QUICK ? 1 : 10];
/** Streams one after the other whose first token is timed. */
const FIRSTS = QUICK ? 20 : 300;
/** Streams at once, their tokens, and the time between two tokens of one. */
const [STREAMS, TOKENS, EVERY_MS] = QUICK ? [5, 50, 5] : [50, 1_000, 5];

/** The lines of the record. */
const record = [];
function say(text) {
  console.log(text);
  record.push(text);
}

const sorted = (numbers) => numbers.toSorted((a, b) => a - b);
const quantile = (numbers, q) => sorted(numbers)[Math.floor((numbers.length - 1) * q)];
const ms = (number) => `${number.toFixed(2)} ms`;

/** Publishes to the live readers until `over` resolves, and returns the latency of each delivery. */
async function live(port, readers, over) {
  const [latencies, sent] = [readers.latencies, readers.sent];
  latencies.length = 0;
  let isOver = false;
  over.then(() => (isOver = true));
  for (let next = performance.now(); !isOver; next += 1000 / LIVE_RATE) {
    await sleep(Math.max(0, next - performance.now()));
    sent.push(performance.now());
    post(port, '/topics/live', TOKEN).catch((error) => { throw error; });
  }
  while (readers.tokens.some((tokens) => tokens < sent.length)) await sleep(10);
  return [...latencies];
}

function liveReaders(server) {
  const readers = { latencies: [], sent: [], tokens: new Array(LIVE).fill(0) };
  const opened = readers.tokens.map(
    (_, n) =>
      new Promise((resolve, reject) => {
        const onTokens = (tokens) => {
          if (tokens === 0) resolve();
          const now = performance.now();
          for (let at = readers.tokens[n]; at < tokens; at += 1) readers.latencies.push(now - readers.sent[at]);
          readers.tokens[n] = tokens;
        };
        server.read('live', onTokens).catch(reject);
      }),
  );
  return Promise.all(opened).then(() => readers);
}

/** Reads the answer with all readers at once, in a process that yields to this one. */
async function replay(port, path) {
  const file = fileURLToPath(new URL('replay.mjs', import.meta.url));
  const command = ['--idle', '0', process.execPath, file, port, path, REPLAYING];
  const child = spawn('chrt', command.map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(`the replay ended with ${code}`);
  return JSON.parse(output);
}

async function replayBesideLive() {
  const server = await tidings();
  try {
    const answer = await server.produce('answer');
    answer.write(ANSWER_TOKENS);
    await answer.end();
    const readers = await liveReaders(server);
    const alone = await live(server.port, readers, sleep(LIVE_SECONDS * 1000));
    let waves = 0;
    const began = performance.now();
    const replays = (async () => {
      for (; performance.now() - began < LIVE_SECONDS * 1000; waves += 1) {
        const { fewest, most } = await replay(server.port, server.path('answer'));
        if (fewest !== most || fewest < ANSWER_TOKENS * TOKEN.length) throw new Error(`${fewest} to ${most} bytes`);
      }
    })();
    const beside = await live(server.port, readers, replays);
    await replays;
    const seconds = (performance.now() - began) / 1000;
    say(`## ${ANSWER_TOKENS} tokens replayed to ${REPLAYING} readers beside ${LIVE} live ones\n`);
    say('| live readers | p50 | p99 | deliveries |\n| --- | --- | --- | --- |');
    for (const [name, all] of [['alone', alone], ['beside', beside]]) {
      say(`| ${name} | ${ms(quantile(all, 0.5))} | ${ms(quantile(all, 0.99))} | ${all.length} |`);
    }
    const ratio = quantile(beside, 0.99) / quantile(alone, 0.99);
    say(`\np99 beside is ${ratio.toFixed(2)} × that alone (target: 1.5). ${waves} waves took ${seconds.toFixed(1)} s.\n`);
  } finally {
    server.stop();
  }
}

/** Times the first token of one stream after the other: of a waiting reader, and of one that comes in mid-answer. */
async function firstTokens(server, name) {
  const [waiting, late] = [[], []];
  for (let n = 0; n < FIRSTS; n += 1) {
    const id = `${name}-first-${n}`;
    const answer = await server.produce(id);
    // A token before, because some servers open a response with the first one only.
    answer.write(1);
    let written;
    let seen = 0;
    const reader = withResolvers();
    const second = withResolvers();
    const whole = server.read(id, (tokens) => {
      if (tokens >= 1 && seen < 1) reader.resolve();
      if (tokens >= 2 && seen < 2) {
        waiting.push(performance.now() - written);
        second.resolve();
      }
      seen = tokens;
    });
    await reader.promise;
    written = performance.now();
    answer.write(1);
    await second.promise;
    answer.write(500);
    const asked = performance.now();
    let first;
    const lateWhole = server.read(id, (tokens) => {
      if (tokens > 0) first ??= performance.now() - asked;
    });
    while (first === undefined) await sleep(0);
    late.push(first);
    await answer.end();
    for (const tokens of await Promise.all([whole, lateWhole])) {
      if (tokens !== 502) throw new Error(`${name}: ${tokens} tokens of 502`);
    }
  }
  return { waiting, late };
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

/** The CPU time of a token, of many streams at once with a reader each. */
async function cpuPerToken(server, name) {
  const one = async (n) => {
    const id = `${name}-cpu-${n}`;
    const answer = await server.produce(id);
    answer.write(1);
    const opened = withResolvers();
    const whole = server.read(id, (tokens) => tokens > 0 && opened.resolve());
    await opened.promise;
    for (let token = 1; token < TOKENS; token += 1) {
      await sleep(EVERY_MS);
      answer.write(1);
    }
    await answer.end();
    if ((await whole) !== TOKENS) throw new Error(`${name}: ${await whole} tokens of ${TOKENS}`);
  };
  const before = server.cpu();
  await Promise.all(Array.from({ length: STREAMS }, (_, n) => one(n)));
  return ((server.cpu() - before) / (STREAMS * TOKENS)) * 1e6;
}

async function besidePeers() {
  say('## A stream with one reader beside its peers\n');
  say('| server | a token to a waiting reader, p50 | p99 | first token to a late reader, p50 | p99 | CPU time of a token |');
  say('| --- | --- | --- | --- | --- | --- |');
  for (const [name, start] of Object.entries(SERVERS)) {
    const server = await start();
    try {
      const { waiting, late } = await firstTokens(server, name);
      const cpu = await cpuPerToken(server, name);
      const times = [waiting, late].flatMap((all) => [quantile(all, 0.5), quantile(all, 0.99)].map(ms));
      say(`| ${[name, ...times, `${cpu.toFixed(1)} µs`].join(' | ')} |`);
    } finally {
      server.stop();
    }
  }
}

/** The head of the record: the command, the machine, and the versions of all that is measured. */
function head() {
  const run = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' }).trim();
  const here = (path) => fileURLToPath(new URL(path, import.meta.url));
  const version = (name) => JSON.parse(readFileSync(here(`node_modules/${name}/package.json`), 'utf8')).version;
  const [{ model }] = os.cpus();
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`;
  const machine = `${os.cpus().length} cores of ${model}, ${memory}, Linux ${os.release()}`;
  const packages = ['resumable-stream', 'redis', '@durable-streams/server'].map((name) => `${name} ${version(name)}`);
  return [
    '# Answers of a model: Tidings beside its peers\n',
    '```\ncargo build --release && cd bench/answers && npm ci && node measure.mjs\n```\n',
    `${new Date().toISOString().slice(0, 10)}. ${machine}; load average ${os.loadavg()[0].toFixed(2)} when it began.`,
    `Node ${process.version}. Tidings at ${run('git', '-C', here('.'), 'rev-parse', '--short', 'HEAD')}.`,
    `${run('redis-server', '--version')}; ${packages.join(', ')}.\n`,
    'Servers run on core 0 and readers on core 1, all of them in memory. A token has 100 bytes.\n',
  ];
}

record.push(...head());
execFileSync('taskset', ['-cp', '1', String(process.pid)]);
await replayBesideLive();
await besidePeers();
if (!QUICK) writeFileSync(new URL('../record/answers.md', import.meta.url), `${record.join('\n').trimEnd()}\n`);
process.exit(0);
