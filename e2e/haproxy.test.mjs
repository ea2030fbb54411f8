//! A real HAProxy in front of the hub, configured by the recipe.

import assert from 'node:assert/strict';
import test from 'node:test';

import { testsBehind } from './lib/behind.mjs';
import { openPage, startBrowser } from './lib/browser.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { startProxy } from './lib/proxy.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';

const recipe = await codeBlock('haproxy', 'The configuration');
const path = await codeBlock('haproxy', 'Beneath a path');

const VARIANTS = {
  impatient: (text) => adapted(text, { '  60s': '  4s' }),
  compressing: (text) => adapted(text, { 'mode http\n': 'mode http\n    compression algo gzip\n    compression type text/event-stream\n' }),
  beneath: (text) => adapted(text, { 'default_backend others\n': `default_backend others\n${path}` }),
};

function start(t, hub, variant) {
  const text = (VARIANTS[variant] ?? ((text) => text))(recipe);
  return run(t, (port) => adapted(text, { '127.0.0.1:4000': hub, 'bind :80': `bind 127.0.0.1:${port}` }));
}

function run(t, configuration) {
  return startProxy(t, {
    program: 'haproxy',
    args: (folder) => ['-db', '-f', `${folder}/haproxy.cfg`],
    files: (port) => ({ 'haproxy.cfg': configuration(port) }),
  });
}

testsBehind('HAProxy', start);

test('the test can fail: without the recipe, one restart of the hub ends an EventSource for good', async (t) => {
  const hub = await startHub(t, { args: ['--retry', '100ms'] });
  const proxy = await run(t, (port) => `
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen news
    bind 127.0.0.1:${port}
    server hub ${hub.host}
`);
  const browser = await startBrowser(t);
  const { page } = await openPage(browser, `${proxy.origin}/`);
  const listener = await listen(page, '/topics/news');
  await listener.opened();
  await hub.stop();
  await listener.closed();
  assert.equal((await listener.seen()).filter(({ type }) => type === 'open').length, 1);
});
