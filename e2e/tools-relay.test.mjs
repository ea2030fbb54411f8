//! `tidings relay` between real servers, killed and cut: no event is lost or doubled.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { startHub, startTidings } from './lib/hub.mjs';
import { startRelay } from './lib/relay.mjs';
import { held, holds, makeFolder, startListen } from './lib/tools.mjs';
import { startUpstream } from './lib/upstream.mjs';
import { until } from './lib/wait.mjs';

const QUICK = { args: ['--retry', '50ms'] };

/** Starts `tidings relay` from `upstream`, a URL, to the topic `copy` of the hub at `to`. */
function startTool(t, upstream, to, state, more = []) {
  return startTidings(t, ['relay', upstream, '--to', 'copy', '--hub', to, '--state', state, ...more]);
}

/** Two hubs, a network to tamper with in front of each, and a path for the state file. */
async function startHubs(t) {
  const [upstream, hub] = [await startHub(t, QUICK), await startHub(t, QUICK)];
  const [near, far] = [await startRelay(t, upstream.port), await startRelay(t, hub.port)];
  const state = path.join(await makeFolder(t), 'state');
  return { upstream, hub, near, far, state, url: `${near.origin}/topics/news` };
}

/** The output without the lines about attempts to connect, of which there may be any number. */
const withoutAttempts = (output) => output.replaceAll(/^tidings: (?:open: .*|.*; retrying in [0-9.]+ s)\n/gm, '');

const parts = ({ id, type, data }) => ({ id, type, data });

/** Asserts that the hub's copy has what the upstream has, in the same order and with the same IDs. */
async function assertSame(upstream, hub) {
  const original = await held(upstream, 'news');
  assert.deepEqual((await held(hub, 'copy')).map(parts), original.map(parts));
  return original.length;
}

/** Waits until the relay has its place in the upstream: from then on no event may be lost. */
function placed(state) {
  return until('a place in the file', async () => existsSync(state) && (await readFile(state, 'utf8')).includes('urn:uuid:'));
}

test('killed again and again while events arrive, it loses and doubles nothing', async (t) => {
  const { upstream, hub, far, state, url } = await startHubs(t);
  const [kills, events] = [12, 17];
  for (let kill = 0; kill < kills; kill += 1) {
    const first = kill * events + 1;
    const publishing = (async () => {
      for (let n = first; n < first + events; n += 1) {
        await upstream.publish('news', `event ${n}`, { query: n % 3 === 0 ? { id: `own-${n}`, type: 't' } : {} });
      }
    })();
    const tool = startTool(t, url, far.origin, state, ['--last-event-id', 'earliest']);
    // Killed at a point a little later each time.
    await holds(hub, 'copy', first + kill);
    await tool.stop({ signal: 'SIGKILL' });
    await publishing;
  }
  const total = kills * events;
  // One more run shows whether the last kill left anything wrong.
  const tool = startTool(t, url, far.origin, state);
  await upstream.publish('news', 'the end');
  await holds(hub, 'copy', total + 1);
  assert.equal(await assertSame(upstream, hub), total + 1);
  assert.deepEqual(await tool.stop({ signal: 'SIGINT' }), { code: 0, signal: null });
});

test('killed between the commit and the write of its file, it doubles nothing', async (t) => {
  const { upstream, hub, far, state, url } = await startHubs(t);
  const first = startTool(t, url, far.origin, state);
  await placed(state);
  await upstream.publish('news', 'one');
  await holds(hub, 'copy', 1);
  // The file as it is when the kill comes before the next write.
  await first.stop({ signal: 'SIGTERM' });
  await copyFile(state, `${state}.before`);
  const second = startTool(t, url, far.origin, state);
  await upstream.publish('news', 'two');
  await upstream.publish('news', 'three', { query: { id: 'own', type: 't' } });
  await holds(hub, 'copy', 3);
  await second.stop({ signal: 'SIGKILL' });
  await copyFile(`${state}.before`, state);

  startTool(t, url, far.origin, state);
  await upstream.publish('news', 'four');
  await holds(hub, 'copy', 4);
  assert.equal(await assertSame(upstream, hub), 4);
  assert.equal(far.heads.filter((head) => head.startsWith('POST ')).length, 6);
});

