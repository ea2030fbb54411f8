//! The demo page, live in a browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { curl, startCurl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const USERS = ['alpha', 'beta', 'theta'];

/** Opens the demo's page, which connects by itself. */
async function startDemo(t) {
  const hub = await startHub(t, { command: 'demo', args: ['--retry', '100ms'] });
  const relay = await startRelay(t, hub.port);
  const { page, problems } = await openPage(browser, `${relay.origin}/`);
  atEnd(t, () => page.context().close());
  await fourStreams(page);
  return { hub, relay, page, problems };
}

function fourStreams(page) {
  return until('four streams', async () => (await page.textContent('#streams')) === '4 of 4 streams open');
}

/** The rows of the panel of `user`: `{ no, id, kind, type, data }`. */
function rows(page, user) {
  return page.evaluate((user) => {
    const form = [...document.forms].find((form) => form.elements.user?.value === user);
    return [...form.querySelector('table').tBodies[0].rows].map(({ cells: [no, id, type, data] }) => ({
      no: no.textContent,
      id: id.textContent,
      kind: type.className,
      type: type.textContent,
      data: data.textContent,
    }));
  }, user);
}

/** The data of the messages sent to `user` through the hub: neither the greeting nor the time. */
async function messages(page, user) {
  return (await rows(page, user))
    .filter(({ type, data }) => type === 'message' && data !== `hello, ${user}` && !data.startsWith('{"time"'))
    .map(({ data }) => data);
}

test('all three panels connect by themselves and are greeted', async (t) => {
  const { page, problems } = await startDemo(t);
  assert.equal(await page.locator('form.panel input[name=user]').count(), 3);
  assert.deepEqual(
    await page.locator('form.panel h2').allTextContents(),
    ['Alpha User', 'Beta User', 'Theta User'],
  );
  for (const user of USERS) {
    await until(`${user}'s greeting`, async () => (await rows(page, user)).length >= 2);
    const [open, greeting] = await rows(page, user);
    assert.deepEqual([open.no, open.kind, open.type], ['1', 'open', 'open']);
    assert.deepEqual([greeting.no, greeting.kind, greeting.type], ['2', 'message', 'message']);
    assert.equal(greeting.data, `hello, ${user}`);
  }
  assert.deepEqual(
    await page.locator('form.panel table').first().locator('caption, th').allTextContents(),
    ['EventStream', 'No', 'lastEventId', 'type', 'data'],
  );
  assert.deepEqual(problems, []);
});

test('one of the panels is sent the time, with the time as its ID', async (t) => {
  const { page, problems } = await startDemo(t);
  const time = await until('the time', async () => {
    const shown = await Promise.all(USERS.map((user) => rows(page, user)));
    return shown.flat().find(({ data }) => data.startsWith('{"time"'));
  });
  assert.match(time.data, /^\{"time": "\d{13}"\}$/);
  assert.equal(time.id, JSON.parse(time.data).time);
  assert.deepEqual(problems, []);
});

test('a panel that was disconnected stays closed, and one button connects what is not', async (t) => {
  const { page, relay } = await startDemo(t);
  await page.click('form.panel .disconnect >> nth=1');
  await until('three streams', async () => (await page.textContent('#streams')) === '3 of 4 streams open');
  await until('the end', async () => (await page.getAttribute('form.panel .chip >> nth=1', 'data-state')) === 'closed');
  assert.deepEqual((await rows(page, 'beta')).at(-1).data, 'closed: the server ended the stream for good');
  await page.click('button.all-submit');
  await fourStreams(page);
  // Each stream, the one that came back to be told 204, and the new one: the others were left alone.
  const streams = relay.heads.filter((head) => /^accept: text\/event-stream/im.test(head));
  assert.equal(streams.length, 6);
});

test("a message sent by curl to one user arrives in that user's panel alone", async (t) => {
  const { hub, page } = await startDemo(t);
  const sent = await curl(['-d', 'good tidings', hub.url('/send/beta')]);
  assert.equal(sent.status, 204);
  await until('the message', async () => (await messages(page, 'beta')).includes('good tidings'));

  // Events sent to the others now would arrive behind any event wrongly sent to them before.
  for (const user of ['alpha', 'theta']) {
    assert.equal((await curl([hub.url(`/send/${user}`, { data: `for ${user}` })])).status, 204);
    await until(`${user}'s own`, async () => (await messages(page, user)).length > 0);
    assert.deepEqual(await messages(page, user), [`for ${user}`]);
  }
  assert.deepEqual(await messages(page, 'beta'), ['good tidings']);
  const [row] = (await rows(page, 'beta')).filter(({ data }) => data === 'good tidings');
  assert.notEqual(row.id, '', 'its ID is shown');
});

