//! NATS that is killed and started again under load, and NATS that has no room.

import assert from 'node:assert/strict';
import test from 'node:test';

import { atEnd } from './lib/cleanup.mjs';
import { Readers, data, keyOf, publishSomehow, replicated, startBalancer, startHubs, text } from './lib/cluster.mjs';
import { startCurl } from './lib/curl.mjs';
import { makeDisk } from './lib/disk.mjs';
import { startNats, startNatsCluster } from './lib/nats.mjs';
import { stays, until } from './lib/wait.mjs';

test('NATS that is restarted under load loses and doubles nothing that was acknowledged', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats]);
  const balancer = await startBalancer(t, hubs);
  const readers = new Readers(balancer.url('/topics/load'), 20);
  atEnd(t, () => readers.stop());
  const published = new Map();
  let isOver = false;
  const publishers = Array.from({ length: 20 }, async (_, publisher) => {
    for (let n = 0; !isOver; n += 1) {
      const event = `${publisher}.${n}`;
      published.set(event, await publishSomehow([balancer], 'load', event));
    }
  });
  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL']) {
    const before = published.size;
    await until('some load', () => published.size > before + 500);
    await nats.stop({ signal });
    await nats.start();
    await until('publishing to go on', () => published.size > before + 1000);
  }
  isOver = true;
  await Promise.all(publishers);
  await until('all readers to have everything', () => readers.faults.length > 0 || readers.allHave(published.size));
  assert.deepEqual(readers.faults, [], 'the same order, and no gap');
  assert.deepEqual(new Set(readers.order), new Set(Array.from(published, ([event, id]) => `${id} ${event}`)));
  assert.equal(readers.order.length, published.size, 'each is there once');
});

/** Half a megabyte, so that few of them are many. */
const LARGE = 'x'.repeat(500_000);

/** Publishes large events until one is refused; returns how many were not, and the one that was. */
async function fill(hub, name = 'event') {
  for (let count = 0; ; count += 1) {
    const event = `${name} ${count} ${LARGE}`;
    const headers = { 'Idempotency-Key': keyOf(event) };
    const answer = await fetch(hub.url('/topics/news'), { method: 'POST', body: event, headers });
    if (answer.status !== 201) return { count, event, answer, problem: await answer.json() };
    await answer.text();
    assert.ok(count < 100, 'there is an end');
  }
}

/**
 * What was held before is read at each hub, live streams stay, and publishing goes on once there is room.
 * Events of which nobody knew what became of them may be there then, too.
 */
async function goesOn({ hubs, reader, count, unsure = [] }, makeRoom) {
  for (const hub of hubs) {
    assert.equal((await fetch(hub.url('/readyz'))).status, 200, 'readers are welcome');
    await until('what is held', async () => (await data(hub, 'news')).length >= count);
    assert.equal((await data(hub, 'news')).length, count, 'and nothing else');
  }
  await makeRoom();
  for (const event of [...unsure, 'after']) await publishSomehow(hubs, 'news', event);
  const all = await until('the last event', async () => {
    const events = await data(hubs[0], 'news');
    return events.includes('after') && events;
  });
  assert.equal(all.length, count + unsure.length + 1, 'nothing that was refused is there');
  for (const event of all) assert.equal((await reader.event())?.data, event, `on the stream that was open before: ${hubs[1].output}`);
  for (const hub of hubs) {
    await until('the events', async () => (await data(hub, 'news')).length === all.length);
    assert.deepEqual(await data(hub, 'news'), all);
  }
}

test('beyond the limit of JetStream publishes are refused as full, and go on when it is raised', async (t) => {
  const nats = await startNats(t, { config: 'jetstream { max_file_store: 8M }\n' });
  // A hub's own limit would drop the oldest events before.
  const config = { name: 'TIDINGS', subjects: ['tidings.TIDINGS'], retention: 'limits', storage: 'file' };
  await nats.ask('STREAM.CREATE.TIDINGS', { ...config, duplicate_window: 120e9 });
  const hubs = await startHubs(t, [nats], { hubs: 2 });
  const reader = startCurl(t, [hubs[1].url('/topics/news')]);
  await reader.head();
  const { count, answer, problem } = await fill(hubs[0]);
  assert.equal(answer.status, 507);
  assert.match(problem.type, /journal-full/);
  assert.ok(answer.headers.has('retry-after'));
  await goesOn({ hubs, reader, count }, async () => {
    await nats.stop();
    nats.config = 'jetstream { max_file_store: 80M }\n';
    await nats.start();
  });
});

test('while NATS cannot write, publishes are refused, and go on once it has room and is restarted', async (t) => {
  const nats = await startNats(t, { fileBytesMax: 5_000_000 });
  const hubs = await startHubs(t, [nats], { hubs: 2 });
  const reader = startCurl(t, [hubs[1].url('/topics/news')]);
  await reader.head();
  // NATS does not answer then, so nobody knows what became of the first one, and the next ones are not sent.
  const { count, event, answer, problem } = await fill(hubs[0]);
  assert.equal(answer.status, 503);
  assert.match(problem.type, /journal-failed/);
  assert.ok(answer.headers.has('retry-after'), 'with its key, it may be repeated');
  const next = await fill(hubs[0], 'next');
  assert.equal(next.count, 0);
  assert.match(next.problem.type, /journal-unreachable/);
  assert.ok(next.answer.headers.has('retry-after'));
  await until('NATS to say so', () => /critical write error/i.test(nats.output));
  await goesOn({ hubs, reader, count, unsure: [event] }, async () => {
    await nats.stop();
    nats.fileBytesMax = undefined;
    await nats.start();
  });
});

