//! Hubs of one stream remember what the stream has forgotten: revoked tokens, and streams that began long ago.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';

import { makeFolder } from './lib/cleanup.mjs';
import { publishSomehow, startNode } from './lib/cluster.mjs';
import { startCurl } from './lib/curl.mjs';
import { startNats } from './lib/nats.mjs';
import { token } from './lib/token.mjs';
import { until } from './lib/wait.mjs';

const KEY = 'a secret of this test, long enough for HS256';

const bearer = (claims) => ({ authorization: `Bearer ${token(KEY, claims)}` });
const ADMIN = bearer({ sub: 'admin', tidings: { manage: ['**'], publish: ['**'], subscribe: ['**'] } });

/** The arguments of a hub that takes tokens. */
async function withTokens(t) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tidings-kept-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'tidings.toml');
  await writeFile(file, `[auth]\nkeys = [{ algorithm = "HS256", secret = "${KEY}" }]\n`);
  return ['--config', file];
}

/** Revokes the tokens of a subject at a hub, and returns one of them. */
async function revoke(hub, sub) {
  const old = bearer({ sub, iat: Math.floor(Date.now() / 1000) - 60, tidings: { subscribe: ['**'] } });
  assert.equal((await read(hub, old)).status, 200);
  const revoked = await fetch(hub.url('/subscribers', { subject: sub }), { method: 'DELETE', headers: ADMIN });
  assert.equal(revoked.status, 204);
  assert.equal((await read(hub, old)).status, 401);
  return old;
}

function read(hub, headers) {
  return fetch(hub.url('/topics/news'), { headers: { ...headers, accept: 'application/json' } });
}

/** A topic's stream, as a hub lists it. */
async function listed(hub, topic) {
  const answer = await fetch(hub.url('/streams', { topic }), { headers: ADMIN });
  return (await answer.json()).streams[0];
}

/** A stream that keeps so many messages. */
async function keeping(nats, messages) {
  const config = { name: 'TIDINGS', subjects: ['tidings.TIDINGS'], retention: 'limits', storage: 'file' };
  await nats.ask('STREAM.CREATE.TIDINGS', { ...config, duplicate_window: 60e9, max_msgs: messages });
}


test('a revoked token and an open stream are known to a hub that starts when their messages are gone', async (t) => {
  const nats = await startNats(t);
  await keeping(nats, 40);
  const args = await withTokens(t);
  const one = await startNode(t, nats.url, { args });
  const begun = await fetch(one.url('/topics/answer', { begin: '' }), { method: 'POST', body: 'first', headers: ADMIN });
  assert.equal(begun.status, 201);
  const old = await revoke(one, 'alice');
  const { last_seq: revoked } = (await nats.ask('STREAM.INFO.TIDINGS')).state;
  for (let n = 0; n < 100; n += 1) await one.publish('news', `${n}`, { headers: ADMIN });
  const { first_seq: first } = (await nats.ask('STREAM.INFO.TIDINGS')).state;
  assert.ok(first > revoked, 'they are gone');
  const two = await startNode(t, nats.url, { args });
  // The first hub puts them in again within a second or two, if it has not yet.
  await until('the revocation', async () => (await read(two, old)).status === 401);
  await until('the stream', async () => (await listed(two, 'answer')).state === 'streaming');
  const more = await fetch(two.url('/topics/answer'), { method: 'POST', body: 'second', headers: ADMIN });
  assert.equal(more.status, 201);
  await until('the event', async () => (await listed(one, 'answer')).events === 2);
  assert.deepEqual(await listed(two, 'answer'), await listed(one, 'answer'));
  // One that is issued in a later second than the revocation is good, also where that was told again.
  for (const hub of [one, two]) {
    await until('a good token', async () => (await read(hub, bearer({ sub: 'alice', tidings: { subscribe: ['**'] } }))).status === 200);
  }
});

test('a revoked token stays revoked when the stream is deleted, also at a hub that starts then', async (t) => {
  const nats = await startNats(t);
  const args = await withTokens(t);
  const hub = await startNode(t, nats.url, { args });
  const before = await hub.publish('news', 'before', { headers: ADMIN });
  const old = await revoke(hub, 'alice');
  assert.equal((await nats.ask('STREAM.DELETE.TIDINGS')).success, true);
  const publisher = { publish: (topic, data, { headers }) => hub.publish(topic, data, { headers: { ...headers, ...ADMIN } }) };
  await until('a new epoch', async () => (await publishSomehow([publisher], 'news', 'after')).slice(0, 27) !== before.slice(0, 27));
  assert.equal((await read(hub, old)).status, 401);
  const other = await startNode(t, nats.url, { args });
  await until('the revocation', async () => (await read(other, old)).status === 401);
});

