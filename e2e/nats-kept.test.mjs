//! Hubs of one stream remember what the stream has forgotten: revoked tokens, and streams that began long ago.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';

import { publishSomehow, startNode } from './lib/cluster.mjs';
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

test('a revoked token and an open stream are known to a hub that starts when their messages are gone', async (t) => {
  const nats = await startNats(t);
  const config = { name: 'TIDINGS', subjects: ['tidings.TIDINGS'], retention: 'limits', storage: 'file' };
  await nats.ask('STREAM.CREATE.TIDINGS', { ...config, duplicate_window: 60e9, max_msgs: 40 });
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
