//! Real input in bulk: a model's tokens and a large file, piped into the hub by curl.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import test from 'node:test';

import { curl, startCurl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';

const TOKEN_STREAM = await readFile(new URL('fixtures/token-stream.txt', import.meta.url));

/** The data of the fixture's events, read by splitting lines only. */
const TOKENS = TOKEN_STREAM.toString()
  .split('\n\n')
  .filter((block) => block !== '')
  .map((block) => block.slice('data: '.length));

/** A program with all its checks reads 100,000 lines in seconds, and in a minute on two busy cores. */
const READ_WITHIN_MS = 300_000;

const EVENT_STREAM = ['-H', 'Content-Type: text/event-stream'];
const NDJSON = ['-H', 'Content-Type: application/x-ndjson'];

for (const [what, args] of [
  ['--data-binary @-', ['--data-binary', '@-']],
  ['-T -', ['-X', 'POST', '-T', '-']],
]) {
  test(`a model's token stream piped in by curl ${what} arrives unchanged`, async (t) => {
    const hub = await startHub(t);
    const reader = startCurl(t, [hub.url('/topics/chat/7')]);
    await reader.head();
    const answer = await curl([...EVENT_STREAM, ...args, hub.url('/events?topic=chat/7')], { input: TOKEN_STREAM });
    assert.equal(answer.status, 201, answer.body);
    const { committed, ids } = JSON.parse(answer.body);
    assert.equal(committed, TOKENS.length);

    const events = [];
    for (let n = 0; n < TOKENS.length; n += 1) events.push(await reader.event());
    assert.deepEqual(events.map(({ data }) => data), TOKENS);
    assert.deepEqual(events.map(({ id }) => id), ids);
    assert.equal(events.at(-1).data, '[DONE]');
    const text = events
      .slice(0, -1)
      .map(({ data }) => JSON.parse(data).choices[0]?.delta.content ?? '')
      .join('');
    assert.match(text, /^A tide table is a promise the moon keeps\./);
    assert.match(text, /潮が満ちました.*👨‍👩‍👧‍👦/s);
  });
}

test('a token is delivered while its stream is still being sent, wherever the stream is cut', async (t) => {
  const hub = await startHub(t);
  const reader = startCurl(t, [hub.url('/topics/chat/7')]);
  await reader.head();
  const model = new PassThrough();
  const url = hub.url('/events?topic=chat/7');
  const answer = curl([...EVENT_STREAM, '-X', 'POST', '-T', '-', url], { input: model });
  let start = 0;
  for (const [n, data] of TOKENS.slice(0, 200).entries()) {
    // All of this event and part of the next: cut within a line, an escape, or a character.
    const end = TOKEN_STREAM.indexOf('\n\n', start) + 2 + (n % 90);
    model.write(TOKEN_STREAM.subarray(n === 0 ? 0 : start + ((n - 1) % 90), end));
    assert.equal((await reader.event()).data, data);
    start = end - (n % 90);
  }
  model.end();
  const { committed } = JSON.parse((await answer).body);
  assert.equal(committed, 200, 'what no blank line has ended is discarded');
});

test('a file of 100,000 lines arrives complete and in order, and repeating it publishes nothing', async (t) => {
  const hub = await startHub(t);
  const topics = ['import/a', 'import/b', 'import/c/d'];
  const data = (n) => (n % 3 ? `line ${n} – ${'x'.repeat(n % 60)}` : JSON.stringify({ n, text: `línea ${n}` }));
  const lines = [];
  for (let n = 0; n < 100_000; n += 1) {
    const event = { topic: topics[n % topics.length], data: n % 3 ? data(n) : JSON.parse(data(n)) };
    lines.push(JSON.stringify(n % 10 ? event : { ...event, type: 'tenth', id: `line-${n}` }));
  }
  const file = `${lines.join('\n')}\n`;
  const live = startCurl(t, [hub.url('/events?match=import/**')]);
  await live.head();

  const request = [...NDJSON, '-H', 'Idempotency-Key: import of today', '--data-binary', '@-', hub.url('/events')];
  const first = await curl(request, { input: file, within: READ_WITHIN_MS });
  assert.equal(first.status, 201, first.body);
  assert.equal(first.headers.get('idempotency-replayed'), null);
  assert.equal(JSON.parse(first.body).committed, 100_000);

  const received = createHash('sha256');
  const expected = createHash('sha256');
  for (let n = 0; n < 100_000; n += 1) {
    const event = await live.event();
    received.update(`${event.type} ${event.data}\n`);
    expected.update(`${n % 10 ? 'message' : 'tenth'} ${data(n)}\n`);
    if (n % 10_000 === 0) assert.deepEqual([event.data, event.id], [data(n), `line-${n}`]);
  }
  assert.equal(received.digest('hex'), expected.digest('hex'));

  const place = async () => (await hub.read('import/a', { limit: 1 })).last_event_id;
  const before = await place();
  const again = await curl(request, { input: file, within: READ_WITHIN_MS });
  assert.equal(again.status, 201);
  assert.equal(again.headers.get('idempotency-replayed'), 'true');
  assert.deepEqual(JSON.parse(again.body), JSON.parse(first.body), 'the same IDs');
  assert.equal(await place(), before);
  const id = await hub.publish('import/a', 'the next event');
  assert.deepEqual(await live.event(), { id, type: 'message', data: 'the next event' });

  // Later readers get the same from the start, as pages or as a stream.
  const late = startCurl(t, ['-H', 'Last-Event-ID: line-99990', hub.url('/events?match=import/**')]);
  for (let n = 99_991; n < 100_000; n += 1) assert.equal((await late.event()).data, data(n));
});

test('a single publish and an array, repeated with their keys, publish nothing and answer the same IDs', async (t) => {
  const hub = await startHub(t);
  const array = JSON.stringify([1, 2, 3].map((data) => ({ topic: 'hello', data })));
  const json = ['-H', 'Content-Type: application/json'];
  for (const [key, args] of [
    ['one', ['-d', 'hi', hub.url('/topics/hello')]],
    ['three', [...json, '-d', array, hub.url('/events')]],
  ]) {
    const request = ['-H', `Idempotency-Key: ${key}`, ...args];
    const first = await curl(request);
    const { last_event_id: place } = await hub.read('hello');
    const again = await curl(request);
    assert.deepEqual([first.status, again.status], [201, 201]);
    assert.equal(again.body, first.body);
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
    assert.equal((await hub.read('hello')).last_event_id, place);
  }
  assert.equal(await hub.metric('tidings_events_published_total'), 4);
});
