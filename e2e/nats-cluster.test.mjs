//! Hubs of one stream as one hub: streams within topics, lists of all, kicks, and restarts one by one. About 25 s.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { atEnd, makeFolder } from './lib/cleanup.mjs';
import { data, Readers, startBalancer, startHubs, startNode } from './lib/cluster.mjs';
import { curl, startCurl } from './lib/curl.mjs';
import { startTidings } from './lib/hub.mjs';
import { startNats } from './lib/nats.mjs';
import { token } from './lib/token.mjs';
import { until } from './lib/wait.mjs';

/** Starts hubs with the names a, b and so on. */
async function startNamed(t, nats, { names = ['a', 'b', 'c'], args = [] } = {}) {
  return Promise.all(names.map((name) => startNode(t, nats.url, { args: ['--node', name, ...args] })));
}

async function json(hub, path, query = {}, options = {}) {
  const answer = await fetch(hub.url(path, query), options);
  assert.equal(answer.status, 200, path);
  return answer.json();
}

/** Waits until a hub knows so many others. */
function known(hub, count, options) {
  return until(`${count} hubs`, async () => {
    const { nodes } = await json(hub, '/nodes', {}, options);
    return nodes.length === count && nodes.every(({ state }) => state === 'ready') && nodes;
  });
}

/** A list of all hubs to which all but the `silent` ones have answered in time, which a busy machine may not be. */
function answered(hub, path, { silent = [], ...query } = {}) {
  return until(`all hubs but ${silent} to answer`, async () => {
    const list = await json(hub, path, { scope: 'cluster', ...query });
    return String(list.silent) === String(silent) && list;
  });
}

const post = (hub, path, query, options = {}) => fetch(hub.url(path, query), { method: 'POST', ...options });

test('a begin, an end and a producer count at every hub, in one order', async (t) => {
  const [one, two] = await startHubs(t, [await startNats(t)], { hubs: 2 });
  const reader = startCurl(t, [two.url('/topics/answer')]);
  await reader.head();
  const headers = (epoch, seq) => ({ 'Producer-Id': 'model', 'Producer-Epoch': `${epoch}`, 'Producer-Seq': `${seq}` });
  const begun = await post(one, '/topics/answer', { begin: '' }, { body: 'first', headers: headers(1, 0) });
  assert.equal(begun.status, 201, await begun.text());
  // At once, at the other hub: whatever that has read, the order has it.
  const next = await post(two, '/topics/answer', {}, { body: 'second', headers: headers(1, 1) });
  assert.equal(next.status, 201, await next.text());
  assert.equal((await post(one, '/topics/answer', {}, { body: 'second', headers: headers(1, 1) })).status, 204);
  assert.equal((await post(one, '/topics/answer', {}, { body: 'stranger' })).status, 409);
  const taken = await post(two, '/topics/answer', {}, { body: 'third', headers: headers(2, 0) });
  assert.equal(taken.status, 201, await taken.text());
  assert.equal((await post(one, '/topics/answer', {}, { body: 'late', headers: headers(1, 2) })).status, 403);
  assert.equal((await post(one, '/topics/answer', { end: '' }, { headers: headers(2, 1) })).status, 201);
  assert.equal((await post(two, '/topics/answer', {}, { body: 'after', headers: headers(2, 2) })).status, 409);
  const end = '{"reason":"done","events":3}';
  for (const text of ['first', 'second', 'third', end]) assert.equal((await reader.event()).data, text);
  assert.deepEqual((await data(one, 'answer')).slice(0, 3), await data(two, 'answer').then((all) => all.slice(0, 3)));
  // Two that begin at once: one stream is the last, and all hubs have the same.
  const both = [one, two].map((hub, at) => post(hub, '/topics/race', { begin: '' }, { body: `by ${at}` }));
  for (const answer of await Promise.all(both)) assert.equal(answer.status, 201);
  await until('the hubs to have the same', async () => {
    const [of_one, of_two] = await Promise.all([one, two].map((hub) => json(hub, '/streams', { topic: 'race' })));
    return of_one.streams[0].stream_id === of_two.streams[0].stream_id;
  });
});

