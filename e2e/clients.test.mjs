//! Third-party clients: browsers, curl, and packages from npm and PyPI.

import assert from 'node:assert/strict';
import test from 'node:test';

import { EventSource } from 'eventsource';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { curl, startCurl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { startPython } from './lib/python.mjs';
import { header, startRelay } from './lib/relay.mjs';
import { NODE_MODULES, startStatic } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

/** A heartbeat interval so short that heartbeats stand between all events. */
const BRISK = ['--retry', '100ms', '--heartbeat', '100ms'];

/** Waits until the stream of `reader` has received `count` more heartbeats. */
async function heartbeats(reader, count) {
  for (let seen = 0; seen < count; ) if ((await reader.line()) === ':') seen += 1;
}

test('T47: a browser sends the ID … back as UTF-8, and the stream resumes', async (t) => {
  const hub = await startHub(t, { args: ['--retry', '100ms'] });
  const relay = await startRelay(t, hub.port);
  const { page } = await openPage(browser, `${relay.origin}/`);
  atEnd(t, () => page.context().close());
  const listener = await listen(page, '/topics/news');
  await listener.opened();
  assert.equal(await hub.publish('news', 'before', { query: { id: '…' } }), '…');
  await listener.received('before');
  relay.refuse();
  relay.cut('reset');
  await listener.lost();
  await hub.publish('news', 'meanwhile', { query: { id: 'größer 😀' } });
  await relay.accept();
  await listener.received('meanwhile');
  relay.cut('fin');
  await listener.opened(3);
  await hub.publish('news', 'after');
  await listener.received('after');

  assert.deepEqual(await listener.data(), ['before', 'meanwhile', 'after']);
  const ids = relay.heads
    .filter((head) => head.startsWith('GET /topics/news '))
    .map((head) => header(head, 'last-event-id'))
    .map((id) => id && Buffer.from(id, 'latin1').toString());
  assert.deepEqual(ids, [undefined, '…', 'größer 😀']);
});

test('T47: the ID … resumes from curl, as raw bytes in the header and encoded in the query', async (t) => {
  const hub = await startHub(t);
  await hub.publish('news', 'before', { query: { id: '…' } });
  await hub.publish('news', 'after');
  for (const args of [
    ['-H', 'Last-Event-ID: …', hub.url('/topics/news')],
    [hub.url('/topics/news?last_event_id=%E2%80%A6')],
  ]) {
    const reader = startCurl(t, args);
    const event = await reader.event();
    assert.deepEqual([event.type, event.data], ['message', 'after']);
  }
});

/** A page that reads with fetch-event-source and records its events. */
const FETCH_EVENT_SOURCE = `<!doctype html><title>fetch-event-source</title><script type="module">
  import { fetchEventSource } from '/modules/@microsoft/fetch-event-source/lib/esm/index.js';
  window.seen = [];
  window.opened = 0;
  window.listen = (url) => fetchEventSource(url, {
    openWhenHidden: true,
    async onopen() { window.opened += 1; },
    onmessage(event) { window.seen.push(event); },
    // Reconnect after a cut.
    onerror() { return 50; },
    onclose() { throw new Error('the stream ended'); },
  });
</script>`;

test('T50: fetch-event-source dispatches no empty message for lines between events', async (t) => {
  const elsewhere = await startStatic(t, {
    pages: { '/': FETCH_EVENT_SOURCE },
    folders: { '/modules/': NODE_MODULES },
  });
  const hub = await startHub(t, { args: [...BRISK, '--allow-origin', elsewhere.origin] });
  const relay = await startRelay(t, hub.port);
  const { page } = await openPage(browser, `${elsewhere.origin}/`);
  atEnd(t, () => page.context().close());
  await until('the package', () => page.evaluate(() => window.listen !== undefined));
  // Several topics: to an EventSource, such a stream sends its place with each heartbeat.
  const url = `${relay.origin}/events?topic=news&match=weather/**`;
  await page.evaluate((url) => void window.listen(url), url);
  await until('it to open', () => page.evaluate(() => window.opened === 1));
  const beside = startCurl(t, [hub.url('/topics/other')]);
  await heartbeats(beside, 5);
  const id = await hub.publish('news', 'one', { query: { type: 'tick' } });
  await hub.publish('weather/sea', '', { query: { id: 'empty, but published' } });
  await heartbeats(beside, 5);
  relay.cut('reset');
  await until('it to open again', () => page.evaluate(() => window.opened === 2));
  await heartbeats(beside, 5);
  await hub.publish('news', 'two', { query: { id: 'two' } });
  await until('the last event', () => page.evaluate(() => window.seen.at(-1)?.id === 'two'));

  const seen = await page.evaluate(() => window.seen.map(({ id, event, data }) => ({ id, event, data })));
  assert.deepEqual(seen, [
    { id, event: 'tick', data: 'one' },
    { id: 'empty, but published', event: '', data: '' },
    { id: 'two', event: '', data: 'two' },
  ]);
});

test('T48: fetch-event-source resumes from another origin, after a preflight for last-event-id alone', async (t) => {
  const elsewhere = await startStatic(t, {
    pages: { '/': FETCH_EVENT_SOURCE },
    folders: { '/modules/': NODE_MODULES },
  });
  const hub = await startHub(t, { args: ['--allow-origin', elsewhere.origin] });
  const relay = await startRelay(t, hub.port);
  const { page } = await openPage(browser, `${elsewhere.origin}/`);
  atEnd(t, () => page.context().close());
  await until('the package', () => page.evaluate(() => window.listen !== undefined));
  await page.evaluate((url) => void window.listen(url), `${relay.origin}/topics/news`);
  await until('it to open', () => page.evaluate(() => window.opened === 1));
  await hub.publish('news', 'one', { query: { id: '<x>' } });
  await until('the first event', () => page.evaluate(() => window.seen.length === 1));
  relay.cut('reset');
  await until('it to open again', () => page.evaluate(() => window.opened === 2));
  await hub.publish('news', 'two');
  await until('the second event', () => page.evaluate(() => window.seen.length === 2));

  assert.deepEqual(await page.evaluate(() => window.seen.map(({ data }) => data)), ['one', 'two']);
  const [preflight] = relay.heads.filter((head) => head.startsWith('OPTIONS '));
  assert.equal(header(preflight, 'access-control-request-headers'), 'last-event-id');
  assert.equal(header(preflight, 'origin'), elsewhere.origin);
  const resumed = relay.heads.filter((head) => head.startsWith('GET ')).at(-1);
  assert.equal(header(resumed, 'last-event-id'), '<x>');
});

const HTTPX_SSE = `
import sys, httpx
from httpx_sse import connect_sse
with httpx.Client(timeout=None) as client, connect_sse(client, "GET", sys.argv[1]) as source:
    print("open")
    for event in source.iter_sse():
        print(repr((event.event, event.data, event.id, event.retry)))
`;

test('T50: httpx-sse yields no empty message for lines between events', async (t) => {
  const hub = await startHub(t, { args: BRISK });
  const reader = startPython(t, HTTPX_SSE, [hub.url('/events?topic=news&match=weather/**')]);
  await reader.printed(/^open$/m);
  const beside = startCurl(t, [hub.url('/topics/other')]);
  await heartbeats(beside, 5);
  const id = await hub.publish('news', 'one', { query: { type: 'tick' } });
  await heartbeats(beside, 5);
  await hub.publish('weather/sea', 'two', { query: { id: 'two' } });
  await reader.printed(/'two'/);
  // To httpx-sse the preamble's reconnection time belongs to the first event, not to its own block.
  assert.deepEqual(reader.stdout.trim().split('\n'), [
    'open',
    `('tick', 'one', '${id}', 100)`,
    "('message', 'two', 'two', None)",
  ]);
});

test('the package eventsource opens at once, ignores heartbeats, and resumes', async (t) => {
  const hub = await startHub(t, { args: BRISK });
  const relay = await startRelay(t, hub.port);
  const url = `${relay.origin}/topics/news`;
  const source = new EventSource(url);
  atEnd(t, () => source.close());
  const seen = [];
  let opened = 0;
  source.onopen = () => (opened += 1);
  source.onmessage = ({ data }) => seen.push(data);
  await until('it to open', () => opened === 1);
  const id = await hub.publish('news', 'one');
  await until('the first event', () => seen.length === 1);
  relay.refuse();
  relay.cut('fin');
  await until('it to notice', () => source.readyState === 0);
  await hub.publish('news', 'two');
  await relay.accept();
  await until('the second event', () => seen.length === 2);
  assert.equal(header(relay.heads.at(-1), 'last-event-id'), id);
  const beside = startCurl(t, [hub.url('/topics/other')]);
  await heartbeats(beside, 5);
  relay.cut('reset');
  await until('it to open a third time', () => opened === 3);
  await hub.publish('news', 'three');
  await until('the third event', () => seen.length === 3);
  assert.deepEqual(seen, ['one', 'two', 'three']);

  await curl(['-X', 'DELETE', hub.url('/subscribers', { topic: 'news' })]);
  await until('it to be closed', () => source.readyState === 2);
});
