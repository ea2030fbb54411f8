//! Streams within a topic: each client sees the end once, and stays away.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { EventSource } from 'eventsource';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { curl, startCurl } from './lib/curl.mjs';
import { runTidings, startHub } from './lib/hub.mjs';
import { runPython } from './lib/python.mjs';
import { header, startRelay } from './lib/relay.mjs';
import { NODE_MODULES } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const PATH = '/topics/chat/1';
const DATA = ['Once', ' upon', ' a time'];

/** A hub, and a relay in front of it that records who asks. */
async function start(t) {
  const hub = await startHub(t, { args: ['--retry', '100ms'] });
  const relay = await startRelay(t, hub.port);
  /** The requests for the stream. */
  const asked = () => relay.heads.filter((head) => head.startsWith(`GET ${PATH} `));
  return { hub, relay, asked };
}

/** Begins the stream of the topic and publishes an answer to it; `end` ends it, with the answer's last part. */
async function answer(hub, end = {}) {
  await hub.publish('chat/1', DATA[0], { query: { begin: '' } });
  await hub.publish('chat/1', DATA[1]);
  return hub.publish('chat/1', DATA[2], { query: end });
}

const END = { reason: 'done', events: 3 };

/** Checks what a client has seen: pairs of a type and its data. */
function assertWhole(seen) {
  assert.deepEqual(seen.slice(0, -1), DATA.map((data) => ['message', data]));
  assert.equal(seen.at(-1)[0], 'end');
  const { reason, events } = JSON.parse(seen.at(-1)[1]);
  assert.deepEqual({ reason, events }, END);
}

/** A page whose EventSource is connected, and which keeps pairs of a type and its data. */
async function listeningPage(t, hub, relay) {
  const { page } = await openPage(browser, `${relay.origin}/`);
  atEnd(t, () => page.context().close());
  await page.evaluate((url) => {
    window.seen = [];
    window.source = new EventSource(url);
    for (const type of ['message', 'end']) {
      window.source.addEventListener(type, ({ data }) => window.seen.push([type, data]));
    }
  }, PATH);
  await until('the stream', async () => (await hub.metric('tidings_streams')) === 1);
  return page;
}

test("a page's EventSource sees the end once, is answered 204 and stays away", async (t) => {
  const { hub, relay, asked } = await start(t);
  const page = await listeningPage(t, hub, relay);
  await answer(hub, { end: '' });
  await until('it to be closed', () => page.evaluate(() => window.source.readyState === 2));
  assertWhole(await page.evaluate(() => window.seen));
  assert.equal(asked().length, 2);
  assert.ok(header(asked()[1], 'last-event-id'));
});

test("after a silent end a page's EventSource has seen what was published, and stays away", async (t) => {
  const { hub, relay, asked } = await start(t);
  const page = await listeningPage(t, hub, relay);
  await answer(hub, { end: 'close' });
  await until('it to be closed', () => page.evaluate(() => window.source.readyState === 2));
  assert.deepEqual(await page.evaluate(() => window.seen), DATA.map((data) => ['message', data]));
  assert.equal(asked().length, 2);
});

test("a page's EventSource that comes back after a silent end goes on with the next stream", async (t) => {
  const { hub, relay } = await start(t);
  const page = await listeningPage(t, hub, relay);
  const seen = () => page.evaluate(() => window.seen.map(([, data]) => data));
  await answer(hub);
  await until('the last token', async () => (await seen()).length === DATA.length);
  relay.refuse();
  relay.cut();
  await until('it to wait', () => page.evaluate(() => window.source.readyState === 0));
  await hub.publish('chat/1', '', { query: { end: 'close' } });
  await hub.publish('chat/1', 'anew', { query: { begin: '' } });
  await relay.accept();
  await until('the next stream', async () => (await seen()).at(-1) === 'anew');
  assert.deepEqual(await seen(), [...DATA, 'anew']);
});

