//! Measures the costs of a model's answer as a stream beside those of its peers. It writes `record/answers.md`; `--quick`
//! checks that everything runs, and writes nothing.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { SERVERS } from './servers.mjs';

const QUICK = process.argv.includes('--quick');
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
await besidePeers();
if (!QUICK) writeFileSync(new URL('../record/answers.md', import.meta.url), `${record.join('\n').trimEnd()}\n`);
process.exit(0);
