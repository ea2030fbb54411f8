//! A page of another site in the same browser can neither publish nor read unless it is allowed to.

import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { startRelay } from './lib/relay.mjs';
import { startStatic } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const PAGE = '<!doctype html><title>elsewhere</title>';

async function startForeign(t, { command, allow } = {}) {
  const foreign = await startStatic(t, { pages: { '/': PAGE } });
  const allowed = allow ? ['--allow-origin', foreign.origin] : [];
  const hub = await startHub(t, { command, args: allowed });
  const relay = await startRelay(t, hub.port);
  const { page } = await openPage(browser, `${foreign.origin}/`);
  atEnd(t, () => page.context().close());
  return { hub, relay, page };
}

/** Every way to send a POST from a page without a preflight, and one with a preflight. */
const WAYS = {
  async 'a fetch that asks for an answer'(page, url) {
    await page.evaluate((url) => fetch(url, { method: 'POST', body: 'foreign' }).catch(() => {}), url);
  },
  async 'a fetch that wants no answer'(page, url) {
    await page.evaluate((url) => fetch(url, { method: 'POST', mode: 'no-cors', body: 'foreign' }), url);
  },
  async 'a fetch with credentials'(page, url) {
    const options = { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'foreign' };
    await page.evaluate(([url, options]) => fetch(url, options), [url, options]);
  },
  async 'a fetch of JSON, which asks first'(page, url) {
    const options = { method: 'POST', body: '"foreign"', headers: { 'content-type': 'application/json' } };
    await page.evaluate(([url, options]) => fetch(url, options).catch(() => {}), [url, options]);
  },
  async 'a form'(page, url) {
    await page.evaluate((url) => submit(url, 'application/x-www-form-urlencoded'), url);
  },
  async 'a form of plain text'(page, url) {
    await page.evaluate((url) => submit(url, 'text/plain'), url);
  },
  async 'a beacon'(page, url) {
    await page.evaluate((url) => navigator.sendBeacon(url, 'foreign'), url);
  },
  async 'a page without an origin'(page, url) {
    await page.evaluate((url) => {
      const frame = document.createElement('iframe');
      frame.sandbox = 'allow-scripts allow-forms';
      frame.srcdoc = `<script>fetch(${JSON.stringify(url)}, { method: 'POST', mode: 'no-cors', body: 'foreign' })</script>`;
      document.body.append(frame);
    }, url);
  },
};

/** A form that is submitted into a frame, so that the page stays. */
function submitter() {
  window.submit = (url, enctype) => {
    const frame = document.createElement('iframe');
    frame.name = `frame-${document.querySelectorAll('iframe').length}`;
    const form = document.createElement('form');
    Object.assign(form, { method: 'POST', action: url, enctype, target: frame.name });
    const field = document.createElement('input');
    Object.assign(field, { name: 'foreign', value: 'foreign' });
    form.append(field);
    document.body.append(frame, form);
    form.submit();
  };
}

/** The number of requests that the hub refused for their origin or site. */
async function refused(hub) {
  const series = (problem) => `tidings_refused_total{problem="${problem}"}`;
  return (await hub.metric(series('foreign-origin'))) + (await hub.metric(series('foreign-site')));
}

test('a foreign page cannot publish by any kind of request', async (t) => {
  const { hub, relay, page } = await startForeign(t);
  await page.evaluate(submitter);
  let expected = 0;
  for (const [way, send] of Object.entries(WAYS)) {
    await send(page, `${relay.origin}/topics/target`);
    expected += 1;
    await until(`${way} to be refused`, async () => (await refused(hub)) === expected);
  }
  const { events } = await hub.read('target');
  assert.deepEqual(events, []);
  assert.equal(await hub.metric('tidings_events_published_total'), 0);
});

