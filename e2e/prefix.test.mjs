//! Both pages behind a proxy that gives the hub a path of its own.

import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { startNginx } from './lib/nginx.mjs';
import { Program } from './lib/program.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

/** Opens the page of `command` at `/news/`, beside which there is nothing. */
async function startPage(t, command) {
  const hub = await startHub(t, { command });
  const nginx = await startNginx(t, {
    location: 'return 404;',
    server: `location /news/ { proxy_pass ${hub.origin}/; proxy_set_header Host $http_host; }`,
  });
  const { page, problems } = await openPage(browser, `${nginx.origin}/news/`);
  atEnd(t, () => page.context().close());
  return { hub, page, problems };
}

test('the page of serve listens and publishes beneath a path', async (t) => {
  const { page, problems } = await startPage(t, 'serve');
  await page.click('#listen button[type=submit]');
  await until('the stream', async () => (await page.getAttribute('#state', 'data-state')) === 'open');
  await page.click('#publish button');
  await until('the event', async () => (await page.locator('#events td.data').allTextContents()).includes('hi'));

  const reader = new Program('sh', ['-c', `exec ${await page.textContent('#curl-listen')} -sS`]);
  atEnd(t, () => reader.stop());
  await reader.printed(/^retry: /m);
  assert.deepEqual(problems, []);
});

test('the page of demo connects and sends beneath a path', async (t) => {
  const { hub, page, problems } = await startPage(t, 'demo');
  await until('four streams', async () => (await page.textContent('#streams')) === '4 of 4 streams open');
  await page.fill('form.panel input[name=text] >> nth=0', 'from the page');
  await page.click('form.panel .send >> nth=0');
  await until('the message', async () => (await page.locator('form.panel td.data', { hasText: 'from the page' }).count()) === 1);
  await page.fill('#notice-form input', 'The tide is in');
  await page.click('#notice-form button');
  await until('the notice', async () => (await page.locator('.notices li', { hasText: 'The tide is in' }).count()) === 1);
  assert.ok((await page.textContent('#curl')).endsWith('/news/send/alpha'));
  await page.click('form.panel .disconnect >> nth=0');
  await until('three streams', async () => (await hub.metric('tidings_streams')) === 3);
  assert.deepEqual(problems, []);
});
