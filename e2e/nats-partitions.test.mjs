//! A hub and its NATS with a network between them that is cut, in both directions or in one, or slow; and a
//! hub that stands still. `TIDINGS_NATS_HALT=60` halts it for a minute.

import assert from 'node:assert/strict';
import test from 'node:test';

import { data, keyOf, publishSomehow, replicated, startHubs, startNode } from './lib/cluster.mjs';
import { startCurl } from './lib/curl.mjs';
import { startNats, startNatsApart } from './lib/nats.mjs';
import { TO_CLIENT, TO_SERVER, startPartition } from './lib/partition.mjs';
import { stays, until } from './lib/wait.mjs';

const HALT_MS = Number(process.env.TIDINGS_NATS_HALT ?? 3) * 1000;

/** One hub behind a network that can be cut, and two that are not, with a reader at the first one. */
async function startApart(t) {
  const nats = await startNats(t);
  const network = await startPartition(t, nats.port);
  const apart = await startNode(t, network.url);
  const others = await startHubs(t, [nats], { hubs: 2 });
  const reader = startCurl(t, [apart.url('/topics/news')]);
  await reader.head();
  await others[0].publish('news', 'before');
  assert.equal((await reader.event()).data, 'before');
  return { network, apart, others, reader };
}

/** Publishes some events at hubs that are not cut off. */
async function publishMany(hubs, count) {
  const all = Array.from({ length: count }, (_, n) => `event ${n}`);
  for (const [at, event] of all.entries()) await hubs[at % hubs.length].publish('news', event);
  return all;
}

/** A publish of which nobody knows whether it is committed: it may be repeated with its key. */
async function isUnsure(hub, event) {
  const answer = await fetch(hub.url('/topics/news'), {
    method: 'POST',
    body: event,
    headers: { 'Idempotency-Key': keyOf(event) },
  });
  assert.equal(answer.status, 503);
  assert.match((await answer.json()).type, /journal-failed/);
}

/** All hubs, and the reader of the first one, come to the same events in the same order, each once. */
async function agree({ apart, others, reader }, expected) {
  const last = 'the last one';
  await publishSomehow([apart], 'news', last);
  const hubs = [apart, ...others];
  for (const hub of hubs) await until('the last event', async () => (await data(hub, 'news')).includes(last));
  const all = await data(apart, 'news');
  for (const hub of others) assert.deepEqual(await data(hub, 'news'), all);
  assert.deepEqual(all.toSorted(), ['before', ...expected, last].toSorted(), 'each is there once');
  for (const event of all.slice(1)) assert.equal((await reader.event()).data, event, 'on the stream that was open before');
}

test('a hub that is cut off from NATS keeps its readers, and has everything once it is back', async (t) => {
  const cluster = await startApart(t);
  const { network, apart, others } = cluster;
  network.hold(TO_SERVER, TO_CLIENT);
  // At once: a hub that knows already that it is cut off does not send it.
  const [published] = await Promise.all([publishMany(others, 20), isUnsure(apart, 'unsure')]);
  assert.equal((await fetch(apart.url('/readyz'))).status, 200, 'readers are welcome');
  assert.deepEqual(await data(apart, 'news'), ['before']);
  await until('the log', () => /cannot be followed now/.test(apart.output));
  network.heal();
  // It may have been on its way all the time; its repetition is recognized, at another hub too.
  await publishSomehow(others, 'news', 'unsure');
  await agree(cluster, [...published, 'unsure']);
});

test('a hub that NATS does not hear goes on reading, and refuses to publish', async (t) => {
  const cluster = await startApart(t);
  const { network, apart, others, reader } = cluster;
  network.hold(TO_SERVER);
  const unsure = isUnsure(apart, 'unsure');
  await others[0].publish('news', 'from there');
  assert.equal((await reader.event()).data, 'from there');
  await unsure;
  network.heal();
  await publishSomehow(others, 'news', 'unsure');
  const all = ['before', 'from there', 'unsure'];
  await until('another hub', async () => (await data(others[0], 'news')).length === all.length);
  assert.deepEqual(await data(others[0], 'news'), all);
  assert.equal((await reader.event()).data, 'unsure');
  await until('the hub', async () => (await data(apart, 'news')).length === all.length);
  assert.deepEqual(await data(apart, 'news'), all);
});