test('killed before the answer, it asks whether the hub holds the event, however old its key is', async (t) => {
  const { upstream, hub, far, state, url } = await startHubs(t);
  const tool = startTool(t, url, far.origin, state);
  await placed(state);
  await upstream.publish('news', 'one');
  await holds(hub, 'copy', 1);
  far.pause();
  await upstream.publish('news', 'two');
  await holds(hub, 'copy', 2);
  await tool.stop({ signal: 'SIGKILL' });
  far.cut();
  far.resume();

  startTool(t, url, far.origin, state);
  await upstream.publish('news', 'three');
  await holds(hub, 'copy', 3);
  assert.equal(await assertSame(upstream, hub), 3);
  // A second publish would have been deduplicated only by a key that the hub remembers.
  assert.equal(far.heads.filter((head) => head.startsWith('POST ')).length, 3);
});

for (const how of ['reset', 'fin']) {
  test(`with either connection cut by ${how}, nothing is lost or doubled`, async (t) => {
    const { upstream, hub, near, far, state, url } = await startHubs(t);
    startTool(t, url, far.origin, state);
    await placed(state);
    for (let round = 1; round <= 5; round += 1) {
      near.refuse();
      near.cut(how);
      await upstream.publish('news', `upstream away ${round}`);
      await near.accept();
      await holds(hub, 'copy', 3 * round - 2);

      far.refuse();
      far.cut(how);
      await upstream.publish('news', `hub away ${round}`, { query: { id: `own-${round}` } });
      await far.accept();
      await holds(hub, 'copy', 3 * round - 1);

      // The hub commits, and its answer is lost.
      far.pause();
      await upstream.publish('news', `answer lost ${round}`);
      await holds(hub, 'copy', 3 * round);
      far.cut(how);
      far.resume();
    }
    await upstream.publish('news', 'the end');
    await holds(hub, 'copy', 16);
    assert.equal(await assertSame(upstream, hub), 16);
    const posts = far.heads.filter((head) => head.startsWith('POST '));
    assert.ok(posts.length >= 16 + 5, `${posts.length} requests to publish`);
  });
}

test('across a restart of an upstream that keeps its history, nothing is lost or doubled', async (t) => {
  const [node, hub] = [await startUpstream(t), await startHub(t, QUICK)];
  const state = path.join(await makeFolder(t), 'state');
  const tool = startTool(t, `${node.origin}/events`, hub.origin, state);
  await until('the tool to listen', () => node.open === 1);
  for (let round = 0; round < 3; round += 1) {
    node.publish(`live ${round}`);
    await holds(hub, 'copy', 2 * round + 1);
    await node.stop();
    node.publish(`missed ${round}`);
    await node.start();
    await holds(hub, 'copy', 2 * round + 2);
  }
  const copy = (await held(hub, 'copy')).map(({ id, data }) => [id, data]);
  const expected = [0, 1, 2].flatMap((n) => [`live ${n}`, `missed ${n}`]);
  assert.deepEqual(copy, expected.map((data, at) => [String(at + 1), data]));
  assert.equal(withoutAttempts(tool.output), '');
});

test('a restart of an in-memory upstream is a gap, reported here and to the readers of the copy', async (t) => {
  const { upstream, hub, near, far, state, url } = await startHubs(t);
  const reader = startListen(t, [hub.url('/topics/copy')]);
  const tool = startTool(t, url, far.origin, state);
  await placed(state);
  const lost = await upstream.publish('news', 'before');
  await reader.event('before');
  near.refuse();
  await upstream.stop();
  const again = await startHub(t, { ...QUICK, listen: `127.0.0.1:${upstream.port}` });
  const oldest = await again.publish('news', 'after');
  await near.accept();
  await reader.event('after');

  const gap = await reader.line('gap');
  assert.deepEqual([gap.asked, gap.oldest], [lost, oldest]);
  assert.deepEqual(reader.data, ['before', 'after']);
  assert.match(withoutAttempts(tool.stderr), new RegExp(`^tidings: gap: events after ${lost} are missing; .*${oldest}\n$`));

  // The next run does not receive the gap again.
  await tool.stop({ signal: 'SIGKILL' });
  const next = startTool(t, url, far.origin, state);
  await again.publish('news', 'later');
  await reader.event('later');
  assert.deepEqual(reader.data, ['before', 'after', 'later']);
  assert.equal(next.output, '');
});