test('a stop reaches a body that is piped in at another hub, as fast as an event does', async (t) => {
  const [one, two] = await startHubs(t, [await startNats(t)], { hubs: 2 });
  const [times, events] = [[], []];
  for (let n = 0; n < 11; n += 1) {
    const topic = `job-${n}`;
    const body = new TransformStream();
    const writer = body.writable.getWriter();
    const piped = fetch(one.url('/events', { topic, begin: '', end: '' }), {
      method: 'POST',
      headers: { 'Content-Type': 'text/event-stream' },
      body: body.readable,
      duplex: 'half',
    });
    await writer.write(new TextEncoder().encode('data: one\n\n'));
    await until('the event', async () => (await data(two, topic)).includes('one'));
    // What the machine takes just then for an event to be read at the other hub.
    const reader = startCurl(t, [two.url('/topics/pace')]);
    await reader.head();
    const published = performance.now();
    await one.publish('pace', topic);
    await reader.event();
    events.push(performance.now() - published);
    await reader.stop();
    const asked = fetch(two.url('/streams/stop', { topic, wait: '10s' }));
    const began = performance.now();
    assert.equal((await post(two, '/streams/stop', { topic })).status, 202);
    const answer = await piped;
    times.push(performance.now() - began);
    assert.equal(answer.status, 409, await answer.text());
    assert.equal((await asked).status, 200);
    await writer.abort().catch(() => {});
  }
  const [median, pace] = [times, events].map((all) => all.sort((one, other) => one - other)[5]);
  assert.ok(median < 100 + 3 * pace, `${median} ms, and ${pace} ms for an event`);
});

test('the grace of a producer is counted by the hubs that are left when its own is killed', async (t) => {
  const nats = await startNats(t);
  const [one, two, three] = await startHubs(t, [nats]);
  assert.equal((await post(one, '/topics/job', { begin: '', grace: '1s' }, { body: 'started' })).status, 201);
  // Another one, of a hub that stays, is left alone.
  assert.equal((await post(two, '/topics/other', { begin: '', grace: '1s' }, { body: 'started' })).status, 201);
  const reader = startCurl(t, [three.url('/topics/job')]);
  await reader.head();
  process.kill(one.pid, 'SIGKILL');
  assert.equal((await reader.event()).data, '{"reason":"aborted","events":1}');
  for (const hub of [two, three]) {
    const ends = (await data(hub, 'job')).filter((text) => text.includes('aborted'));
    assert.ok(ends.length <= 1, `${ends}`);
  }
  assert.equal((await post(three, '/topics/other', {}, { body: 'goes on' })).status, 201);
});

test('hubs know each other, and a list of all names those that are silent', async (t) => {
  const nats = await startNats(t);
  const hubs = await startNamed(t, nats);
  const [a, b, c] = hubs;
  const nodes = await known(a, 3);
  assert.deepEqual(nodes.map(({ name }) => name), ['a', 'b', 'c']);
  assert.equal(nodes[0].self, true);
  assert.deepEqual(nodes.map(({ addresses }) => addresses), hubs.map((hub) => [`127.0.0.1:${hub.port}`]));
  for (const node of nodes) assert.match(node.version, /^\d+\.\d+\.\d+/);
  await known(b, 3);
  for (const hub of hubs) {
    const reader = startCurl(t, [hub.url('/topics/news')]);
    await reader.head();
  }
  await a.publish('news', 'one');
  await a.publish('weather', 'two');
  const all = await answered(b, '/subscribers', { topic: 'news' });
  assert.equal(all.total, 3);
  assert.deepEqual(all.subscribers.map(({ node }) => node).sort(), ['a', 'b', 'c']);
  const topics = await answered(c, '/topics');
  assert.deepEqual(topics.topics.map(({ topic }) => topic), ['news', 'weather']);
  // Without a scope, it is the hub's own.
  const own = await fetch(b.url('/subscribers'));
  assert.equal(own.headers.get('tidings-node'), 'b');
  assert.equal((await own.json()).total, 1);
  assert.equal((await fetch(a.url('/subscribers', { scope: 'galaxy' }))).status, 400);
  assert.match(await (await fetch(c.url('/metrics'))).text(), /tidings_node_info\{node="c"\} 1/);

  const metrics = (expected) => until('the metrics of all', async () => {
    const answer = await fetch(b.url('/metrics', { scope: 'cluster' }));
    assert.equal(answer.status, 200);
    const text = await answer.text();
    return expected.every((line) => text.includes(`\n${line}\n`)) && text;
  });
  const lines = ['a', 'b', 'c'].flatMap((node) => [`tidings_node_up{node="${node}"} 1`, `tidings_subscribers{node="${node}"} 1`]);
  const { stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: await metrics(lines), encoding: 'utf8' });
  // The lag is told in milliseconds, as people read it.
  const lag = 'tidings_stream_lag_milliseconds use base unit "seconds" instead of "milliseconds"\n';
  assert.deepEqual({ stdout, stderr }, { stdout: '', stderr: lag });

  await c.halt();
  await metrics(['tidings_node_up{node="c"} 0']);
  const some = await answered(a, '/subscribers', { silent: ['c'] });
  assert.equal(some.total, 2);
  await until('the hub to be told as silent', async () => {
    const { nodes } = await json(a, '/nodes');
    return nodes.find(({ name }) => name === 'c').state === 'silent';
  });
  process.kill(c.pid, 'SIGCONT');
  await known(a, 3);
});

