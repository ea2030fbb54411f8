//! Hubs that share a stream of NATS JetStream, with real servers.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { makeFolder } from './lib/cleanup.mjs';
import { data, publishSomehow, replicated, startHubs, startNode, text } from './lib/cluster.mjs';
import { startCurl } from './lib/curl.mjs';
import { runTidings, startTidings } from './lib/hub.mjs';
import { startNats, startNatsCluster } from './lib/nats.mjs';
import { run } from './lib/program.mjs';
import { freePort } from './lib/proxy.mjs';
import { until } from './lib/wait.mjs';

test('hubs of one stream have the same events under the same IDs, also one that starts later', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats]);
  const published = hubs.map(async (hub, at) => {
    for (let n = 0; n < 30; n += 1) {
      const query = n % 5 === 0 ? { id: `given-${at}-${n}` } : {};
      await hub.publish('news', `event ${n} of ${at}`, { query });
    }
  });
  await Promise.all(published);
  await hubs[0].publish('news', 'the last one');
  hubs.push(...(await startHubs(t, [nats], { hubs: 1 })));
  const texts = await Promise.all(hubs.map((hub) => text(t, hub, 'news', { last: 'the last one' })));
  assert.equal(texts[0].match(/data: /g).length, 91);
  for (const other of texts.slice(1)) assert.equal(other, texts[0]);
  // A publisher's ID and one of the stream's are a place at every hub.
  for (const hub of hubs) {
    const after = await text(t, hub, 'news', { after: 'given-2-25', last: 'the last one' });
    assert.doesNotMatch(after, /event: gap/);
    assert.match(after, /event 26 of 2/);
    assert.doesNotMatch(after, /event 25 of 2/);
  }
});

test('a repeated request is recognized at every hub', async (t) => {
  const hubs = await startHubs(t, [await startNats(t)]);
  const headers = { 'Idempotency-Key': 'one order' };
  // All at once, so that no hub has read what another one has sent.
  const ids = await Promise.all(hubs.map((hub) => hub.publish('orders', 'once', { headers })));
  assert.deepEqual(new Set(ids).size, 1);
  assert.equal(await hubs[1].publish('orders', 'once', { headers }), ids[0]);
  await hubs[2].publish('orders', 'last');
  for (const hub of hubs) {
    await until('the last one', async () => (await data(hub, 'orders')).includes('last'));
    assert.deepEqual(await data(hub, 'orders'), ['once', 'last']);
  }
});

test('a reader that moves to another hub with its place is told no gap', async (t) => {
  const hubs = await startHubs(t, [await startNats(t)]);
  for (let n = 0; n < 40; n += 1) {
    const id = await hubs[n % 3].publish('moves', `${n}`);
    // The other hub may not have read it yet.
    const reader = startCurl(t, ['-H', `Last-Event-ID: ${id}`, hubs[(n + 1) % 3].url('/topics/moves')]);
    await reader.head();
    await hubs[(n + 2) % 3].publish('moves', `after ${n}`);
    assert.equal((await reader.event()).data, `after ${n}`);
    await reader.stop();
  }
});

/** All requests that need NATS: paths, queries and options. */
function ways() {
  const body = (type, body) => ({ body, headers: { 'content-type': type } });
  return [
    ['/events', {}, body('application/json', '{"topic":"news","data":"away"}')],
    ['/events', {}, body('application/json', '[{"topic":"news","data":"away"}]')],
    ['/events', {}, body('application/json', '{"topic":"news","data":"away","begin":true}')],
    ['/events', {}, body('application/x-ndjson', '{"topic":"news","data":"away"}\n')],
    ['/events', { topic: 'news' }, body('text/event-stream', 'data: away\n\n')],
    ['/events', { topic: 'news' }, body('text/plain', 'away\n')],
    ['/events', { topic: 'news', begin: '', end: '' }, body('text/event-stream', 'data: away\n\n')],
    ['/topics/news', { begin: '' }, { body: 'away' }],
    ['/topics/news', { begin: '', end: '' }, { body: 'away' }],
    ['/topics/open', { end: '' }, {}],
    ['/streams/stop', { topic: 'open' }, {}],
    ['/subscribers', { topic: 'news' }, { method: 'DELETE' }],
    ['/subscribers', { subject: 'ann' }, { method: 'DELETE' }],
  ];
}

