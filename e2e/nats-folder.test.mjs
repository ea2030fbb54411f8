//! Hubs of one stream of NATS that have a copy of it in a folder: real servers, about 40 s.

import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';

import { makeFolder } from './lib/cleanup.mjs';
import { data, publishSomehow, startHubs, startNode, text } from './lib/cluster.mjs';
import { startCurl } from './lib/curl.mjs';
import { runTidings, startHub } from './lib/hub.mjs';
import { startNats } from './lib/nats.mjs';
import { freePort } from './lib/proxy.mjs';
import { until } from './lib/wait.mjs';

/** A folder that does not exist yet, below one that is removed when the test `t` is over. */
async function folder(t) {
  const parent = await makeFolder(t);
  return path.join(parent, 'data');
}

/** Leaves the newest message of the stream alone in it. */
async function keepNewest(nats) {
  assert.equal((await nats.ask('STREAM.PURGE.TIDINGS', { keep: 1 })).success, true);
}

/** Starts a hub that NATS does not answer, and returns it when it listens. */
async function startAlone(t, nats, dir) {
  return startHub(t, { args: ['--nats', nats.url, '--data', dir], listen: `127.0.0.1:${await freePort()}` });
}

test('a hub that comes back reads from NATS what is new, and all else from its folder', async (t) => {
  const nats = await startNats(t);
  const args = ['--data', await folder(t)];
  const [kept] = await startHubs(t, [nats], { hubs: 1 });
  let hub = await startNode(t, nats.url, { args });
  const { port } = hub;
  for (let n = 0; n < 20; n += 1) await kept.publish('news', `event ${n}`, n % 5 ? {} : { query: { id: `given-${n}` } });
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await hub.publish('news', `before ${signal}`);
    await until('it', async () => (await data(kept, 'news')).includes(`before ${signal}`));
    await hub.stop({ signal });
    await keepNewest(nats);
    await kept.publish('news', `while it is away by ${signal}`);
    hub = await startNode(t, nats.url, { args, port });
  }
  await hub.publish('news', 'the last one');
  const expected = await text(t, kept, 'news', { last: 'the last one' });
  assert.equal(expected.match(/data: /g).length, 25);
  assert.equal(await text(t, hub, 'news', { last: 'the last one' }), expected);
  assert.match(await text(t, hub, 'news', { after: 'given-15', last: 'the last one' }), /^(?!.*event 15.*)(?!.*gap).*event 16/);
  // A hub without a folder has what the stream has.
  const other = await startNode(t, nats.url);
  assert.equal((await data(other, 'news')).length, 3);
});

test('a hub that comes back knows the streams of its folder: their keys, and where they begin', async (t) => {
  const nats = await startNats(t);
  const args = ['--data', await folder(t)];
  const [kept] = await startHubs(t, [nats], { hubs: 1 });
  let hub = await startNode(t, nats.url, { args });
  const send = async (to, key, path) => {
    const answer = await fetch(to.url(path), { method: 'POST', headers: { 'Idempotency-Key': key }, body: key });
    return [answer.status, await answer.text(), answer.headers.get('stream-id')];
  };
  const ask = async (to) => [
    await send(to, 'begin', '/topics/open?begin'),
    await send(to, 'end', '/topics/ended?end'),
  ];
  await send(hub, 'before', '/topics/ended?begin');
  const answers = await ask(hub);
  assert.deepEqual(answers.map(([status]) => status), [201, 201]);
  await kept.publish('news', 'the newest message');
  await until('it', async () => (await data(hub, 'news')).length === 1);
  await hub.stop({ signal: 'SIGKILL' });
  await keepNewest(nats);
  hub = await startNode(t, nats.url, { args, port: hub.port });
  for (const to of [hub, kept]) assert.deepEqual(await ask(to), answers);
  const [[, , stream]] = answers;
  const stop = await fetch(hub.url('/streams/stop', { topic: 'open', stream }), { method: 'POST' });
  assert.deepEqual([stop.status, (await stop.json()).stopping], [202, true]);
  await until('the stop', async () => {
    const { streams } = await (await fetch(kept.url('/streams', { topic: 'open' }))).json();
    return streams[0].stopping === true;
  });
});