test("npm's package eventsource sees the end once, is answered 204 and stays away", async (t) => {
  const { hub, relay, asked } = await start(t);
  const source = new EventSource(`${relay.origin}${PATH}`);
  atEnd(t, () => source.close());
  const seen = [];
  for (const type of ['message', 'end']) source.addEventListener(type, ({ data }) => seen.push([type, data]));
  await until('the stream', async () => (await hub.metric('tidings_streams')) === 1);
  await answer(hub, { end: '' });
  await until('it to be closed', () => source.readyState === EventSource.CLOSED);
  assertWhole(seen);
  assert.equal(asked().length, 2);
});

/** A page on htmx, whose extension appends each message to the element that connects. */
async function htmxPage(t, origin, attributes, url = PATH) {
  const context = await browser.newContext();
  atEnd(t, () => context.close());
  const page = await context.newPage();
  const file = (name) => readFile(path.join(NODE_MODULES, 'htmx.org/dist', name), 'utf8');
  const body = `<!doctype html><title>htmx</title><script>${await file('htmx.js')}</script>
    <script>${await file('ext/hx-sse.js')}</script>
    <script>
      window.seen = [];
      window.asking = 0;
      window.asks = [];
      const ask = window.fetch;
      window.fetch = (...args) => {
        window.asks.push(Date.now());
        window.asking += 1;
        return ask(...args).finally(() => (window.asking -= 1));
      };
      // Its waits are as short as chance makes them.
      Math.random = () => 0;
      document.addEventListener('htmx:sse:before:message', ({ detail: { message } }) => {
        window.seen.push([message.event || 'message', message.data]);
      });
    </script>
    <div hx-sse:connect="${url}" ${attributes} hx-swap="beforeend"></div>`;
  await page.route('**/page', (route) => route.fulfill({ contentType: 'text/html', body }));
  await page.clock.install();
  await page.goto(`${origin}/page`);
  return page;
}

/**
 * Lets time pass in a page, in steps between which its requests are answered. Returns for how long they were held, in
 * milliseconds: the page's clock stands still meanwhile.
 */
async function pass(page, minutes) {
  let held = 0;
  for (let step = 0; step < minutes * 30; step += 1) {
    await page.clock.runFor(2000);
    const began = performance.now();
    await until('an answer', () => page.evaluate(() => window.asking === 0));
    held += performance.now() - began;
  }
  return held;
}

/** Ends of the stream of htmx, each with the events that it has seen then beside the data. */
const ENDS = {
  'an end': { last: { end: '' }, seen: ['end', 'retry'] },
  'a silent end': { last: { end: 'close' }, seen: ['retry'] },
  'a kick': { seen: ['retry'], kick: (hub) => curl(['-X', 'DELETE', hub.url('/subscribers', { topic: 'chat/1' })]) },
};

for (const [name, { last, seen, kick }] of Object.entries(ENDS)) {
  test(`htmx asks at most once a minute after ${name}`, async (t) => {
    const { hub, relay, asked } = await start(t);
    const page = await htmxPage(t, relay.origin, '');
    await until('the stream', async () => (await hub.metric('tidings_streams')) === 1);
    await answer(hub, last);
    await kick?.(hub);
    await until('the last event', () => page.evaluate(() => window.seen.at(-1)?.[0] === 'retry'));
    const types = () => page.evaluate(() => window.seen.map(([type]) => type));
    assert.deepEqual(await types(), [...DATA.map(() => 'message'), ...seen]);
    const held = await pass(page, 1.5);
    const [, ...again] = await page.evaluate(() => window.asks);
    assert.equal(again.length, 2);
    assert.equal(asked().length, 3);
    const apart = again[1] - again[0] + held / again.length;
    assert.ok(apart >= 60_000, `${apart} ms from one request to the next`);
    assert.deepEqual(await types(), [...DATA.map(() => 'message'), ...seen]);
    // A kick is for good. The next stream finds it waiting.
    if (kick) return;
    await hub.publish('chat/1', 'anew', { query: { begin: '' } });
    await pass(page, 1);
    await until('the next stream', () => page.evaluate(() => window.seen.at(-1)[1] === 'anew'));
    assert.equal(asked().length, 4);
  });
}

