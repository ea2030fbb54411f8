//! Pages of another, allowed origin: with credentials, and across reconnections.

import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { curl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { header, startRelay } from './lib/relay.mjs';
import { startStatic } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const PAGE = '<!doctype html><title>elsewhere</title>';

/** A page of another origin, with a cookie, and a hub that allows `allow(origin)`. */
async function startElsewhere(t, allow) {
  const elsewhere = await startStatic(t, { pages: { '/': PAGE } });
  const allowed = allow(elsewhere.origin).flatMap((origin) => ['--allow-origin', origin]);
  const hub = await startHub(t, { args: ['--retry', '100ms', ...allowed] });
  const relay = await startRelay(t, hub.port);
  const { page } = await openPage(browser, `${elsewhere.origin}/`);
  atEnd(t, () => page.context().close());
  // Cookies ignore ports, so this one is sent to the hub as well.
  await page.evaluate(() => (document.cookie = 'user=alpha'));
  const requests = (method) => relay.heads.filter((head) => head.startsWith(`${method} `));
  return { elsewhere, hub, relay, page, requests };
}

const itself = (origin) => [origin];

test('C6: with credentials from an allowed origin a stream opens and reconnects', async (t) => {
  const { elsewhere, hub, relay, page, requests } = await startElsewhere(t, itself);
  const listener = await listen(page, `${relay.origin}/topics/news`, { withCredentials: true });
  await listener.opened();
  const id = await hub.publish('news', 'before');
  await listener.received('before');
  relay.cut('reset');
  await listener.opened(2);
  await hub.publish('news', 'after');
  await listener.received('after');

  assert.deepEqual(await listener.data(), ['before', 'after']);
  const [first, second] = requests('GET');
  for (const head of [first, second]) {
    assert.equal(header(head, 'cookie'), 'user=alpha');
    assert.equal(header(head, 'origin'), elsewhere.origin);
  }
  assert.equal(header(second, 'last-event-id'), id);
});

test('C6: the answer names the one origin, allows credentials, and is never *', async (t) => {
  const { elsewhere, hub } = await startElsewhere(t, (origin) => [origin, 'https://example.com', '*']);
  for (const origin of [elsewhere.origin, 'https://example.com']) {
    const { headers } = await curl(['--head', '-H', `Origin: ${origin}`, hub.url('/topics/news')]);
    assert.equal(headers.get('access-control-allow-origin'), origin);
    assert.equal(headers.get('access-control-allow-credentials'), 'true');
    assert.match(headers.get('vary'), /\bOrigin\b/);
    assert.match(headers.get('access-control-expose-headers'), /\bLast-Event-ID\b/);
  }
});

test('C6: an origin that is not allowed opens no stream, with or without credentials', async (t) => {
  const { relay, page } = await startElsewhere(t, () => ['https://example.com']);
  for (const withCredentials of [false, true]) {
    const listener = await listen(page, `${relay.origin}/topics/news`, { withCredentials });
    await listener.closed();
    assert.deepEqual(await listener.seen(), [{ type: 'error', readyState: 2 }]);
  }
});

test('C6: if every origin may read, it may do so only without credentials', async (t) => {
  const { hub, relay, page } = await startElsewhere(t, () => ['*']);
  const without = await listen(page, `${relay.origin}/topics/news`);
  await without.opened();
  const withThem = await listen(page, `${relay.origin}/topics/news`, { withCredentials: true });
  await withThem.closed();
  await hub.publish('news', 'for all');
  await without.received('for all');
  assert.deepEqual(await withThem.data(), []);
});

for (const [what, id] of [
  ['with < and >', '<x>'],
  ['of 128 bytes', `${'…'.repeat(42)}.e`],
  ['with quotes, brackets and a backslash', '"(a)[b]{c}\\@?'],
]) {
  test(`T48: an event ID ${what} resumes from another origin, with or without a preflight`, async (t) => {
    const { elsewhere, hub, relay, page, requests } = await startElsewhere(t, itself);
    const listener = await listen(page, `${relay.origin}/topics/news`, { withCredentials: true });
    await listener.opened();
    assert.equal(await hub.publish('news', 'before', { query: { id } }), id);
    await listener.received('before');
    relay.refuse();
    relay.cut('reset');
    await listener.lost();
    await hub.publish('news', 'meanwhile', { query: { id: 'next' } });
    await relay.accept();
    await listener.received('meanwhile');

    assert.deepEqual(await listener.data(), ['before', 'meanwhile']);
    assert.equal(Buffer.from(header(requests('GET')[1], 'last-event-id'), 'latin1').toString(), id);
    // Chromium sends no preflight for an EventSource's ID; a browser that does asks only for this header.
    for (const head of requests('OPTIONS')) {
      assert.equal(header(head, 'origin'), elsewhere.origin);
      assert.equal(header(head, 'access-control-request-headers'), 'last-event-id');
    }
  });
}
