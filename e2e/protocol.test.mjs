//! Every example in docs/protocol.md, run in order against one hub: the output on the page is the
//! program's own.
//!
//! The examples are fenced blocks of `console`: lines that start with `$ ` are commands for a shell,
//! and what follows is what they print. Only values that differ from run to run are normalized: the
//! epoch of IDs, dates, ports, and reconnection times with a random part. Sequences must agree.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { atEnd } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { Program } from './lib/program.mjs';
import { makeFolder } from './lib/tools.mjs';
import { soon, until } from './lib/wait.mjs';

const PAGE = readFileSync(fileURLToPath(new URL('../docs/protocol.md', import.meta.url)), 'utf8');

/** The hub's address on the page. */
const ADDRESS = '127.0.0.1:4000';

/** An ID the hub made: everything up to the sequence, which is captured. */
const ID = /urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-([0-9a-f]{12})/g;

/** Streams that keep a hub draining for three seconds: it ends them spread over 1 ms each. */
const STREAMS_TO_DRAIN = 3000;

/** The page's fenced blocks: `{ language, line, text }`. */
function blocks(page) {
  const found = [];
  let block;
  page.split('\n').forEach((line, at) => {
    if (!line.startsWith('```')) block?.lines.push(line);
    else if (block) block = undefined;
    else found.push((block = { language: line.slice(3), line: at + 1, lines: [] }));
  });
  return found;
}

/** A block's commands, each with the output shown below it: `{ command, output, line }`. */
function examples({ lines, line }) {
  const found = [];
  lines.forEach((text, at) => {
    const last = found.at(-1);
    if (text.startsWith('$ ')) found.push({ command: text.slice(2), output: [], line: line + at + 1 });
    // A command goes on behind a line that ends with a backslash or a pipe.
    else if (last.output.length === 0 && /[\\|]$/.test(last.command)) last.command += `\n${text}`;
    else last.output.push(text);
  });
  return found;
}

/** Output as lines, with what differs between runs replaced. */
function normalized(text) {
  const lines = text
    .replaceAll('\r', '')
    .trimEnd()
    .replaceAll(ID, 'urn:uuid:EPOCH-$1')
    .replace(/^date: .*$/gm, 'date: DATE')
    .replace(/^tidings-epoch: [0-9a-f]{15}$/gm, 'tidings-epoch: EPOCH')
    .replaceAll(/"time":\d{13}/g, '"time":0')
    .replaceAll(/"since":"\d{4}-[\d:T.-]+Z"/g, '"since":"DATE"')
    .replaceAll(/"address":"127\.0\.0\.1:\d+"/g, '"address":"ADDRESS"')
    .split('\n');
  const start = lines.findIndex((line) => line.startsWith('{'));
  if (start < 0) return lines;
  // The page wraps JSON; its members and their order must agree.
  return [...lines.slice(0, start), JSON.stringify(JSON.parse(lines.slice(start).join('')))];
}

/** Runs `command` until it ends, or, if it reads a stream, until it has printed `count` lines. */
async function run(t, command, count, cwd) {
  // A stream's curl takes the shell's place, so that it is the one that is stopped.
  const program = new Program('sh', ['-c', isStream(command) ? `exec ${command}` : command], { cwd });
  atEnd(t, () => program.signal('SIGKILL'));
  if (!isStream(command)) {
    await soon(`the end of ${command}`, program.ended);
    return program.stdout;
  }
  const enough = () => program.stdout.split('\n').length > count;
  // A stream that says less than the page shows is compared as it is.
  await until(`${count} lines of ${command}`, enough).catch(() => {});
  await program.stop();
  return program.stdout.split('\n').slice(0, count).join('\n');
}

const isStream = (command) => /\bcurl -i?N\b/.test(command);

test('every fenced block of the page is an example that is run', () => {
  const languages = new Set(blocks(PAGE).map(({ language }) => language));
  assert.deepEqual([...languages].sort(), ['console', 'console draining']);
});

test('every example is what the program prints', async (t) => {
  const hub = await startHub(t, { args: ['--data', path.join(await makeFolder(t), 'data')] });
  const cwd = await makeFolder(t);
  // Where the page spells an ID, the command is given this history's.
  let epoch = 'urn:uuid:none-';
  const adapted = (text) =>
    text
      .replaceAll(ADDRESS, `127.0.0.1:${hub.port}`)
      .replaceAll(ID, (_, sequence) => epoch + sequence);

  for (const { command, output, line } of blocks(PAGE).filter(({ language }) => language === 'console').flatMap(examples)) {
    if (command.endsWith(' &')) {
      // A reader in the background: the page goes on once it is connected.
      const reader = new Program('sh', ['-c', `exec ${adapted(command.slice(0, -2))}`], { cwd });
      atEnd(t, () => reader.stop());
      await until('the stream to open', async () => (await hub.metric('tidings_streams')) === 1);
      continue;
    }
    const expected = output.join('\n').trimEnd();
    const printed = await run(t, adapted(command), expected.split('\n').length, cwd);
    epoch = printed.match(ID)?.[0].slice(0, -12) ?? epoch;
    await t.test(`docs/protocol.md:${line}: ${command.split('\n')[0]}`, () => {
      assert.deepEqual(normalized(printed), normalized(expected));
    });
    if (isStream(command)) await until('the stream to end', async () => (await hub.metric('tidings_streams')) === 0);
  }
});

test('a browser that comes while the hub drains is answered as the page says', async (t) => {
  const [{ command, output }] = blocks(PAGE).filter(({ language }) => language === 'console draining').flatMap(examples);
  let printed = '';
  // On a busy machine a hub may have ended before curl has started, but not each time.
  for (let tries = 0; tries < 5 && printed === ''; tries += 1) printed = await whileDraining(t, command);
  const retry = Number(printed.match(/^retry: (\d+)$/m)[1]);
  assert.ok(retry >= 2000 && retry <= 7000, `${retry}`);
  const unjittered = (text) => normalized(text.replace(/^retry: \d+$/m, 'retry: JITTERED'));
  assert.deepEqual(unjittered(printed), unjittered(output.join('\n')));
});

/** Runs a command while a hub drains, and returns what it prints. */
async function whileDraining(t, command) {
  const hub = await startHub(t);
  for (let n = 0; n < STREAMS_TO_DRAIN; n += 1) {
    const socket = net.connect(hub.port, '127.0.0.1');
    atEnd(t, () => socket.destroy());
    socket.on('error', () => {});
    socket.write(`GET /topics/hello HTTP/1.1\r\nHost: ${hub.host}\r\n\r\n`);
  }
  await until('all streams', async () => (await hub.metric('tidings_streams')) === STREAMS_TO_DRAIN);
  const ended = hub.stop();
  await until('the hub to drain', () => fetch(hub.url('/readyz')).then(({ status }) => status === 503, () => true));
  const printed = await run(t, command.replace(ADDRESS, `127.0.0.1:${hub.port}`));
  await ended;
  return printed;
}