test('an unknown user is answered like a known one', async (t) => {
  const hub = await startHub(t, { command: 'demo' });
  for (const path of ['/send/unknown', '/disconnect/unknown']) {
    for (const method of ['GET', 'POST']) {
      assert.equal((await curl(['-X', method, hub.url(path)])).status, 204, `${method} ${path}`);
    }
  }
});

test('publishing by fetch works while every stream is open', async (t) => {
  const { relay, page, problems } = await startDemo(t);
  const streams = relay.heads.filter((head) => /^accept: text\/event-stream/im.test(head));
  assert.equal(streams.length, 4, 'four of the six connections that a browser opens to a host');

  await page.fill('#notice-form input', 'The tide is in');
  await page.click('#notice-form button');
  await until('the notification', async () => {
    return (await page.locator('#notifications .notices li span').allTextContents()).includes('The tide is in');
  });
  await until('the answer', () => page.isVisible('#notice-form .note'));
  assert.equal(await page.textContent('#notice-form .note'), 'Published, with 4 of 4 streams open.');

  await page.fill('form.panel input[name=text] >> nth=0', 'from the page');
  await page.click('form.panel .send >> nth=0');
  await until('the message', async () => (await messages(page, 'alpha')).includes('from the page'));
  assert.equal(await page.textContent('#streams'), '4 of 4 streams open');
  assert.deepEqual(problems, []);
});

test('every widget fills', async (t) => {
  const { page } = await startDemo(t);
  for (const [widget, item] of [
    ['ticker', '.ticks .price'],
    ['scoreboard', '.matches .score'],
    ['news', '.headlines li'],
    ['notifications', '.notices li'],
  ]) {
    await until(`the ${widget}`, () => page.locator(`#${widget} ${item}`).count());
  }
  const prices = () => page.locator('#ticker .price').allTextContents();
  const before = await prices();
  await until('the prices to move', async () => String(await prices()) !== String(before));
});

test("the dashboard's numbers are the hub's own", async (t) => {
  const { hub, page } = await startDemo(t);
  const statistic = (name) => page.textContent(`[data-statistic=${name}]`);
  await until('the first numbers', async () => (await statistic('subscribers')) === '4');
  for (let reader = 0; reader < 5; reader += 1) await startCurl(t, [hub.url('/topics/quiet')]).head();
  await until('five readers more', async () => (await statistic('subscribers')) === '9');

  const events = async () => Number((await statistic('events')).replaceAll(',', ''));
  const before = await events();
  const lines = Array.from({ length: 2000 }, (_, n) => `{"topic":"busy","data":"${n}"}\n`).join('');
  const answer = await curl(
    ['-H', 'Content-Type: application/x-ndjson', '--data-binary', '@-', hub.url('/events')],
    { input: lines },
  );
  assert.equal(answer.status, 201);
  await until('2,000 events more', async () => (await events()) >= before + 2000);
  const published = await hub.metric('tidings_events_published_total');
  assert.ok((await events()) <= published, 'the page shows what the hub has counted, or a moment before');

  await until('the memory that is resident, or nearly so', async () => {
    const status = await readFile(`/proc/${hub.pid}/status`, 'utf8');
    const resident = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) / 1024;
    const [shown, unit] = (await statistic('memory_bytes')).split(' ');
    return unit === 'MiB' && Math.abs(Number(shown) - resident) < resident / 2;
  });
});

test('a page without EventSource says so, and opens no stream', async (t) => {
  const hub = await startHub(t, { command: 'demo' });
  const context = await browser.newContext();
  atEnd(t, () => context.close());
  await context.addInitScript(() => delete window.EventSource);
  const page = await context.newPage();
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await page.goto(hub.url('/'));
  await until('the sentence', () => page.isVisible('#unsupported'));
  assert.match(await page.textContent('#unsupported'), /has no EventSource/);
  assert.deepEqual(asked.filter((path) => path !== '/' && !path.startsWith('/assets/')), []);
});

test('stream-sse greets by name and sends the time, with the time as its ID, every two seconds', async (t) => {
  const hub = await startHub(t, { command: 'demo' });
  const named = startCurl(t, [hub.url('/stream-sse', { user: 'Ada' })]);
  assert.equal((await named.event()).data, 'hello, Ada');
  const time = await named.event();
  assert.match(time.data, /^\{"time": "\d{13}"\}$/);
  assert.equal(time.id, JSON.parse(time.data).time);
  const nameless = startCurl(t, [hub.url('/stream-sse')]);
  assert.equal((await nameless.event()).data, 'hello, empty');
});