test('events with IDs that the hub refuses are published without the ID', async (t) => {
  const [node, hub] = [await startUpstream(t), await startHub(t, QUICK)];
  const state = path.join(await makeFolder(t), 'state');
  startTool(t, `${node.origin}/events`, hub.origin, state);
  await until('the tool to listen', () => node.open === 1);
  for (const id of ['good', '#bad', 'x'.repeat(129), 'earliest', '']) node.publish(`with ${id}`, { id });
  const copy = await holds(hub, 'copy', 5);
  assert.deepEqual(
    copy.map(({ data }) => data),
    ['good', '#bad', 'x'.repeat(129), 'earliest', ''].map((id) => `with ${id}`),
  );
  assert.equal(copy[0].id, 'good');
  for (const { id } of copy.slice(1)) assert.match(id, /^urn:uuid:/);
});

test('one hub may be both ends, although each ID already has an event', async (t) => {
  const hub = await startHub(t, QUICK);
  const state = path.join(await makeFolder(t), 'state');
  const from = hub.url('/topics/news', { last_event_id: 'earliest' });
  await hub.publish('news', 'one');
  startTool(t, from, hub.origin, state);
  await hub.publish('news', 'two');
  const copy = await holds(hub, 'copy', 2);
  assert.deepEqual(copy.map(({ data }) => data), ['one', 'two']);
});

test('a lasting refusal ends it with status 1 and the place before the event', async (t) => {
  const [upstream, hub] = [await startHub(t, QUICK), await startHub(t, { args: ['--event-bytes-max', '100'] })];
  const state = path.join(await makeFolder(t), 'state');
  const from = upstream.url('/topics/news');
  for (const data of ['short', 'x'.repeat(200), 'more']) await upstream.publish('news', data);
  for (let run = 0; run < 2; run += 1) {
    const tool = startTool(t, from, hub.origin, state, ['--last-event-id', 'earliest']);
    assert.deepEqual(await tool.ended, { code: 1, signal: null });
    assert.match(tool.stderr, /^tidings: an event could not be relayed, and the next run starts with it: .*413.*\n$/);
  }
  assert.deepEqual((await held(hub, 'copy')).map(({ data }) => data), ['short']);
});

/** A hub that answers every publish with `answer(request, response)`; it counts them in `requests`. */
async function startStub(t, answer) {
  const stub = await startUpstream(t);
  stub.answer('/topics/copy?id=1', answer);
  stub.answer('/topics/copy?id=2', (request, response) => response.writeHead(201).end('2\n'));
  return stub;
}

/**
 * The bug: a hub that asked for a wait of more than five minutes was sent requests as fast as it could
 * answer them.
 */
test('a hub that is busy for long is sent one request, and the wait is told', async (t) => {
  const upstream = await startUpstream(t);
  const stub = await startStub(t, (request, response) => response.writeHead(503, { 'retry-after': '400' }).end());
  const tool = startTidings(t, ['relay', `${upstream.origin}/events`, '--to', 'copy', '--hub', stub.origin]);
  await until('the tool to listen', () => upstream.open === 1);
  upstream.publish('one');
  await tool.printed(/trying again in 400 s\n/);
  // Many times as long as a request takes.
  for (let n = 0; n < 50; n += 1) await fetch(`${stub.origin}/other`, { method: 'HEAD' });
  assert.equal(stub.requests.filter(({ path: to }) => to.startsWith('/topics/')).length, 1);
  assert.equal(tool.stderr.split('\n').length, 2);
  assert.deepEqual(await tool.stop({ signal: 'SIGINT' }), { code: 0, signal: null });
});

test('an event that has come back to the hub is passed over, which is told once', async (t) => {
  const upstream = await startUpstream(t);
  const problem = JSON.stringify({ type: 'https://tidings.example/problems/relay-loop', detail: 'again' });
  const stub = await startStub(t, (request, response) => {
    response.writeHead(409, { 'content-type': 'application/problem+json' }).end(problem);
  });
  upstream.answer('/topics/news', (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'tidings-epoch': 'e1' });
    response.write(': hi\n:via e8/copy, e9/a%2Fb\nid: 1\ndata: one\n\nid: 2\ndata: two\n\n');
  });
  const tool = startTidings(t, ['relay', `${upstream.origin}/topics/news`, '--to', 'copy', '--hub', stub.origin]);
  await until('both events', () => stub.requests.length === 2);
  const vias = stub.requests.map(({ headers }) => headers['relay-via']);
  assert.deepEqual(vias, ['e8/copy, e9/a%2Fb, e1/news', 'e1/news']);
  assert.match(tool.stderr, /^tidings: an event has come back to a topic .*; such events are passed over\n$/);
});
