//! Chromium's EventSource with a stream of another shape: pings that it sees, and gaps that close it.

import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { startHub } from './lib/hub.mjs';
import { until } from './lib/wait.mjs';

test("a page's EventSource sees a ping before the first event, and events after it", async (t) => {
  const hub = await startHub(t);
  const { page } = await openPage(await startBrowser(t), hub.url('/'));
  await page.evaluate(() => {
    window.seen = [];
    const source = new EventSource('/topics/a?ping=1s');
    for (const type of ['ping', 'message']) {
      source.addEventListener(type, ({ data, lastEventId }) => window.seen.push([type, data, lastEventId]));
    }
  });
  const seen = () => page.evaluate(() => window.seen);
  await until('two pings', async () => (await seen()).length >= 2);
  const id = await hub.publish('a', 'hi');
  await until('the event', async () => (await seen()).some(([type]) => type === 'message'));
  const [first] = await seen();
  assert.deepEqual(first.slice(0, 2), ['ping', '']);
  assert.deepEqual((await seen()).find(([type]) => type === 'message'), ['message', 'hi', id]);
});

test("a page's EventSource closes for good at a gap that is told by the status", async (t) => {
  const hub = await startHub(t);
  await hub.publish('a', 'held');
  const { page } = await openPage(await startBrowser(t), hub.url('/'));
  const closed = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const source = new EventSource('/topics/a?gap=close&last_event_id=unknown');
        const seen = [];
        for (const type of ['open', 'gap', 'message']) source.addEventListener(type, () => seen.push(type));
        source.addEventListener('error', () => resolve({ seen, state: source.readyState }));
      }),
  );
  assert.deepEqual(closed, { seen: [], state: 2 });
  assert.equal(await hub.metric('tidings_streams'), 0);
  assert.equal(await hub.metric('tidings_refused_total{problem="events-lost"}'), 1);
});