test('limits of the stream that somebody edits are a gap at a hub that joins, and for nobody else', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats], { hubs: 2 });
  const ids = [];
  for (let n = 0; n < 20; n += 1) ids.push(await hubs[n % 2].publish('news', `event ${n}`));
  const reader = startCurl(t, [hubs[0].url('/topics/news')]);
  await reader.head();
  const { config } = await nats.ask('STREAM.INFO.TIDINGS');
  const updated = await nats.ask('STREAM.UPDATE.TIDINGS', { ...config, max_msgs: 5 });
  assert.equal(updated.config?.max_msgs, 5);
  const [joined] = await startHubs(t, [nats], { hubs: 1 });
  await hubs[1].publish('news', 'after');
  assert.equal((await reader.event()).data, 'after', 'on the stream that was open before');
  for (const hub of hubs) {
    assert.doesNotMatch(await text(t, hub, 'news', { after: ids[3], last: 'after' }), /event: gap/);
    assert.equal((await data(hub, 'news')).length, 21);
  }
  const gap = await text(t, joined, 'news', { after: ids[3], last: 'after' });
  assert.match(gap, /event: gap/);
  assert.doesNotMatch(await text(t, joined, 'news', { after: ids[17], last: 'after' }), /event: gap/);
  const epochs = new Set((await joined.read('news')).events.map(({ id }) => id.slice(0, 27)));
  assert.deepEqual([...epochs], [ids[0].slice(0, 27)], 'the epoch is the same');
});

/** The room that a server has which cannot write before long: for ten large events. */
const BYTES_LEFT = 5_000_000;

/** Makes a server of the cluster lead the stream. */
async function lead(leader, servers) {
  // While there is no leader, or another server answers for it, there is no answer.
  const ask = (request, body) => servers[1].ask(request, body, { within: 2_000 }).catch(() => ({}));
  await until(`${leader} to lead`, async () => {
    await ask('STREAM.LEADER.STEPDOWN.TIDINGS', { placement: { preferred: leader } });
    return (await ask('STREAM.INFO.TIDINGS')).cluster?.leader === leader;
  }, { every: 500 });
  await replicated(servers);
}

/**
 * The first of three servers cannot write any more. It goes on to answer for the stream, with the state that it has:
 * hubs that believed it told their readers a gap, though the others had everything.
 */
async function checkOneOfThree(t, leader, { fileBytesMax, disk } = {}) {
  const servers = await startNatsCluster(t, { fileBytesMax, disk });
  const hubs = await startHubs(t, servers, { args: ['--nats-replicas', '3', '--history-bytes', '32MiB'] });
  await lead(leader, servers);
  const readers = hubs.map((hub) => new Readers(hub.url('/topics/news'), 1));
  atEnd(t, () => readers.forEach((reader) => reader.stop()));
  await disk?.fill(BYTES_LEFT);
  const published = [];
  const publish = async (event) => {
    published.push(event);
    await publishSomehow([hubs[published.length % 3], hubs[(published.length + 1) % 3]], 'news', event);
  };
  for (let n = 0; n < 14; n += 1) await publish(`${n} ${LARGE}`);
  await until('the server to say so', () => /critical write error/i.test(servers[0].output));
  // Longer than a hub doubts what it is told.
  await stays('a gap', () => readers.find((reader) => reader.faults.length > 0)?.faults, { during: 6_000 });
  await publish('still');
  await readersHave(readers, published);
  if (disk) await disk.makeRoom();
  else servers[0].fileBytesMax = undefined;
  await servers[0].stop();
  await servers[0].start();
  await replicated(servers);
  await publish('after');
  await readersHave(readers, published);
  const ids = new Set();
  for (const hub of hubs) {
    await until('the last one', async () => (await data(hub, 'news')).includes('after'));
    const { events } = await hub.read('news');
    assert.deepEqual(events.map((event) => event.data), published);
    events.forEach(({ id }) => ids.add(id.slice(0, 27)));
  }
  assert.equal(ids.size, 1, 'one epoch, at every hub');
}

/** Each reader has all of the events, in this order, and was told no gap. */
async function readersHave(readers, published) {
  const isOver = () => readers.every((reader) => reader.faults.length > 0 || reader.allHave(published.length));
  await until('everything to be read', isOver, { within: 180_000 });
  for (const reader of readers) {
    assert.deepEqual(reader.faults, []);
    assert.deepEqual(reader.order.map((event) => event.slice(event.indexOf(' ') + 1)), published);
  }
}

for (const [leader, which] of [['a', 'leads'], ['b', 'follows']]) {
  test(`one server of three that cannot write is no gap for anybody, if it ${which}`, (t) => {
    return checkOneOfThree(t, leader, { fileBytesMax: BYTES_LEFT });
  });

  test(`one server of three whose disk is full is no gap for anybody, if it ${which}`, async (t) => {
    // NATS takes no stream that is larger than three quarters of a disk.
    const disk = await makeDisk(t, 200_000_000);
    return checkOneOfThree(t, leader, disk ? { disk } : { fileBytesMax: BYTES_LEFT });
  });
}
