//! curl as a client: the README's commands, resuming, and gaps.

import assert from 'node:assert/strict';
import test from 'node:test';

import { curl, startCurl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { until } from './lib/wait.mjs';

const STREAM = ['-H', 'Accept: text/event-stream'];

test('one terminal listens and another publishes: the event appears with its ID', async (t) => {
  const hub = await startHub(t);
  const examples = /^ *curl -N (\S+)\n *curl -d hi (\S+)$/m;
  const [, listen, publish] = await until('the examples', () => hub.output.match(examples));
  const reader = startCurl(t, [...STREAM, listen]);
  const { status, headers } = await reader.head();
  assert.equal(status, 200);
  assert.equal(headers.get('content-type'), 'text/event-stream');
  assert.equal(headers.get('cache-control'), 'no-cache, no-transform');
  assert.equal(headers.get('x-accel-buffering'), 'no');
  assert.equal(headers.get('last-event-id'), 'earliest');

  const answer = await curl(['-d', 'hi', publish]);
  assert.equal(answer.status, 201);
  const event = await reader.event();
  assert.deepEqual(event, { id: answer.body, type: 'message', data: 'hi' });
});

test('the ID in Last-Event-ID resumes after it, as a header and under its names in the query', async (t) => {
  const hub = await startHub(t);
  const ids = [];
  for (const data of ['one', 'two', 'three']) ids.push(await hub.publish('hello', data));
  const next = async (reader, count) => {
    const data = [];
    while (data.length < count) data.push((await reader.event()).data);
    return data;
  };
  const header = ['-H', `Last-Event-ID: ${ids[0]}`];
  const inQuery = ['last_event_id', 'lastEventId', 'lastEventID'];
  const places = [
    [...header, hub.url('/topics/hello')],
    ...inQuery.map((name) => [hub.url('/topics/hello', { [name]: ids[0] })]),
    // A reconnecting browser sends a stale query with a current header.
    [...header, hub.url('/topics/hello', { last_event_id: ids[2] })],
    [...header, hub.url('/events', { topic: 'hello', match: 'hello/**' })],
  ];
  for (const place of places) {
    const reader = startCurl(t, [...STREAM, ...place]);
    assert.equal((await reader.head()).headers.get('last-event-id'), ids[0]);
    assert.deepEqual(await next(reader, 2), ['two', 'three'], place.join(' '));
  }
  const everything = startCurl(t, [...STREAM, '-H', 'Last-Event-ID: earliest', hub.url('/topics/hello')]);
  assert.equal((await everything.head()).headers.get('last-event-id'), 'earliest');
  assert.deepEqual(await next(everything, 3), ['one', 'two', 'three']);
});

test('an ID of another epoch gives a gap first, then everything held', async (t) => {
  const first = await startHub(t);
  const id = await first.publish('hello', 'lost with its hub');
  await first.stop();
  const hub = await startHub(t);
  const held = await hub.publish('hello', 'held');

  const reader = startCurl(t, [...STREAM, '-H', `Last-Event-ID: ${id}`, hub.url('/topics/hello')]);
  await reader.head();
  const gap = await reader.event();
  assert.equal(gap.type, 'gap');
  assert.deepEqual(JSON.parse(gap.data), { asked: id, oldest: held });
  assert.equal((await reader.event()).data, 'held');

  // The gap's own ID is a place: after a drop right behind it the same gap is not reported again.
  const resumed = startCurl(t, [...STREAM, '-H', `Last-Event-ID: ${gap.id}`, hub.url('/topics/hello')]);
  assert.deepEqual(await resumed.event(), { id: held, type: 'message', data: 'held' });
});

test('an evicted place gives a gap on its own topic, and none on a quiet one', async (t) => {
  const hub = await startHub(t, { args: ['--history-events', '2'] });
  const place = await hub.publish('busy', '0');
  const quiet = await hub.publish('quiet', 'only');
  const ids = [];
  for (let n = 1; n <= 5; n += 1) ids.push(await hub.publish('busy', `${n}`));

  const late = startCurl(t, [...STREAM, '-H', `Last-Event-ID: ${place}`, hub.url('/topics/busy')]);
  assert.equal((await late.head()).headers.get('last-event-id'), 'earliest', 'nothing before it is held');
  const gap = await late.event();
  assert.deepEqual([gap.type, JSON.parse(gap.data)], ['gap', { asked: place, oldest: ids[3] }]);
  assert.deepEqual([(await late.event()).data, (await late.event()).data], ['4', '5']);

  // A reader of another topic lost nothing at the same evicted place.
  const before = startCurl(t, [...STREAM, '-H', `Last-Event-ID: ${place}`, hub.url('/topics/quiet')]);
  assert.deepEqual(await before.event(), { id: quiet, type: 'message', data: 'only' });
  const after = startCurl(t, [...STREAM, '-H', `Last-Event-ID: ${quiet}`, hub.url('/topics/quiet')]);
  await after.head();
  const next = await hub.publish('quiet', 'next');
  for (const reader of [before, after]) {
    assert.deepEqual(await reader.event(), { id: next, type: 'message', data: 'next' });
  }
});

test('an invalid place gives a gap, then everything held', async (t) => {
  const hub = await startHub(t);
  const id = await hub.publish('hello', 'held');
  const future = id.replace(/.{4}$/, 'ffff');
  for (const asked of ['no such ID', future, 'urn:uuid:00000000-0000-0000-0000-000000000000', '…', 'x'.repeat(5000)]) {
    const reader = startCurl(t, [...STREAM, '-H', `Last-Event-ID: ${asked}`, hub.url('/topics/hello')]);
    const gap = await reader.event();
    assert.equal(gap.type, 'gap', asked);
    assert.equal(JSON.parse(gap.data).asked, asked.slice(0, 256));
    assert.equal((await reader.event()).data, 'held');
  }
});

test('events of several topics and patterns arrive in one stream, in order', async (t) => {
  const hub = await startHub(t);
  const reader = startCurl(t, [
    ...STREAM,
    hub.url('/events?topic=news&match=orders/*/shipped&match=sensors/**&topic=odd%20//%20topic%3F'),
  ]);
  await reader.head();
  const publishing = [
    ['news', 'a'],
    ['orders/7/shipped', 'b'],
    ['orders/7/open', '-'],
    ['orders/7/8/shipped', '-'],
    ['sensors/roof/wind', 'c'],
    ['sensors', '-'],
    ['news/local', '-'],
  ];
  for (const [topic, data] of publishing) await hub.publish(topic, data);
  const odd = JSON.stringify({ topic: 'odd // topic?', data: 'd' });
  await curl(['-H', 'Content-Type: application/json', '-d', odd, hub.url('/events')]);
  await hub.publish('news', 'end');
  const seen = [];
  for (let data; (data = (await reader.event()).data) !== 'end'; ) seen.push(data);
  assert.deepEqual(seen, ['a', 'b', 'c', 'd']);
});

test('any text arrives unchanged as type, ID and data', async (t) => {
  const hub = await startHub(t);
  const reader = startCurl(t, [...STREAM, hub.url('/topics/hello')]);
  await reader.head();
  for (const data of ['', ' leading', 'two\nlines', 'trailing\n', '\n', 'data: x', ':', 'é…😀\u2028\u0085', 'a'.repeat(100_000)]) {
    await hub.publish('hello', data, { query: { type: 'größe', id: '№ 1' } });
    assert.deepEqual(await reader.event(), { id: '№ 1', type: 'größe', data });
  }
  // The format has no line end other than LF.
  await hub.publish('hello', 'a\rb\r\nc');
  assert.equal((await reader.event()).data, 'a\nb\nc');
  const headers = ['-H', 'Event-Type: tick', '-H', 'Event-Id: by header'];
  assert.equal((await curl([...headers, '-d', 'x', hub.url('/topics/hello')])).body, 'by header');
  assert.deepEqual(await reader.event(), { id: 'by header', type: 'tick', data: 'x' });
});

test('cleartext HTTP/2 carries a stream and resumes it', async (t) => {
  const hub = await startHub(t);
  const id = await hub.publish('hello', 'one');
  const reader = startCurl(t, ['--http2-prior-knowledge', ...STREAM, '-H', `Last-Event-ID: ${id}`, hub.url('/topics/hello')]);
  const { version } = await reader.head();
  assert.equal(version, 'HTTP/2');
  const answer = await curl(['--http2-prior-knowledge', '-d', 'two', hub.url('/topics/hello')]);
  assert.equal(answer.status, 201);
  assert.deepEqual(await reader.event(), { id: answer.body, type: 'message', data: 'two' });
});

test('polling and long polling read the same events as JSON', async (t) => {
  const hub = await startHub(t);
  const json = ['-H', 'Accept: application/json'];
  const id = await hub.publish('hello', 'one', { query: { type: 'tick' } });
  const first = JSON.parse((await curl([...json, hub.url('/topics/hello')])).body);
  assert.equal(first.last_event_id, id);
  const [event] = first.events;
  assert.deepEqual({ ...event, time: 0 }, { id, type: 'tick', topic: 'hello', data: 'one', time: 0 });

  const waiting = curl([...json, hub.url('/topics/hello', { after: id, wait: '30s' })]);
  // A waiting request counts as a subscriber.
  await until('the wait to begin', async () => (await hub.metric('tidings_subscribers')) === 1);
  await hub.publish('hello', 'two');
  const page = JSON.parse((await waiting).body);
  assert.deepEqual(page.events.map(({ data }) => data), ['two']);
});