test('while NATS is away, streams stay open, publishes are refused, and then everything goes on', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats]);
  const reader = startCurl(t, [hubs[0].url('/topics/news')]);
  await reader.head();
  await hubs[1].publish('news', 'before');
  await hubs[1].publish('open', 'an event', { query: { begin: '' } });
  assert.equal((await reader.event()).data, 'before');
  await until('the third hub to have it', async () => (await data(hubs[2], 'news')).length === 1);
  await nats.stop({ signal: 'SIGKILL' });
  // A message that is sent before the hub knows may be there.
  await until('the hub to know', () => /connection to NATS lost/.test(hubs[1].output));
  const began = performance.now();
  const refused = await fetch(hubs[1].url('/topics/news'), { method: 'POST', body: 'away' });
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('retry-after'), '2');
  assert.match((await refused.json()).type, /journal-unreachable/);
  assert.ok(performance.now() - began > 900, 'an election is waited for');
  await Promise.all(ways().map(async ([path, query, options]) => {
    const answer = await fetch(hubs[1].url(path, query), { method: 'POST', ...options });
    const asked = `${options.method ?? 'POST'} ${path} ${JSON.stringify(query)}: ${await answer.text()}`;
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '2'], asked);
  }));
  assert.equal((await fetch(hubs[0].url('/readyz'))).status, 200, 'readers are welcome');
  assert.deepEqual(await data(hubs[2], 'news'), ['before'], 'what is held is read');
  await until('the metric', async () => (await hubs[0].metric('tidings_stream_away')) === 1);
  await nats.start();
  await publishSomehow(hubs, 'news', 'back');
  assert.equal((await reader.event()).data, 'back', 'on the same stream, and nothing before it');
  for (const hub of hubs) {
    await until('the event', async () => (await data(hub, 'news')).includes('back'));
    assert.deepEqual(await data(hub, 'news'), ['before', 'back']);
    assert.equal(hub.output.match(/stream cannot be followed now/g)?.length, 1, 'told once');
  }
});

test('a server of NATS that is halted loses and doubles nothing', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats]);
  await hubs[0].publish('news', '0');
  await nats.halt();
  const halted = [1, 2, 3].map((n) => publishSomehow([hubs[n % 3]], 'news', `${n}`));
  await until('a consumer to fall silent', () => /cannot be followed now/.test(hubs[0].output));
  nats.signal('SIGCONT');
  await Promise.all(halted);
  await hubs[0].publish('news', 'last');
  for (const hub of hubs) {
    await until('the last one', async () => (await data(hub, 'news')).includes('last'));
    assert.deepEqual((await data(hub, 'news')).toSorted(), ['0', '1', '2', '3', 'last']);
    assert.deepEqual(await data(hub, 'news'), await data(hubs[0], 'news'));
  }
});

test('a hub that starts while NATS is away tells everybody to come back, goes on trying, and ends when told', async (t) => {
  const nats = await startNats(t);
  const [first] = await startHubs(t, [nats], { hubs: 1 });
  const before = await first.publish('news', 'before');
  await first.stop();
  await nats.stop();
  const port = await freePort();
  const waits = startTidings(t, ['serve', '--listen', `127.0.0.1:${port}`, '--nats', nats.url]);
  await waits.printed(/tells everybody to come back/);
  const ask = (path, options) => fetch(`http://127.0.0.1:${port}${path}`, options);
  const ready = await ask('/readyz');
  assert.deepEqual([ready.status, await ready.json()], [503, { status: 'opening' }]);
  assert.deepEqual(await (await ask('/healthz')).json(), { status: 'opening' });
  assert.equal((await (await ask('/nodes')).json()).nodes[0].state, 'opening');
  assert.match(await (await ask('/metrics')).text(), /^tidings_stream_away 1$/m);
  for (const answer of [
    await ask('/topics/news', { method: 'POST', body: 'lost' }),
    await ask('/topics/news', { headers: { 'last-event-id': before } }),
    await ask('/events?topic=news', { headers: { accept: 'application/json' } }),
  ]) {
    assert.equal(answer.status, 503);
    assert.ok(Number(answer.headers.get('retry-after')) >= 2);
    assert.match((await answer.json()).type, /journal-unreachable/);
  }
  // A browser's EventSource would give up at a 503.
  const browser = { accept: 'text/event-stream', 'sec-fetch-mode': 'cors', 'last-event-id': before };
  const stream = await ask('/topics/news', { headers: browser });
  assert.equal(stream.status, 200);
  assert.match(await stream.text(), /^retry: \d+\n:.*cannot be reached yet.*\n/);
  await nats.start();
  await waits.printed(/listens on/);
  assert.equal((await ask('/readyz')).status, 200);
  const reader = startCurl(t, ['-H', 'Last-Event-ID: earliest', `http://127.0.0.1:${port}/topics/news`]);
  await reader.head();
  assert.equal((await reader.event()).data, 'before', 'nothing is lost, and no gap is told');
  await nats.stop();
  const other = startTidings(t, ['serve', '--listen', '127.0.0.1:0', '--nats', nats.url]);
  await other.printed(/NATS is away/);
  assert.deepEqual(await other.stop(), { code: 0, signal: null });
});