test('a foreign page can read neither live events nor held ones', async (t) => {
  const { hub, relay, page } = await startForeign(t);
  await hub.publish('secret', 'for us alone');
  const url = `${relay.origin}/topics/secret`;
  const listener = await listen(page, `${url}?last_event_id=earliest`);
  await listener.closed();
  assert.deepEqual(await listener.seen(), [{ type: 'error', readyState: 2 }]);
  for (const headers of [{}, { accept: 'application/json' }, { 'last-event-id': 'earliest' }]) {
    const answer = await page.evaluate(
      ([url, headers]) => fetch(url, { headers }).then((answer) => answer.text(), String),
      [url, headers],
    );
    assert.equal(answer, 'TypeError: Failed to fetch');
  }
  for (const path of ['/topics', '/metrics', '/healthz']) {
    const answer = await page.evaluate((url) => fetch(url).then(() => 'read', String), relay.origin + path);
    assert.equal(answer, 'TypeError: Failed to fetch');
  }
});

test('a foreign page cannot end streams', async (t) => {
  const { hub, relay, page } = await startForeign(t);
  const { page: own } = await openPage(browser, `${relay.origin}/`);
  atEnd(t, () => own.context().close());
  const listener = await listen(own, '/topics/news');
  await listener.opened();
  const url = `${relay.origin}/subscribers?topic=news`;
  await page.evaluate((url) => fetch(url, { method: 'DELETE' }).catch(() => {}), url);
  await until('it to be refused', async () => (await refused(hub)) === 1);
  await hub.publish('news', 'goes on');
  await listener.received('goes on');
  assert.equal((await listener.seen()).filter(({ type }) => type === 'error').length, 0);
});

test("a foreign page cannot send by the demo's GETs, not even as an image or a link", async (t) => {
  const { hub, relay, page } = await startForeign(t, { command: 'demo' });
  const { page: own } = await openPage(browser, `${relay.origin}/healthz`);
  atEnd(t, () => own.context().close());
  const listener = await listen(own, '/connect/alpha');
  await listener.received('alpha is connected');

  const send = `${relay.origin}/send/alpha?data=foreign`;
  await page.evaluate((send) => (new Image().src = send), send);
  await until('the image to be refused', async () => (await refused(hub)) === 1);
  await page.evaluate((end) => (new Image().src = end), `${relay.origin}/disconnect/alpha`);
  await until('the end to be refused', async () => (await refused(hub)) === 2);
  await page.evaluate((send) => (location.href = send), send);
  await until('the link to be refused', async () => (await refused(hub)) === 3);
  assert.equal((await fetch(hub.url('/send/alpha'), { method: 'POST', body: 'our own' })).status, 204);
  await listener.received('our own');
  assert.deepEqual(await listener.data(), ['alpha is connected', 'our own']);
});

test('the same page publishes and reads once its origin is allowed', async (t) => {
  const { hub, relay, page } = await startForeign(t, { allow: true });
  await page.evaluate(submitter);
  const url = `${relay.origin}/topics/target`;
  const listener = await listen(page, url);
  await listener.opened();
  let expected = 0;
  for (const [way, send] of Object.entries(WAYS)) {
    await send(page, url);
    if (way === 'a page without an origin') continue;
    expected += 1;
    await until(`${way} to be published`, async () => (await hub.read('target')).events.length === expected);
  }
  await until('all events', async () => (await listener.data()).length === expected);
  await until('the page without an origin to be refused', async () => (await refused(hub)) === 1);
  assert.equal((await hub.read('target')).events.length, expected);

  const read = await page.evaluate(
    (url) => fetch(url, { headers: { accept: 'application/json' } }).then((answer) => answer.json()),
    url,
  );
  assert.equal(read.events.length, expected);
});

test('a page whose own name points at the hub is refused', async (t) => {
  const hub = await startHub(t);
  await hub.publish('secret', 'for us alone');
  const rebound = await startBrowser(t, { args: ['--host-resolver-rules=MAP evil.example 127.0.0.1'] });
  const page = await rebound.newPage();
  const answer = await page.goto(`http://evil.example:${hub.port}/topics/secret?last_event_id=earliest`);
  assert.equal(answer.status(), 421);
  const problem = await answer.json();
  assert.match(problem.detail, /does not answer to the host 'evil\.example:\d+'/);
  // To the browser the page and the hub have one origin, so only the Host distinguishes them.
  const published = await page.evaluate(() => {
    return fetch('/topics/target', { method: 'POST', body: 'rebound' }).then(({ status }) => status);
  });
  assert.equal(published, 421);
  assert.deepEqual((await hub.read('target')).events, []);
});
