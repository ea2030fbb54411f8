//! Relays whose sources and targets overlap, on one hub and in rings of several: no event is multiplied.

import assert from 'node:assert/strict';
import test from 'node:test';

import { startHub, startTidings } from './lib/hub.mjs';
import { startRelay } from './lib/relay.mjs';
import { held, holds } from './lib/tools.mjs';
import { until } from './lib/wait.mjs';

const QUICK = { args: ['--retry', '50ms'] };

/** Starts a relay of `source` of the hub `from` to a topic of the hub `to`, and waits until it listens. */
async function relay(t, from, source, to, topic) {
  const before = await from.metric('tidings_streams');
  const tool = startTidings(t, ['relay', from.url('/events', source), '--to', topic, '--hub', to.origin]);
  await until('the relay to listen', async () => (await from.metric('tidings_streams')) > before);
  return tool;
}

const data = (events) => events.map((event) => event.data).sort();

/** A ring of `size` hubs, with a relay from each to the next one; answers both. */
async function startRing(t, size) {
  const hubs = [];
  for (let n = 0; n < size; n += 1) hubs.push(await startHub(t, QUICK));
  const relays = [];
  for (const [n, hub] of hubs.entries()) {
    relays.push(await relay(t, hub, { topic: 'news' }, hubs[(n + 1) % size], 'news'));
  }
  return { hubs, relays };
}

const CAME_BACK = /^tidings: an event has come back to a topic that it was published to before; such events are passed over\n$/;

for (const size of [2, 3]) {
  test(`in a ring of ${size} hubs each event reaches every hub once, and the second arrival stops`, async (t) => {
    const EACH = 20;
    const { hubs, relays } = await startRing(t, size);
    const published = [];
    for (let n = 0; n < EACH; n += 1) {
      for (const [at, hub] of hubs.entries()) {
        published.push(`event ${n} of hub ${at}`);
        await hub.publish('news', published.at(-1));
      }
    }
    for (const hub of hubs) await holds(hub, 'news', published.length);

    // Relays keep the order. Once each has brought a last event of its own hub to the next one, it has
    // seen everything before that.
    for (const [at, hub] of hubs.entries()) {
      const last = `last of hub ${at}`;
      published.push(last);
      await hub.publish('news', last);
      for (const other of hubs) {
        await until(last, async () => (await held(other, 'news')).some((event) => event.data === last));
      }
    }
    for (const hub of hubs) {
      assert.deepEqual(data(await held(hub, 'news')), [...published].sort());
      assert.equal(await hub.metric('tidings_events_published_total'), published.length);
    }
    for (const { stderr } of relays) assert.match(stderr, CAME_BACK);
  });
}

for (const source of ['/events?match=**', '/events?topic=other&topic=copy', '/topics/copy']) {
  test(`a relay from ${source} to the topic copy of the same hub is refused with a sentence`, async (t) => {
    const hub = await startHub(t, QUICK);
    const tool = startTidings(t, ['relay', hub.url(source), '--to', 'copy', '--hub', hub.origin]);
    assert.deepEqual(await tool.ended, { code: 2, signal: null });
    assert.equal(
      tool.stderr,
      'tidings: the upstream contains the topic copy of the same hub: every event would come back for ever\n',
    );
  });
}

/** The same hub at another address, of which the tool cannot know that it is the same. */
async function elsewhere(t, hub) {
  const { origin } = await startRelay(t, hub.port);
  return { url: (path, query) => hub.url(path, query).replace(hub.origin, origin), metric: (name) => hub.metric(name) };
}

test('where the hub has two addresses, a relay from a pattern to a topic that it matches copies each event once', async (t) => {
  const hub = await startHub(t, QUICK);
  const tool = await relay(t, await elsewhere(t, hub), { match: '**' }, hub, 'copy');
  for (const text of ['one', 'two', 'three']) await hub.publish('news', text);
  assert.deepEqual(data(await holds(hub, 'copy', 3)), ['one', 'three', 'two']);
  // It has seen the copies of the first three when the next one arrives.
  await hub.publish('news', 'four');
  await holds(hub, 'copy', 4);
  assert.equal(await hub.metric('tidings_events_published_total'), 8);
  assert.match(tool.stderr, CAME_BACK);
});

test('where the hub has two addresses, a relay from a topic to itself copies nothing', async (t) => {
  const hub = await startHub(t, QUICK);
  const tool = await relay(t, await elsewhere(t, hub), { topic: 'news' }, hub, 'news');
  await hub.publish('news', 'one');
  await tool.printed(/passed over\n/);
  await hub.publish('news', 'two');
  await until('both to be refused', async () => (await hub.metric('tidings_refused_total{problem="relay-loop"}')) === 2);
  assert.deepEqual(data(await held(hub, 'news')), ['one', 'two']);
  assert.match(tool.stderr, CAME_BACK);
});

test('two relays between patterns of one hub copy each event once each', async (t) => {
  const hub = await startHub(t, QUICK);
  const tools = [
    await relay(t, hub, { match: 'a/*' }, hub, 'b/copy'),
    await relay(t, hub, { match: 'b/*' }, hub, 'a/copy'),
  ];
  await hub.publish('a/news', 'one');
  await holds(hub, 'a/copy', 1);
  await tools[0].printed(/passed over\n/);
  assert.equal(await hub.metric('tidings_events_published_total'), 3);
  assert.match(tools[0].stderr, CAME_BACK);
});
