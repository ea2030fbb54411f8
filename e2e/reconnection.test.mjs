//! A browser whose connection is cut reconnects by itself, and no event is lost or doubled.

import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { header, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const HUB_ID = /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A hub, a relay in front of it, and a page that connects through the relay. */
async function startChain(t, args = []) {
  const hub = await startHub(t, { args: ['--retry', '100ms', ...args] });
  const relay = await startRelay(t, hub.port);
  const { page } = await openPage(browser, `${relay.origin}/`);
  atEnd(t, () => page.context().close());
  return { hub, relay, page };
}

/** The request heads that asked for `target`, oldest first. */
function requests(relay, target) {
  return relay.heads.filter((head) => head.startsWith(`GET ${target} `));
}

for (const how of ['reset', 'fin']) {
  test(`a stream cut by ${how} resumes after its last event, with the events published meanwhile`, async (t) => {
    const { hub, relay, page } = await startChain(t);
    const listener = await listen(page, '/topics/news');
    await listener.opened();
    const id = await hub.publish('news', 'before');
    await listener.received('before');

    relay.refuse();
    relay.cut(how);
    await listener.lost();
    await hub.publish('news', 'meanwhile 1');
    await hub.publish('news', 'meanwhile 2');
    await relay.accept();
    await listener.received('meanwhile 2');
    await hub.publish('news', 'after');
    await listener.received('after');

    assert.deepEqual(await listener.data(), ['before', 'meanwhile 1', 'meanwhile 2', 'after']);
    const [first, second, ...more] = requests(relay, '/topics/news');
    assert.equal(header(first, 'last-event-id'), undefined);
    assert.equal(header(second, 'last-event-id'), id);
    assert.deepEqual(more, []);
  });

  test(`a stream cut by ${how} before its first event has a place from its preamble`, async (t) => {
    const { hub, relay, page } = await startChain(t);
    await hub.publish('news', 'long ago');
    const streams = await watchStreams(page, '/topics/news');
    const listener = await listen(page, '/topics/news');
    await listener.opened();
    await streams.first();

    relay.refuse();
    relay.cut(how);
    await listener.lost();
    await hub.publish('news', 'while away');
    await relay.accept();
    await listener.received('while away');

    assert.deepEqual(await listener.data(), ['while away']);
    const place = header(requests(relay, '/topics/news')[1], 'last-event-id');
    assert.match(place, HUB_ID);
    assert.notEqual(place, (await hub.read('news')).last_event_id);
  });
}

test('an event cut in two is delivered whole on the next connection', async (t) => {
  const { hub, relay, page } = await startChain(t);
  const listener = await listen(page, '/topics/large');
  await listener.opened();
  const data = 'tidings '.repeat(100_000);

  relay.cutAfter(300_000, 'fin');
  await hub.publish('large', data);
  await listener.received(data);

  assert.deepEqual(await listener.data(), [data]);
  assert.equal((await listener.seen()).filter(({ type }) => type === 'open').length, 2);
});

test('many cuts in the middle of a busy stream lose and double nothing', async (t) => {
  const { hub, relay, page } = await startChain(t);
  const listener = await listen(page, '/events?match=busy/*&topic=also');
  await listener.opened();
  const published = [];
  for (let round = 0; round < 8; round += 1) {
    // The cut may be anywhere: in a head, in an ID, or between two events.
    relay.cutAfter(100 + 137 * round, round % 2 ? 'fin' : 'reset');
    for (let n = 0; n < 20; n += 1) {
      const data = `${round}.${n}`;
      await hub.publish(n % 5 ? `busy/${n % 3}` : 'also', data);
      published.push(data);
    }
    await listener.received(`${round}.19`);
  }
  assert.deepEqual(await listener.data(), published);
  assert.ok(requests(relay, '/events?match=busy/*&topic=also').length >= 8, 'it was cut in every round');
});

test('a quiet stream of several topics keeps its place near the tail', async (t) => {
  const { hub, relay, page } = await startChain(t, ['--heartbeat', '200ms', '--history-events', '3']);
  const target = '/events?topic=quiet&match=still/**';
  const streams = await watchStreams(page, target);
  const [listener, loud] = [await listen(page, target), await listen(page, '/topics/loud')];
  await Promise.all([listener.opened(), loud.opened()]);
  let tail;
  for (let n = 0; n < 10; n += 1) tail = await hub.publish('loud', `${n}`);
  // Heartbeats of long before have arrived by then, however slow the page is.
  await loud.received('9');
  // A heartbeat names the place that was read after the one before it, and one may already have been in flight
  // before the last of these.
  await streams.more(3);

  relay.refuse();
  relay.cut('reset');
  await listener.lost();
  await hub.publish('quiet', 'for you');
  await relay.accept();
  await listener.received('for you');
  // Events evicted from another topic are not lost to this reader, so there is no gap.
  assert.deepEqual(await listener.data(), ['for you']);
  assert.equal(header(requests(relay, target)[1], 'last-event-id'), tail);
});

test('events evicted while away are reported as a gap, once', async (t) => {
  const { hub, relay, page } = await startChain(t, ['--history-events', '2']);
  const listener = await listen(page, '/topics/news');
  await listener.opened();
  const seen = await hub.publish('news', 'seen');
  await listener.received('seen');

  relay.refuse();
  relay.cut('reset');
  await listener.lost();
  for (const data of ['lost', 'held 1', 'held 2']) await hub.publish('news', data);
  await relay.accept();
  await listener.received('held 2');
  relay.cut('reset');
  await listener.opened(3);
  await hub.publish('news', 'after');
  await listener.received('after');

  const [, gap, ...rest] = await listener.events();
  assert.equal(gap.type, 'gap');
  const { asked, oldest } = JSON.parse(gap.data);
  assert.equal(asked, seen);
  assert.equal(oldest, rest[0].id);
  assert.deepEqual(rest.map(({ data }) => data), ['held 1', 'held 2', 'after']);
});

/** Counts the chunks that the page's network stack hands to its EventSource of `target`. */
async function watchStreams(page, target) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  const streams = new Set();
  let pieces = 0;
  session.on('Network.requestWillBeSent', ({ requestId, type, request }) => {
    if (type === 'EventSource' && request.url.endsWith(target)) streams.add(requestId);
  });
  session.on('Network.dataReceived', ({ requestId }) => {
    if (streams.has(requestId)) pieces += 1;
  });
  return {
    /** Waits for `count` more chunks. */
    more(count) {
      const enough = pieces + count;
      return until('pieces of the stream', () => pieces >= enough);
    },
    /** Waits for the first chunk. */
    first: () => until('the first piece of the stream', () => pieces > 0),
  };
}
