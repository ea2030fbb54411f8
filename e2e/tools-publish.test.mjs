//! `tidings publish` against the hub; completions and the man page.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { runTidings, startHub, startTidings } from './lib/hub.mjs';
import { startRelay } from './lib/relay.mjs';
import { held, holds, makeFolder } from './lib/tools.mjs';

const parts = ({ id, type, data }) => ({ id, type, data });

test('an argument or standard input is the data, and the answer is the ID', async (t) => {
  const hub = await startHub(t);
  const publish = (args, input) => runTidings(['publish', '--hub', hub.origin, '--topic', 'news', ...args], { input });
  const plain = await publish(['hi']);
  const whole = await publish(['2:1', '--type', 'score', '--id', '7-3', '--retry', '5s']);
  const piped = await publish(['--type', 'text'], 'a\nb\n\n');
  for (const { code, stderr } of [plain, whole, piped]) assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual((await held(hub, 'news')).map(parts), [
    { id: plain.stdout.trim(), type: 'message', data: 'hi' },
    { id: '7-3', type: 'score', data: '2:1' },
    { id: piped.stdout.trim(), type: 'text', data: 'a\nb\n' },
  ]);
});

test('one key publishes once, across runs and lost answers', async (t) => {
  const hub = await startHub(t);
  const relay = await startRelay(t, hub.port);
  const args = ['publish', '--hub', relay.origin, '--topic', 'news', '--idempotency-key', 'paid-4711', 'hi'];
  relay.pause();
  const first = startTidings(t, args);
  await holds(hub, 'news', 1);
  relay.cut();
  relay.resume();
  assert.deepEqual(await first.ended, { code: 0, signal: null });
  const second = await runTidings(args);
  assert.equal(second.stdout, first.stdout);
  assert.equal((await held(hub, 'news')).length, 1);
});

test('NDJSON is published in order up to a mistake, which is reported with its line', async (t) => {
  const hub = await startHub(t);
  const lines = Array.from({ length: 1500 }, (_, n) => `{"topic": "numbers", "data": ${n}}\n`).join('');
  const args = ['publish', '--hub', hub.origin, '--ndjson', '-'];
  const whole = await runTidings(args, { input: lines });
  assert.deepEqual([whole.code, whole.stdout, whole.stderr], [0, '1500\n', '']);
  const broken = await runTidings(args, { input: '{"topic": "b", "data": "x"}\n\n{"topic": "b", "dta": 1}\n{"topic": "b", "data": "y"}\n' });
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /^tidings: line 3 of the input: unknown field `dta`.*; the event before it was published\n$/);
  assert.deepEqual((await held(hub, 'b')).map(({ data }) => data), ['x']);
  const numbers = (await (await fetch(hub.url('/topics'))).json()).topics.find(({ topic }) => topic === 'numbers');
  assert.equal(numbers.events, 1500);
});

test('a file of an event stream keeps types and IDs', async (t) => {
  const hub = await startHub(t);
  const file = path.join(await makeFolder(t), 'tokens.sse');
  await writeFile(file, '\uFEFF: model\r\nevent: token\r\nid: t-1\r\ndata: Good\r\ndata: news\r\n\r\ndata: unfinished');
  const ended = await runTidings(['publish', '--hub', hub.origin, '--topic', 'chat/42', '--event-stream', file]);
  assert.deepEqual([ended.code, ended.stdout], [0, '1\n']);
  assert.deepEqual((await held(hub, 'chat/42')).map(parts), [{ id: 't-1', type: 'token', data: 'Good\nnews' }]);
});

test('every refusal gives one sentence and a status', async (t) => {
  const hub = await startHub(t);
  for (const [args, code, sentence] of [
    [['publish', 'hi'], 2, /--topic/],
    [['publish', '--topic', 'a', '--ndjson', '/none/x'], 2, /--ndjson \/none\/x: No such file/],
    [['publish', '--hub', hub.origin, '--topic', '', 'hi'], 1, /the hub refused with 400 Bad Request/],
    [['publish', '--hub', 'localhost:1', '--topic', 'a', 'hi'], 2, /not an absolute http or https URL/],
    [['listen', 'nowhere'], 2, /not an absolute http or https URL/],
    [['relay', hub.url('/topics/a')], 2, /--to <TOPIC>/],
  ]) {
    const ended = await runTidings(args);
    assert.equal(ended.code, code, `${args}: ${ended.stderr}`);
    assert.match(ended.stderr, sentence);
    assert.match(ended.stderr, /^tidings: [^\n]+\n$/);
  }
});

test('completions and the man page list every command', async () => {
  for (const shell of ['bash', 'zsh', 'fish', 'elvish', 'powershell']) {
    const { code, stdout } = await runTidings(['completions', shell]);
    assert.equal(code, 0);
    for (const name of ['listen', 'publish', 'relay', 'last-event-id']) assert.ok(stdout.includes(name), `${shell}: ${name}`);
  }
  const page = await runTidings(['man']);
  assert.match(page.stdout, /^\.TH tidings 1/m);
  const relay = await runTidings(['man', 'relay']);
  assert.match(relay.stdout, /The upstream sends no IDs: events sent while the connection is down are lost/);
});