test('what is older than memory is read from the folder, as other hubs have it', async (t) => {
  const nats = await startNats(t);
  const args = ['--data', await folder(t), '--memory-bytes', '1MiB'];
  const hubs = [await startNode(t, nats.url), await startNode(t, nats.url, { args })];
  const [large, small] = hubs;
  const lines = Array.from({ length: 4000 }, (_, n) => JSON.stringify({ topic: `topic/${n % 7}`, data: `${n} ${'x'.repeat(1000)}` }));
  const body = `${lines.join('\n')}\n`;
  const headers = { 'content-type': 'application/x-ndjson' };
  const answer = await fetch(large.url('/events'), { method: 'POST', headers, body });
  assert.equal((await answer.json()).committed, 4000);
  for (let topic = 0; topic < 7; topic += 1) await small.publish(`topic/${topic}`, 'the last one');
  for (let topic = 0; topic < 7; topic += 1) {
    const [one, other] = await Promise.all(hubs.map((hub) => text(t, hub, `topic/${topic}`, { last: 'the last one' })));
    assert.ok(one.length > 500_000, `${one.length}`);
    assert.equal(other, one);
  }
  assert.equal((await fetch(small.url('/readyz'))).status, 200);
  assert.ok((await small.metric('tidings_journal_entries')) >= 4007);
});

test('a hub with a folder that starts while NATS is away serves what it has, and goes on when it is back', async (t) => {
  const nats = await startNats(t);
  const dir = await folder(t);
  const [other] = await startHubs(t, [nats], { hubs: 1 });
  const first = await startNode(t, nats.url, { args: ['--data', dir] });
  const before = await first.publish('news', 'first');
  await first.publish('news', 'second');
  await first.stop();
  await nats.stop();
  const hub = await startAlone(t, nats, dir);
  assert.deepEqual(await data(hub, 'news'), ['first', 'second']);
  const ready = await fetch(hub.url('/readyz'));
  assert.deepEqual([ready.status, (await ready.json()).status], [503, 'behind']);
  const refused = await fetch(hub.url('/topics/news'), { method: 'POST', body: 'lost' });
  assert.equal(refused.status, 503);
  assert.ok(Number(refused.headers.get('retry-after')) >= 1);
  const durability = async () => (await (await fetch(hub.url('/healthz'))).json()).durability;
  assert.equal(await durability(), 'process', 'what an event survives is not known yet');
  const reader = startCurl(t, ['-H', `Last-Event-ID: ${before}`, hub.url('/topics/news')]);
  await reader.head();
  assert.equal((await reader.event()).data, 'second');
  await nats.start();
  await publishSomehow([other], 'news', 'third');
  assert.equal((await reader.event()).data, 'third', 'on the same stream, and without a gap');
  await until('the hub to be ready', async () => (await fetch(hub.url('/readyz'))).ok);
  assert.equal(await durability(), 'stored');
  await publishSomehow([hub], 'news', 'fourth');
  for (const it of [hub, other]) {
    await until('all', async () => (await data(it, 'news')).length === 4);
    assert.deepEqual(await data(it, 'news'), ['first', 'second', 'third', 'fourth']);
  }
});