test('a hub without others is a list of one', async (t) => {
  const hub = startTidings(t, ['serve', '--memory', '--listen', '127.0.0.1:0', '--node', 'alone']);
  const [, port] = await hub.printed(/127\.0\.0\.1:(\d+)/);
  const at = (path) => `http://127.0.0.1:${port}${path}`;
  const { nodes } = await (await fetch(at('/nodes'))).json();
  assert.deepEqual(nodes.map(({ name, self, state }) => [name, self, state]), [['alone', true, 'ready']]);
  const all = await (await fetch(at('/subscribers?scope=cluster'))).json();
  assert.deepEqual(all, { total: 0, subscribers: [], more: [], silent: [] });
});

test('a kick counts at every hub, and at one that was halted meanwhile', async (t) => {
  const folder = await makeFolder(t);
  const key = 'a secret of this test, long enough for HS256';
  const file = path.join(folder, 'tidings.toml');
  await writeFile(file, `[auth]\nkeys = [{ algorithm = "HS256", secret = "${key}" }]\n`);
  const hubs = await startNamed(t, await startNats(t), { names: ['one', 'two'], args: ['--config', file] });
  const [one, two] = hubs;
  const bearer = (claims) => ['-H', `Authorization: Bearer ${token(key, claims)}`];
  const read = async (hub, topic, sub) => {
    const reader = startCurl(t, [...bearer({ sub, tidings: { subscribe: [topic] } }), hub.url('/events', { topic })]);
    assert.equal((await reader.head()).status, 200);
    return reader;
  };
  const kick = async (hub, query, manage) => {
    const claims = { sub: 'manager', tidings: { manage } };
    const answer = await curl(['-X', 'DELETE', ...bearer(claims), hub.url('/subscribers', query)]);
    assert.equal(answer.status, 204, answer.body);
  };
  // By topic, by subject, and by a manager of some topics.
  const by_topic = await read(two, 'a/1', 'ann');
  const kept = await read(two, 'b/1', 'ann');
  await kick(one, { topic: 'a/1' }, ['**']);
  await by_topic.ended;
  const limited = await read(two, 'a/2', 'ann');
  // What the manager may manage takes several kilobytes.
  const others = Array.from({ length: 60 }, (_, n) => `other/topics/of/the/manager/${n}/**`);
  await kick(one, { subject: 'ann' }, [...others, 'a/**']);
  await limited.ended;
  const publisher = token(key, { sub: 'publisher', tidings: { publish: ['**'] } });
  await one.publish('b/1', 'still there', { headers: { Authorization: `Bearer ${publisher}` } });
  assert.equal((await kept.event()).data, 'still there');
  await kick(one, { subject: 'ann' }, ['**']);
  await kept.ended;
  const late = await curl([...bearer({ sub: 'ann', iat: 1, tidings: { subscribe: ['b/1'] } }), two.url('/events', { topic: 'b/1' })]);
  assert.equal(late.status, 401);
  // A hub that is away learns it when it is back.
  const halted = await read(two, 'c/1', 'bob');
  await two.halt();
  await kick(one, { subject: 'bob' }, ['c/**']);
  process.kill(two.pid, 'SIGCONT');
  await halted.ended;
});

test('hubs are restarted one by one, and their readers are told no gap', async (t) => {
  const nats = await startNats(t);
  const hubs = await startNamed(t, nats);
  const balancer = await startBalancer(t, hubs);
  const readers = new Readers(balancer.url('/topics/news'), 60);
  atEnd(t, () => readers.stop());
  let published = 0;
  const publish = async (count) => {
    for (let n = 0; n < count; n += 1) {
      await until(`event ${published} to be published`, async () => {
        const headers = { 'Idempotency-Key': `${published}` };
        return balancer.publish('news', `event ${published}`, { headers }).catch(() => undefined);
      });
      published += 1;
    }
  };
  await publish(10);
  for (const [at, name] of ['a', 'b', 'c'].entries()) {
    const old = hubs[at];
    const ended = old.stop();
    await publish(20);
    await ended;
    hubs[at] = await startNode(t, nats.url, { args: ['--node', name], port: old.port });
    await publish(10);
  }
  await until('all events at all readers', () => readers.allHave(published));
  assert.deepEqual(readers.faults, []);
  assert.equal(readers.order.length, published);
});
