//! NATS that is killed and started again under load, and NATS that has no room.

import assert from 'node:assert/strict';
import test from 'node:test';

import { atEnd } from './lib/cleanup.mjs';
import { Readers, data, keyOf, publishSomehow, startBalancer, startHubs, text } from './lib/cluster.mjs';
import { startCurl } from './lib/curl.mjs';
import { startNats, startNatsCluster } from './lib/nats.mjs';
import { until } from './lib/wait.mjs';

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

for (const [leader, which] of [['a', 'leads'], ['b', 'follows']]) {
  test(`one server of three that cannot write holds publishers up for seconds, and hides no loss, if it ${which}`, async (t) => {
    const servers = await startNatsCluster(t, { fileBytesMax: 5_000_000 });
    const hubs = await startHubs(t, servers, { args: ['--nats-replicas', '3'] });
    await until('the leader', async () => {
      const ask = (request, body) => servers[1].ask(request, body, { within: 2_000 }).catch(() => ({}));
      await ask('STREAM.LEADER.STEPDOWN.TIDINGS', { placement: { preferred: leader } });
      return (await ask('STREAM.INFO.TIDINGS')).cluster?.leader === leader;
    }, { every: 500 });
    const readers = hubs.map((hub) => new Readers(hub.url('/topics/news'), 1));
    atEnd(t, () => readers.forEach((reader) => reader.stop()));
    const published = Array.from({ length: 14 }, (_, n) => `${n} ${LARGE}`);
    for (const [at, event] of published.entries()) await publishSomehow([hubs[at % 3], hubs[(at + 1) % 3]], 'news', event);
    await until('the server to say so', () => /critical write error/i.test(servers[0].output));
    // While the one that cannot write is elected and voted out again, newer messages may be lost with it, the last one
    // among them, and a hub that has read them opens the stream anew.
    let tries = 0;
    const all = await until('the hubs to agree', async () => {
      const last = `last ${(tries += 1)}`;
      await publishSomehow(hubs, 'news', last);
      const [one, ...others] = await Promise.all(hubs.map((hub) => data(hub, 'news').catch(() => [])));
      return one.includes(last) && others.every((other) => String(other) === String(one)) && one;
    }, { within: 180_000, every: 500 });
    assert.equal(new Set(all).size, all.length, 'each is there once');
    // A server that has lost the newest messages may be made the leader again. Then readers are told.
    const lost = published.filter((event) => !all.includes(event));
    for (const reader of readers) {
      const isTold = () => reader.faults.some((fault) => fault.includes('is told a gap'));
      if (lost.length > 0) await until('the gap to be told', isTold);
      else await until('everything', () => isTold() || reader.allHave(all.length));
    }
  });
}