const SECRET = 'a secret of thirty-two bytes, ok';

/** A token of `sub` with `rights`, issued a minute ago. */
function token(sub, rights) {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const now = Date.now() / 1000;
  const text = `${part({ alg: 'HS256' })}.${part({ sub, iat: now - 60, exp: now + 600, tidings: rights })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

test('a subject that is revoked at one hub has no stream and no token at any other, nor after a restart', async (t) => {
  const nats = await startNats(t);
  const folder = await makeFolder(t);
  const file = path.join(folder, 'tidings.toml');
  await writeFile(file, `[auth]\nkeys = [{ algorithm = "HS256", secret = "${SECRET}" }]\n`);
  const hubs = await startHubs(t, [nats], { args: ['--config', file] });
  const alice = `Authorization: Bearer ${token('alice', { subscribe: ['**'] })}`;
  const reader = startCurl(t, ['-H', alice, hubs[1].url('/topics/news')]);
  assert.equal((await reader.head()).status, 200);
  const admin = { authorization: `Bearer ${token('admin', { manage: ['**'] })}` };
  const revoked = await fetch(hubs[0].url('/subscribers', { subject: 'alice' }), { method: 'DELETE', headers: admin });
  assert.equal(revoked.status, 204);
  while ((await reader.block()) !== undefined);
  hubs.push(await startNode(t, nats.url, { args: ['--config', file] }));
  for (const hub of hubs) {
    const refused = startCurl(t, ['-H', alice, hub.url('/topics/news')]);
    assert.equal((await refused.head()).status, 401);
    await refused.stop();
  }
});

/** After this, a place of before is told as a gap by every hub, in one new epoch. */
async function checkGap(t, hubs, before) {
  const epoch = (id) => id.slice(0, 27);
  await until('a new epoch', async () => {
    const id = await publishSomehow(hubs, 'news', 'after');
    return epoch(id) !== epoch(before);
  });
  const last = await publishSomehow(hubs, 'news', 'last');
  const texts = [];
  for (const hub of hubs) {
    await until('the new past', async () => {
      try {
        return (await data(hub, 'news')).includes('last');
      } catch {
        return false;
      }
    });
    const found = await text(t, hub, 'news', { after: before, last: 'last' });
    assert.match(found, /event: gap/);
    assert.match(found, new RegExp(last));
    texts.push(found);
  }
  assert.equal(texts[1], texts[0]);
  assert.equal(texts[2], texts[0]);
}

test('a stream that was deleted is a gap in a new epoch at every hub', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats]);
  const before = await hubs[0].publish('news', 'before');
  const reader = startCurl(t, [hubs[1].url('/topics/news')]);
  await reader.head();
  assert.equal((await nats.ask('STREAM.DELETE.TIDINGS')).success, true);
  // An open stream ends, and its reader comes back to the new past.
  while ((await reader.event()) !== undefined);
  await checkGap(t, hubs, before);
});

test('a hub that opens a stream again ends when told', async (t) => {
  const nats = await startNats(t);
  const config = path.join(await makeFolder(t), 'tidings.toml');
  await writeFile(config, '[nats]\n');
  const [hub] = await startHubs(t, [nats], { hubs: 1, args: ['--config', config] });
  // It reads its configuration in between, and here it has to wait for that.
  await rm(config);
  assert.equal((await run('mkfifo', [config])).code, 0);
  assert.equal((await nats.ask('STREAM.DELETE.TIDINGS')).success, true);
  await until('the hub to open it again', () => /opening it again/.test(hub.output));
  const ended = hub.stop();
  await writeFile(config, '[nats]\n');
  await ended;
  assert.match(hub.output, /SIGTERM: the journal was not open yet/);
});

test('a stream that is purged while hubs run is a gap in a new epoch at every hub', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats]);
  const before = await hubs[0].publish('news', 'before');
  const purged = await nats.ask('STREAM.PURGE.TIDINGS');
  assert.equal(purged.success, true, JSON.stringify(purged));
  await checkGap(t, hubs, before);
  // The next one is written to before anybody looks.
  const second = await publishSomehow(hubs, 'news', 'second');
  assert.equal((await nats.ask('STREAM.PURGE.TIDINGS')).success, true);
  await publishSomehow(hubs, 'news', 'third');
  await checkGap(t, hubs, second);
});

test('a stream whose messages have all expired is no gap while a hub runs', async (t) => {
  const nats = await startNats(t);
  const config = { name: 'TIDINGS', subjects: ['tidings.TIDINGS'], retention: 'limits', storage: 'file' };
  await nats.ask('STREAM.CREATE.TIDINGS', { ...config, duplicate_window: 60e9, max_age: 60e9 });
  const [hub] = await startHubs(t, [nats], { hubs: 1 });
  // A hub puts something young into it at once, because the newest message may be about to expire.
  const messages = async () => (await nats.ask('STREAM.INFO.TIDINGS')).state.messages;
  await until('a young message', async () => (await messages()) >= 2);
  assert.doesNotMatch(hub.output, /past of the stream has changed/);
});

test('a stream that was put back from an old copy is a gap in a new epoch at every hub', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats]);
  await hubs[0].publish('news', 'kept');
  await nats.stop();
  await nats.keepCopy();
  await nats.start();
  await publishSomehow(hubs, 'news', 'lost');
  const before = await publishSomehow(hubs, 'news', 'lost, too');
  await nats.stop();
  await nats.putBack();
  await nats.start();
  await checkGap(t, hubs, before);
});

test('what all three servers of NATS have lost is a gap in a new epoch at every hub, also if nobody publishes', async (t) => {
  const servers = await startNatsCluster(t);
  const each = (act) => Promise.all(servers.map(act));
  const hubs = await startHubs(t, servers, { args: ['--nats-replicas', '3'] });
  await publishSomehow(hubs, 'news', 'kept');
  await replicated(servers);
  await each((server) => server.stop());
  await each((server) => server.keepCopy());
  await each((server) => server.start());
  await publishSomehow(hubs, 'news', 'lost');
  const before = await publishSomehow(hubs, 'news', 'lost, too');
  for (const hub of hubs) await until('what will be lost', async () => (await data(hub, 'news')).length === 3);
  await each((server) => server.stop());
  await each((server) => server.putBack());
  await each((server) => server.start());
  for (const hub of hubs) {
    await until('the loss to be noticed', () => /the past of the stream has changed/.test(hub.output), { within: 60_000 });
  }
  await checkGap(t, hubs, before);
});

test('a stream that does not fit is refused with a sentence, and limits that differ are named', async (t) => {
  const nats = await startNats(t);
  const config = { name: 'TIDINGS', subjects: ['tidings.TIDINGS'], retention: 'workqueue', storage: 'file' };
  await nats.ask('STREAM.CREATE.TIDINGS', { ...config, duplicate_window: 120e9 });
  const refused = await runTidings(['serve', '--listen', '127.0.0.1:0', '--nats', nats.url]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /its retention is not 'limits'/);
  await nats.ask('STREAM.DELETE.TIDINGS');
  await nats.ask('STREAM.CREATE.TIDINGS', { ...config, retention: 'limits', duplicate_window: 120e9, max_age: 3600e9 });
  const [hub] = await startHubs(t, [nats], { hubs: 1 });
  for (const difference of [/events are dropped after 3600 s/, /its size is unlimited/]) {
    await until('the log names what differs', () => difference.test(hub.output));
  }
});
