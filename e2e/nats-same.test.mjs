//! Everything that can be read is the same at every hub of a stream, byte for byte: events, their IDs, history,
//! gaps, streams that are freed, and the order of several topics and of patterns.

import assert from 'node:assert/strict';
import test from 'node:test';

import { makeFolder } from './lib/cleanup.mjs';
import { startHubs } from './lib/cluster.mjs';
import { startCurl } from './lib/curl.mjs';
import { startNats } from './lib/nats.mjs';
import { until } from './lib/wait.mjs';

const TOPICS = ['news', 'prices/eur', 'prices/usd', 'häuser/süd', 'jobs/1'];

/** Topics with a stream that is freed: its readers are told the end, or not. */
const STREAMS = { 'chat/1': '', 'chat/2': 'close' };

/** Publishes streams that are freed, and returns the places of events in them. */
async function publishFreed(hubs) {
  const places = [];
  for (const [topic, end] of Object.entries(STREAMS)) {
    await hubs[0].publish(topic, 'the first of a stream', { query: { begin: '', ttl: '1s' } });
    places.push(await hubs[1].publish(topic, 'another one of it'));
    places.push(await hubs[2].publish(topic, 'its last one', { query: { end } }));
  }
  return places;
}

/** Publishes one event in one of the ways that there are, at some hub. */
async function publishOne(hub, n) {
  const topic = TOPICS[n % TOPICS.length];
  const ways = [
    () => hub.publish(topic, `event ${n}`),
    () => hub.publish(topic, `line one of ${n}\nline two\r\nline three`, { query: { type: 'lines' } }),
    () => hub.publish(topic, `given ${n}`, { query: { id: `given-${n}`, retry: 3000 + n } }),
    () => publishJson(hub, { topics: [topic, 'all'], data: { n, deep: ['ü', '𝄞'] } }),
    () => publishJson(hub, [{ topic, data: '' }, { topic: 'all', data: `second of ${n}`, type: 'two' }]),
    () => hub.publish(topic, `once ${n}`, { headers: { 'Idempotency-Key': `key ${n}` } }),
  ];
  await ways[n % ways.length]();
}

async function publishJson(hub, value) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(hub.url('/events'), { method: 'POST', body: JSON.stringify(value), headers });
  assert.equal(answer.status, 201, await answer.text());
}

/** The topics and patterns of which everything is compared, from several places on. */
const FILTERS = [
  ...[...TOPICS, ...Object.keys(STREAMS)].map((topic) => `topic=${encodeURIComponent(topic)}`),
  'topic=all&topic=news',
  'match=prices/*',
  'match=**',
  'topic=news&match=*/s%C3%BCd&match=jobs/**',
];

/** Reads a stream from a place up to the last event: its place in the head, and all bytes of the body. */
async function stream(t, hub, { filter, id }) {
  const reader = startCurl(t, ['-H', `Last-Event-ID: ${id}`, hub.url(`/events?${filter}&topic=end`)]);
  const { status, headers } = await reader.head();
  assert.equal(status, 200);
  while ((await reader.event()).data !== 'the last one');
  await reader.stop();
  const place = headers.get('last-event-id');
  const all = reader.received;
  return `${place}\n${all.slice(all.indexOf('\r\n\r\n'), all.indexOf('data: the last one'))}`;
}

/** Reads the same as JSON, in pages. */
async function pages(hub, { filter, id }) {
  const all = [];
  for (let after = id; ; ) {
    const query = `${filter}&limit=7&after=${encodeURIComponent(after)}`;
    const page = await fetch(hub.url(`/events?${query}`), { headers: { accept: 'application/json' } });
    const body = await page.text();
    all.push(`${page.status} ${body}`);
    if (page.status !== 200) return all;
    const { events, last_event_id: last } = JSON.parse(body);
    if (events.length === 0 || last === after) return all;
    after = last;
  }
}

async function everything(t, hub, ids) {
  const all = {};
  for (const id of ids) {
    await Promise.all(FILTERS.map(async (filter) => {
      all[`stream ${filter} ${id}`] = await stream(t, hub, { filter, id });
      all[`pages ${filter} ${id}`] = await pages(hub, { filter, id });
    }));
  }
  return all;
}

test('all that can be read of a stream is the same at every hub, also at one that joins later, in memory or in a folder', async (t) => {
  const nats = await startNats(t);
  // Few events are kept of each topic, so that there are gaps.
  const args = ['--history-events', '12'];
  const hubs = await startHubs(t, [nats], { args });
  const old = await hubs[0].publish('news', 'an event that is lost');
  await hubs[1].publish('prices/eur', 'another one', { query: { id: 'given-lost' } });
  const freed = await publishFreed(hubs);
  await Promise.all(hubs.map(async (hub, at) => {
    for (let n = at; n < 180; n += hubs.length) await publishOne(hub, n);
  }));
  for (const hub of hubs) {
    for (const topic of Object.keys(STREAMS)) {
      await until('the stream to be freed', async () => (await hub.read(topic)).events.length === 0);
    }
  }
  for (const topic of Object.keys(STREAMS)) await hubs[1].publish(topic, `after the stream of ${topic}`);
  const recent = await hubs[2].publish('news', 'a recent event');
  for (let n = 180; n < 190; n += 1) await publishOne(hubs[n % 3], n);
  await hubs[0].publish('end', 'the last one');
  hubs.push(...(await startHubs(t, [nats], { hubs: 1, args })));
  const folder = await makeFolder(t);
  hubs.push(...(await startHubs(t, [nats], { hubs: 1, args: [...args, '--data', folder] })));
  for (const hub of hubs) {
    await until('the last event', async () => (await hub.read('end')).events.length === 1);
  }
  const other = 'urn:uuid:10000000-0000-8000-8000-000000004000';
  const ids = ['earliest', old, ...freed, recent, 'given-lost', 'given-188', 'nobody-knows', other];
  const expected = await everything(t, hubs[0], ids);
  const texts = Object.values(expected).flat().join('');
  for (const claim of [/event: gap/, /"gap"/, /id: given-188/, /retry: /, /line three/, /𝄞/, /after the stream/]) {
    assert.match(texts, claim);
  }
  assert.doesNotMatch(texts, /of a stream|one of it|its last one/);
  for (const hub of hubs.slice(1)) {
    const found = await everything(t, hub, ids);
    assert.equal(Object.keys(found).length, ids.length * FILTERS.length * 2);
    for (const [request, answer] of Object.entries(found)) assert.deepEqual(answer, expected[request], request);
  }
});
