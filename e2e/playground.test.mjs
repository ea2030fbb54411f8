//! The page of `tidings serve`: publishing and listening, and its commands for a terminal.

import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { Program, run } from './lib/program.mjs';
import { header, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

async function startPage(t, args = []) {
  const hub = await startHub(t, { args: ['--retry', '100ms', ...args] });
  const relay = await startRelay(t, hub.port);
  const { page, problems } = await openPage(browser, `${relay.origin}/`);
  atEnd(t, () => page.context().close());
  return { hub, relay, page, problems };
}

async function listenTo(page, topic) {
  await page.fill('#listen [name=topic]', topic);
  await page.click('#listen button[type=submit]');
  await until('the stream', async () => (await page.getAttribute('#state', 'data-state')) === 'open');
}

async function publish(page, { topic, type = '', data }) {
  if (topic !== undefined) await page.fill('#publish [name=topic]', topic);
  await page.fill('#publish [name=type]', type);
  await page.fill('#publish [name=data]', data);
  await page.click('#publish button');
}

/** The rows of the table: `{ time, id, type, data }`, newest last. */
function rows(page) {
  return page.evaluate(() =>
    [...document.querySelector('#events tbody').rows].map(({ cells: [, time, id, type, data] }) => ({
      time: time.textContent,
      id: id.textContent,
      type: type.textContent,
      data: data.textContent,
    })),
  );
}

const row = (page, data) => until(`a row of ${data}`, async () => (await rows(page)).find((row) => row.data === data));

const note = (page, selector) => until(selector, async () => (await page.isVisible(selector)) && page.textContent(selector));

test('an event published on the page is received there with its type and ID', async (t) => {
  const { hub, page, problems } = await startPage(t);
  await listenTo(page, 'hello');
  await publish(page, { data: 'hi' });
  const { id } = await row(page, 'hi');
  assert.equal(await note(page, '#publish-note'), `Published, with the ID ${id}`);
  await publish(page, { type: 'tick', data: 'two\nlines <b>not bold</b>' });
  assert.equal((await row(page, 'two\nlines <b>not bold</b>')).type, 'tick');
  assert.deepEqual((await hub.read('hello')).events.map(({ type }) => type), ['message', 'tick']);
  assert.equal(await page.locator('#events b').count(), 0, 'data is text');
  assert.deepEqual(problems, []);
});

for (const topic of ['a//b', '/', 'https://example.com/books/1', 'a/../b', '../x?y=1#z', '100 % ü +&=', '…/😀 ']) {
  test(`the topic ${JSON.stringify(topic)} is listened to and published to`, async (t) => {
    const { hub, page, problems } = await startPage(t);
    await listenTo(page, topic);
    assert.equal(await page.inputValue('#publish [name=topic]'), topic, 'publishing follows listening');
    await publish(page, { type: 'tick', data: 'heard' });
    assert.equal((await row(page, 'heard')).type, 'tick');
    assert.equal((await hub.read(topic)).events.length, 1);
    assert.deepEqual(problems, []);
  });
}

test('a pattern receives the topics it matches', async (t) => {
  const { hub, page } = await startPage(t);
  await listenTo(page, 'orders/*/shipped');
  await hub.publish('orders/7/open', 'not this');
  await hub.publish('orders/7/shipped', 'this');
  await row(page, 'this');
  assert.deepEqual((await rows(page)).map(({ data }) => data), ['this']);
});

test('the page can start with everything held or after an ID, and describes a gap', async (t) => {
  const { hub, page } = await startPage(t, ['--history-events', '3']);
  const ids = [];
  for (let n = 1; n <= 3; n += 1) ids.push(await hub.publish('hello', `${n}`));
  await page.selectOption('#listen [name=start]', 'earliest');
  await listenTo(page, 'hello');
  await row(page, '3');
  assert.deepEqual((await rows(page)).map(({ data }) => data), ['1', '2', '3']);
  await page.selectOption('#listen [name=start]', 'after');
  await page.fill('#listen [name=after]', ids[1]);
  await page.click('#listen button[type=submit]');
  await until('just the third', async () => (await rows(page)).map(({ data }) => data).join() === '3');

  await hub.publish('hello', '4');
  for (let n = 5; n <= 7; n += 1) await hub.publish('hello', `${n}`);
  await page.fill('#listen [name=after]', ids[2]);
  await page.click('#listen button[type=submit]');
  assert.match(await note(page, '#gap'), /^Gap: the hub no longer holds every event after urn:uuid:/);
  await until('what is held', async () => (await rows(page)).map(({ data }) => data).slice(1).join() === '5,6,7');
});

test("a refusal shows the hub's own words", async (t) => {
  const { page } = await startPage(t);
  await page.fill('#listen [name=topic]', 'ot*');
  await page.click('#listen button[type=submit]');
  assert.match(await note(page, '#listen-note'), /whole segment/);
  await publish(page, { topic: 'hello', data: 'x', type: 'a\u0000b' });
  assert.match(await note(page, '#publish-note'), /type must not contain CR, LF or NUL/);
});

test('a lost connection is shown until it is back', async (t) => {
  const { hub, relay, page } = await startPage(t);
  await listenTo(page, 'hello');
  relay.refuse();
  relay.cut('reset');
  assert.equal(await note(page, '#listen-note'), 'Connection lost: reconnecting.');
  await hub.publish('hello', 'meanwhile');
  await relay.accept();
  await row(page, 'meanwhile');
  assert.equal(await page.isVisible('#listen-note'), false);
  await page.click('#stop');
  assert.equal(await page.getAttribute('#state', 'data-state'), 'closed');
  await until('the hub to notice', async () => (await hub.metric('tidings_subscribers')) === 0);
});

test('every event is shown, whatever its type, with the time at which it came', async (t) => {
  const { hub, page, problems } = await startPage(t);
  await listenTo(page, 'hello');
  // The last two are the names of an EventSource's own events.
  for (const type of ['tick', 'a type nobody named', 'größe', 'error', 'open']) {
    await hub.publish('hello', `of ${type}`, { query: { type } });
    const { type: shown, time } = await row(page, `of ${type}`);
    assert.equal(shown, type);
    assert.match(time, /^\d{2}:\d{2}:\d{2}$/);
  }
  assert.equal(await page.getAttribute('#state', 'data-state'), 'open');
  assert.deepEqual(problems, []);
});

test('a stream that breaks is resumed after the last event, whatever its ID', async (t) => {
  const { hub, relay, page } = await startPage(t);
  await listenTo(page, 'hello');
  await hub.publish('hello', '1', { query: { id: 'größe-😀' } });
  await row(page, '1');
  relay.refuse();
  relay.cut('reset');
  await hub.publish('hello', '2');
  await relay.accept();
  await row(page, '2');
  assert.deepEqual((await rows(page)).map(({ data }) => data), ['1', '2']);
  const resumed = relay.heads.filter((head) => header(head, 'last-event-id')).at(-1);
  assert.equal(Buffer.from(header(resumed, 'last-event-id'), 'latin1').toString(), 'größe-😀');
});

test('a proxy that says 502 while the hub is away ends nothing', async (t) => {
  const hub = await startHub(t);
  const asked = [];
  const { page } = await openPage(browser, hub.url('/'));
  atEnd(t, () => page.context().close());
  await page.route('**/topics/hello', (route) => {
    asked.push(route.request().url());
    return asked.length === 1 ? route.fulfill({ status: 502, body: '' }) : route.continue();
  });
  await page.fill('#listen [name=topic]', 'hello');
  await page.click('#listen button[type=submit]');
  await until('the stream', async () => (await page.getAttribute('#state', 'data-state')) === 'open');
  assert.equal(asked.length, 2);
});

for (const [topic, data] of [
  ['hello', 'hi'],
  ['a//b', "it's 50 % off; $HOME `id` \"quoted\" \\ *"],
  ['über uns/…', '@/etc/hostname'],
]) {
  test(`the terminal commands listen to ${topic} and publish to it`, async (t) => {
    const { page } = await startPage(t);
    await page.fill('#listen [name=topic]', topic);
    await page.fill('#publish [name=data]', data);
    const [listenLine, publishLine] = [await page.textContent('#curl-listen'), await page.textContent('#curl-publish')];
    // Through a shell, as intended; with `exec`, so that the signal reaches curl.
    const reader = new Program('sh', ['-c', `exec ${listenLine} -sS`]);
    atEnd(t, () => reader.stop());
    await reader.printed(/^retry: /m);
    const { code, stdout } = await run('sh', ['-c', `${publishLine} -sS --fail`]);
    assert.equal(code, 0);
    assert.match(stdout, /urn:uuid:/);
    await reader.printed(/^data: /m);
    const [line] = reader.stdout.split('\n').filter((line) => line.startsWith('data: '));
    assert.equal(line, `data: ${data}`);
  });
}