test('a folder of another past is begun anew, and the past of a copy that was put back is noticed by it', async (t) => {
  const nats = await startNats(t);
  const args = ['--data', await folder(t)];
  let hub = await startNode(t, nats.url, { args });
  const { port } = hub;
  const old = await hub.publish('news', 'of the old stream');
  await hub.stop();
  assert.equal((await nats.ask('STREAM.DELETE.TIDINGS')).success, true);
  hub = await startNode(t, nats.url, { args, port });
  await until('the log', () => /copy of the stream begun anew/.test(hub.output));
  const kept = await hub.publish('news', 'kept');
  assert.match(await text(t, hub, 'news', { after: old, last: 'kept' }), /event: gap/);
  await hub.stop();
  await nats.stop();
  await nats.keepCopy();
  await nats.start();
  hub = await startNode(t, nats.url, { args, port });
  const lost = await hub.publish('news', 'lost');
  await hub.stop();
  // No hub runs that could notice; the folder has what was lost, and the stream has another event in its place.
  await nats.stop();
  await nats.putBack();
  await nats.start();
  const without = await startNode(t, nats.url);
  await without.publish('news', 'another one');
  await without.publish('news', 'and one more');
  hub = await startNode(t, nats.url, { args, port });
  for (const it of [hub, without]) {
    await until('a new epoch', async () => {
      try {
        return (await it.publish('news', 'after')).slice(0, 27) !== kept.slice(0, 27);
      } catch {
        return false;
      }
    });
    await it.publish('news', 'the last one');
    const found = await text(t, it, 'news', { after: lost, last: 'the last one' });
    assert.match(found, /event: gap/);
    assert.match(found, /another one/);
  }
});

test('a node that joins empty ends up with the same, whatever the rules have left of each topic', async (t) => {
  const nats = await startNats(t);
  const rules = ['latest/*=latest', 'count/*=events:3', 'large/*=bytes:2KiB'].flatMap((rule) => ['--retain', rule]);
  const hubs = [
    await startNode(t, nats.url, { args: rules }),
    await startNode(t, nats.url, { args: [...rules, '--data', await folder(t)] }),
  ];
  for (let n = 0; n < 60; n += 1) {
    const kind = ['latest', 'count', 'large', 'all'][n % 4];
    await hubs[n % 2].publish(`${kind}/${n % 3}`, `${n} ${'x'.repeat(300)}`);
  }
  await hubs[0].publish('end', 'the last one');
  hubs.push(await startNode(t, nats.url, { args: rules }));
  hubs.push(await startNode(t, nats.url, { args: [...rules, '--data', await folder(t)] }));
  const read = async (hub) => {
    const last = startCurl(t, ['-H', 'Last-Event-ID: earliest', hub.url('/events', { match: '**' })]);
    await last.head();
    const blocks = [];
    while (!JSON.stringify(blocks.at(-1) ?? '').includes('data: the last one')) blocks.push(await last.block());
    await last.stop();
    return JSON.stringify(blocks);
  };
  const texts = await Promise.all(hubs.map(read));
  assert.match(texts[0], /59 x/);
  for (const other of texts.slice(1)) assert.equal(other, texts[0]);
  for (const topic of ['latest/0', 'count/1', 'large/2', 'all/0']) {
    const [first, ...others] = await Promise.all(hubs.map((hub) => data(hub, topic)));
    for (const other of others) assert.deepEqual(other, first, topic);
  }
});

test('a folder is a copy or the journal of a hub of its own, and is not taken for the other', async (t) => {
  const nats = await startNats(t);
  const [own, copy] = [await folder(t), await folder(t)];
  await (await startHub(t, { args: ['--data', own] })).stop();
  await (await startNode(t, nats.url, { args: ['--data', copy] })).stop();
  const mixed = await runTidings(['serve', '--listen', '127.0.0.1:0', '--nats', nats.url, '--data', own]);
  assert.equal(mixed.code, 1);
  assert.match(mixed.stderr, /has the events of a hub of its own/);
  const alone = await runTidings(['serve', '--listen', '127.0.0.1:0', '--data', copy]);
  assert.equal(alone.code, 1);
  assert.match(alone.stderr, /is a copy of a stream that several hubs share/);
  const sound = await runTidings(['journal', 'check', copy]);
  assert.equal(sound.code, 0, sound.stderr);
  // One that is in use by another hub is no copy either.
  const hub = await startNode(t, nats.url, { args: ['--data', copy] });
  const second = await runTidings(['serve', '--listen', '127.0.0.1:0', '--nats', nats.url, '--data', copy]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /is in use by another process/);
  assert.equal((await fetch(hub.url('/readyz'))).status, 200);
});