test('what a hub published without hearing the answer is there once, also if it is repeated elsewhere', async (t) => {
  const cluster = await startApart(t);
  const { network, apart, others } = cluster;
  network.hold(TO_CLIENT);
  await isUnsure(apart, 'unsure');
  await until('another hub', async () => (await data(others[0], 'news')).length === 2);
  assert.deepEqual(await data(others[0], 'news'), ['before', 'unsure'], 'NATS has it');
  const ids = await Promise.all(others.map((hub) => publishSomehow([hub], 'news', 'unsure')));
  assert.equal(ids[0], ids[1]);
  network.heal();
  assert.equal(await publishSomehow([apart], 'news', 'unsure'), ids[0], 'its own hub says the same afterwards');
  await agree(cluster, ['unsure']);
});

test('over a slow network events come later, and neither twice nor in another order', async (t) => {
  const cluster = await startApart(t);
  cluster.network.slow(50);
  const here = Array.from({ length: 10 }, (_, n) => `here ${n}`);
  const [there] = await Promise.all([
    publishMany(cluster.others, 100),
    Promise.all(here.map((event) => publishSomehow([cluster.apart], 'news', event))),
  ]);
  await agree(cluster, [...here, ...there]);
});

test('a network that breaks again and again loses and doubles nothing', async (t) => {
  const cluster = await startApart(t);
  const events = Array.from({ length: 40 }, (_, n) => `event ${n}`);
  for (const [at, event] of events.entries()) {
    const published = publishSomehow([cluster.apart, cluster.others[0]], 'news', event);
    if (at % 4 === 0) cluster.network.cut();
    await published;
  }
  await agree(cluster, events);
});

test('on the smaller side of a partition of NATS readers stay and nothing is published, and then all agree', async (t) => {
  const { servers, cut, heal } = await startNatsApart(t);
  const args = ['--nats-replicas', '3'];
  const others = await startHubs(t, servers.slice(0, 2), { hubs: 2, args });
  const apart = await startNode(t, servers[2].url, { args });
  await replicated(servers);
  const reader = startCurl(t, [apart.url('/topics/news')]);
  await reader.head();
  await others[0].publish('news', 'before');
  assert.equal((await reader.event()).data, 'before');
  cut();
  const published = Array.from({ length: 20 }, (_, n) => `event ${n}`);
  for (const event of published) await publishSomehow(others, 'news', event);
  const headers = { 'Idempotency-Key': keyOf('unsure') };
  const refused = await fetch(apart.url('/topics/news'), { method: 'POST', body: 'unsure', headers });
  assert.equal(refused.status, 503);
  assert.deepEqual(await data(apart, 'news'), ['before'], 'what is held is read');
  assert.doesNotMatch(reader.received, /event 0/);
  heal();
  await publishSomehow(others, 'news', 'unsure');
  await agree({ apart, others, reader }, [...published, 'unsure']);
});

test('a hub that stood still has everything once it goes on, and its readers are told no gap', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats]);
  const reader = startCurl(t, [hubs[0].url('/topics/news')]);
  await reader.head();
  await hubs[1].publish('news', 'before');
  assert.equal((await reader.event()).data, 'before');
  await hubs[0].halt();
  // More messages than a hub may be behind.
  const events = Array.from({ length: 6_000 }, (_, n) => `event ${n}`);
  for (let from = 0; from < events.length; from += 5) {
    const lines = events.slice(from, from + 5).map((event) => JSON.stringify({ topic: 'news', data: event }));
    const answer = await fetch(hubs[1].url('/events'), {
      method: 'POST',
      body: lines.join('\n'),
      headers: { 'content-type': 'application/x-ndjson' },
    });
    assert.equal(answer.status, 201, await answer.text());
  }
  await stays('an event', () => reader.received.includes('event 0'), { during: HALT_MS });
  hubs[0].signal('SIGCONT');
  for (const event of events) assert.equal((await reader.event()).data, event);
  await until('the hub to be ready', async () => (await fetch(hubs[0].url('/readyz'))).ok);
});
