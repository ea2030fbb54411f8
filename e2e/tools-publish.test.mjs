//! `tidings publish` against the hub; completions and the man page.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import test from 'node:test';

import { runTidings, startHub, startTidings } from './lib/hub.mjs';
import { startRelay } from './lib/relay.mjs';
import { held, holds, makeFolder } from './lib/tools.mjs';
import { startUpstream } from './lib/upstream.mjs';
import { until } from './lib/wait.mjs';

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
    [['publish', '--hub', hub.origin], 2, /--topic/],
    [['publish', '--loud'], 2, /see 'tidings publish --help'/],
    [['bench', 'churn', '--loud'], 2, /see 'tidings bench churn --help'/],
    [['publish', '--topic', 'a', '--ndjson', '/none/x'], 2, /--ndjson \/none\/x: No such file/],
    [['publish', '--hub', hub.origin, '--topic', '', 'hi'], 1, /the hub refused with 400 Bad Request/],
    [['publish', '--hub', 'nowhere', 'a', 'hi'], 2, /not an absolute http or https URL/],
    [['listen', 'ftp://nowhere'], 2, /not an absolute http or https URL/],
    [['relay', hub.url('/topics/a'), '--to', 'a', '--hub', hub.origin], 2, /come back for ever/],
    [['relay', hub.url('/topics/a')], 2, /--to <TOPIC>/],
  ]) {
    const ended = await runTidings(args);
    assert.equal(ended.code, code, `${args}: ${ended.stderr}`);
    assert.match(ended.stderr, sentence);
    assert.match(ended.stderr, /^tidings: [^\n]+\n$/);
  }
});

test('each line of standard input is an event as it comes, once whatever breaks', async (t) => {
  const hub = await startHub(t);
  const relay = await startRelay(t, hub.port);
  const log = new PassThrough();
  const program = startTidings(t, ['publish', 'log', '--lines', '--hub', relay.origin, '--type', 'line'], { input: log });
  log.write('one\r\n\ntw');
  // Only whole lines are events, and they do not wait for the next.
  await holds(hub, 'log', 2);
  relay.pause();
  log.write('o\n');
  await holds(hub, 'log', 3);
  // The answer is lost, and the request repeated.
  relay.cut();
  relay.resume();
  log.end('last, without an end');
  assert.deepEqual(await program.ended, { code: 0, signal: null });
  const expected = ['one', '', 'two', 'last, without an end'];
  assert.deepEqual((await held(hub, 'log')).map(({ type, data }) => [type, data]), expected.map((data) => ['line', data]));
  assert.equal(program.stdout, '4\n');
  assert.match(program.stderr, /^(tidings: .*retrying in .* s\n)+$/);
});

test('a hub that is away is told of at every attempt, and found when it comes', async (t) => {
  const hub = await startHub(t);
  const relay = await startRelay(t, hub.port);
  relay.refuse();
  const program = startTidings(t, ['publish', 'news', 'hi', '--hub', relay.origin]);
  await until('two attempts', () => program.stderr.split('retrying in').length > 2);
  await relay.accept();
  assert.deepEqual(await program.ended, { code: 0, signal: null });
  assert.match(program.stderr, /^(tidings: no connection to the server: .*; retrying in [0-9.]+ s\n)+$/);
});

test('text of a server is printed on one line, cut, and without control characters', async (t) => {
  const node = await startUpstream(t);
  const detail = `\u001b]0;owned\u0007\n\u009b2J${'x'.repeat(5_000)}`;
  node.answer('/topics/news', (request, response) => {
    response.writeHead(400, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ detail }));
  });
  const refused = await runTidings(['publish', 'news', 'hi', '--hub', node.origin]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^tidings: the hub refused with 400 Bad Request: .*owned.*\n$/);
  assert.ok(refused.stderr.length < 1_100 && !/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(refused.stderr), refused.stderr);
  node.answer('/topics/id', (request, response) => response.writeHead(201).end(`${detail}\n`));
  const published = await runTidings(['publish', 'id', 'hi', '--hub', node.origin]);
  assert.ok(published.stdout.length < 300 && !/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/.test(published.stdout), published.stdout);
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