test('htmx has nothing to resume of an unknown chat, and does not ask again', async (t) => {
  const { relay } = await start(t);
  const page = await htmxPage(t, relay.origin, '', `${PATH}?from=active`);
  const asked = () => relay.heads.filter((head) => head.startsWith(`GET ${PATH}?`)).length;
  await until('the request', () => asked() === 1);
  await pass(page, 2);
  assert.equal(asked(), 1);
  assert.deepEqual(await page.evaluate(() => window.seen), []);
});

test('htmx that closes at the end does not ask again', async (t) => {
  const { hub, relay, asked } = await start(t);
  const page = await htmxPage(t, relay.origin, 'hx-sse:close="end"');
  await until('the stream', async () => (await hub.metric('tidings_streams')) === 1);
  await answer(hub, { end: '' });
  await until('the end', () => page.evaluate(() => window.seen.some(([type]) => type === 'end')));
  await pass(page, 2);
  assert.equal(asked().length, 1);
  assertWhole(await page.evaluate(() => window.seen));
  assert.equal(await page.textContent('div'), DATA.join(''));
});

for (const version of ['1.0', '1.1', '2-prior-knowledge']) {
  test(`curl over HTTP/${version} sees the end once and ends, and is answered 410 when it comes back`, async (t) => {
    const { hub } = await start(t);
    const reader = startCurl(t, [`--http${version}`, hub.url(PATH)]);
    await reader.head();
    await answer(hub, { end: '' });
    const seen = [];
    let id;
    for (let event; (event = await reader.event()); id = event.id) seen.push([event.type, event.data]);
    assertWhole(seen);
    assert.equal((await reader.ended).code, 0);
    const back = await curl([`--http${version}`, '-H', `Last-Event-ID: ${id}`, hub.url(PATH)]);
    assert.deepEqual([back.status, JSON.parse(back.body).type], [410, '/problems/stream-ended']);
  });
}

test("Python's package httpx-sse sees the end once, and is answered 204 when it comes back", async (t) => {
  const { hub } = await start(t);
  await answer(hub, { end: '' });
  const script = `
import json, sys, httpx
from httpx_sse import connect_sse
with httpx.Client() as client:
    place, statuses, seen = "earliest", [], []
    while not statuses or statuses[-1] == 200:
        with connect_sse(client, "GET", sys.argv[1], headers={"Last-Event-ID": place}) as source:
            statuses.append(source.response.status_code)
            if statuses[-1] == 200:
                for event in source.iter_sse():
                    seen.append([event.event, event.data])
                    place = event.id
print(json.dumps([statuses, seen]))
`;
  const { stdout, stderr } = await runPython(script, [hub.url(PATH)]);
  assert.equal(stderr, '');
  const [statuses, seen] = JSON.parse(stdout);
  assert.deepEqual(statuses, [200, 204]);
  assertWhole(seen);
});

test('tidings listen ends with the stream and says why', async (t) => {
  const { hub, relay, asked } = await start(t);
  await answer(hub, { end: '' });
  const listen = (...args) => runTidings(['listen', `${relay.origin}${PATH}`, ...args]);
  const whole = await listen('--last-event-id', 'earliest');
  assert.deepEqual([whole.code, whole.stdout], [0, `${DATA.join('\n')}\n`]);
  assert.equal(whole.stderr, 'tidings: end: done, 3 events\n');
  assert.equal(asked().length, 1);

  const lines = (await listen('--last-event-id', 'earliest', '--json')).stdout.trim().split('\n').map(JSON.parse);
  const [end, closed] = lines.slice(-2);
  assert.deepEqual([end.kind, end.reason, end.events, end.topic], ['end', 'done', 3, undefined]);
  assert.deepEqual([closed.kind, closed.why], ['closed', 'ended']);
  assert.equal((await listen('--last-event-id', end.id)).code, 0);

  // An answer that is begun anew is aborted.
  await hub.publish('chat/1', 'again', { query: { begin: '' } });
  await hub.publish('chat/1', 'and again', { query: { begin: '' } });
  const aborted = await listen('--last-event-id', end.id);
  assert.deepEqual([aborted.code, aborted.stdout], [1, 'again\n']);
  assert.match(aborted.stderr, /^tidings: end: aborted, 1 events\ntidings: the stream has ended: aborted, 1 events\n$/);
});