test('a hub with a folder that was told of a stream knows it after a restart, with nobody there to tell it again', async (t) => {
  const nats = await startNats(t);
  const messages = 40;
  await keeping(nats, messages);
  const one = await startNode(t, nats.url);
  const send = async (hub, [epoch, seq], { body, ...query } = {}) => {
    const headers = { 'Producer-Id': 'model', 'Producer-Epoch': `${epoch}`, 'Producer-Seq': `${seq}` };
    const answer = await fetch(hub.url('/topics/answer', query), { method: 'POST', body, headers });
    await answer.text();
    return answer.status;
  };
  assert.equal(await send(one, [2, 0], { begin: '', grace: '1h', body: 'first' }), 201);
  for (let n = 0; n < messages; n += 1) await one.publish('news', `${n}`);
  const args = ['--data', path.join(await makeFolder(t), 'data')];
  let two = await startNode(t, nats.url, { args });
  await until('the stream to be told', async () => (await listed(two, 'answer')).state === 'streaming');
  assert.equal(await send(two, [2, 1], { body: 'second' }), 201);
  /** Starts the second hub again, when all is gone but the newest message that it has read, and the first is halted. */
  const restart = async () => {
    const { last_event_id: newest } = await one.publish('news', 'newest').then(() => one.read('news'));
    const known = await listed(one, 'answer');
    await until('it', async () => (await two.read('news')).last_event_id === newest);
    await two.stop();
    await one.halt();
    // Repetitions of a message change nothing.
    const { last_seq: last } = (await nats.ask('STREAM.INFO.TIDINGS')).state;
    const message = await nats.message('TIDINGS', last);
    for (let n = 1; n < messages; n += 1) await nats.publish('tidings.TIDINGS', message);
    two = await startNode(t, nats.url, { args, port: two.port });
    assert.deepEqual(await listed(two, 'answer'), known);
    return known;
  };
  assert.equal((await restart()).events, 2);
  assert.equal(await send(two, [1, 0], { body: 'of one that was fenced off' }), 403);
  assert.equal(await send(two, [2, 1], { body: 'second' }), 204);
  assert.equal(await send(two, [2, 2], { end: '', body: 'third' }), 201);
  one.signal('SIGCONT');
  await until('the end', async () => (await listed(one, 'answer')).state !== 'streaming');
  await restart();
  const { last_place: last } = await listed(two, 'answer');
  const reader = startCurl(t, ['-H', `Last-Event-ID: ${last}`, two.url('/topics/answer')]);
  const end = await reader.event();
  assert.equal(end.data, '{"reason":"done","events":3}');
  const headers = { accept: 'text/event-stream', 'Last-Event-ID': end.id };
  assert.equal((await fetch(two.url('/topics/answer'), { headers })).status, 204);
  assert.equal((await fetch(two.url('/topics/answer'), { method: 'POST', body: 'late' })).status, 409);
  one.signal('SIGCONT');
});

test('a revocation counts at hubs that were away for longer than the stream keeps it', async (t) => {
  const nats = await startNats(t);
  await keeping(nats, 40);
  const args = await withTokens(t);
  const inFolder = [...args, '--data', path.join(await makeFolder(t), 'data')];
  const [one, halted, ended] = await Promise.all([args, args, inFolder].map((args) => startNode(t, nats.url, { args })));
  await halted.halt();
  await ended.stop();
  const old = await revoke(one, 'alice');
  const { last_seq: revoked } = (await nats.ask('STREAM.INFO.TIDINGS')).state;
  for (let n = 0; n < 100; n += 1) await one.publish('news', `${n}`, { headers: ADMIN });
  const { first_seq: first } = (await nats.ask('STREAM.INFO.TIDINGS')).state;
  assert.ok(first > revoked, 'it is gone');
  halted.signal('SIGCONT');
  const again = await startNode(t, nats.url, { args: inFolder, port: ended.port });
  for (const hub of [halted, again]) {
    await until('the revocation', async () => (await read(hub, old)).status === 401);
  }
});
