//! A stream ended by the server stays closed: the reconnection is answered 204.

import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { curl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { header, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

/** Opens a page of the hub's; `/healthz` is one that opens no streams of its own. */
async function startChain(t, command, at = '/healthz') {
  const hub = await startHub(t, { command, args: ['--retry', '100ms'] });
  const relay = await startRelay(t, hub.port);
  const { page } = await openPage(browser, relay.origin + at);
  atEnd(t, () => page.context().close());
  const requests = (target) => relay.heads.filter((head) => head.startsWith(`GET ${target} `));
  return { hub, relay, page, requests };
}

/** The signals of an EventSource of `key` that has received only its greeting. */
const GREETED = ['open', 'connect'];

const types = async (listener) => (await listener.seen()).map(({ type }) => type);

test('a disconnected stream reconnects once, is answered 204, and stays closed', async (t) => {
  const { hub, relay, page, requests } = await startChain(t, 'demo');
  const disconnected = await listen(page, '/connect/alpha');
  const beside = await listen(page, '/connect/beta');
  await until('both greetings', async () => {
    return String([await types(disconnected), await types(beside)]) === String([GREETED, GREETED]);
  });

  assert.equal((await curl([hub.url('/disconnect/alpha')])).status, 204);
  await disconnected.closed();
  const [, , lost, closed, ...more] = await disconnected.seen();
  assert.deepEqual(lost, { type: 'error', readyState: 0 }, 'the end of a stream alone re-establishes it');
  assert.deepEqual(closed, { type: 'error', readyState: 2 });
  assert.deepEqual(more, []);
  const [, again] = requests('/connect/alpha');
  assert.match(header(again, 'last-event-id'), /^urn:uuid:/, 'it is told by the ID its preamble gave it');

  // A new EventSource is served, and so is its reconnection after a cut. An old one that wrongly
  // reconnects would have done so by then, because the reconnection times are equal.
  const anew = await listen(page, '/connect/alpha');
  await anew.opened();
  relay.cut('reset');
  await anew.opened(2);
  await beside.opened(2);
  assert.equal((await curl(['-d', 'still here', hub.url('/send/alpha')])).status, 204);
  await anew.received('still here');
  assert.equal(requests('/connect/alpha').length, 4);
  assert.equal(await disconnected.readyState(), 2);
  assert.deepEqual(await disconnected.data(), ['alpha is connected']);
});

test('a reader that was away while its key was disconnected is answered 204 as well', async (t) => {
  const { hub, relay, page } = await startChain(t, 'demo');
  const listener = await listen(page, '/connect/theta');
  await until('the greeting', async () => String(await types(listener)) === String(GREETED));
  relay.refuse();
  relay.cut('reset');
  await listener.lost();
  assert.equal((await curl([hub.url('/disconnect/theta')])).status, 204);
  await relay.accept();
  await listener.closed();
  assert.deepEqual(await listener.data(), ['theta is connected']);
});

test("the page's own button disconnects, and its connect button connects again", async (t) => {
  const { page } = await startChain(t, 'demo', '/');
  const panel = page.locator('form.panel').first();
  await panel.locator('button[type=submit]').click();
  await until('the stream', async () => (await panel.getAttribute('data-ready-state')) === '1');
  await panel.locator('.disconnect').click();
  await until('the end', async () => (await panel.getAttribute('data-ready-state')) === '2');
  assert.equal(await panel.locator('td.error').last().textContent(), 'error');
  assert.equal(
    await panel.locator('tbody tr').last().locator('.data').textContent(),
    'closed: the server ended the stream for good',
  );
  await panel.locator('button[type=submit]').click();
  await until('the stream again', async () => (await panel.getAttribute('data-ready-state')) === '1');
});

test('DELETE of a topic ends its streams for good, and those of no other topic', async (t) => {
  const { hub, page, requests } = await startChain(t, 'serve');
  const ended = await listen(page, '/topics/over');
  const other = await listen(page, '/topics/other');
  await Promise.all([ended.opened(), other.opened()]);
  await hub.publish('over', 'last');
  await ended.received('last');

  assert.equal((await curl(['-X', 'DELETE', hub.url('/subscribers', { topic: 'over' })])).status, 204);
  await ended.closed();
  assert.equal(requests('/topics/over').length, 2);
  await hub.publish('other', 'goes on');
  await other.received('goes on');
  assert.equal(requests('/topics/other').length, 1);

  const anew = await listen(page, '/topics/over');
  await anew.opened();
  await hub.publish('over', 'anew');
  await anew.received('anew');
});

test('DELETE of a subject ends its streams for good, on any topic, and no others', async (t) => {
  const { hub, page, requests } = await startChain(t, 'demo');
  const paths = ['/connect/alpha', '/stream-sse?user=alpha'];
  const listeners = await Promise.all(paths.map((path) => listen(page, path)));
  const other = await listen(page, '/connect/beta');
  await Promise.all([...listeners, other].map((listener) => listener.opened()));

  assert.equal((await curl(['-X', 'DELETE', hub.url('/subscribers', { subject: 'alpha' })])).status, 204);
  await Promise.all(listeners.map((listener) => listener.closed()));
  for (const path of paths) assert.equal(requests(path).length, 2);
  assert.equal((await curl([hub.url('/send/beta', { data: 'goes on' })])).status, 204);
  await other.received('goes on');
  assert.equal(requests('/connect/beta').length, 1);

  const anew = await listen(page, '/connect/alpha');
  await anew.opened();
  assert.equal((await curl([hub.url('/send/alpha', { data: 'anew' })])).status, 204);
  await anew.received('anew');
});
