//! A real nginx with its default settings, in front of the hub, passes every event on at once.

import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { curl, startCurl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { startNginx } from './lib/nginx.mjs';
import { header, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

/** Enough events to see that each passes by itself; far less data than nginx's buffers hold. */
const EVENTS = 20;

async function startChain(t, location, { args = [], http } = {}) {
  const hub = await startHub(t, { args });
  const relay = await startRelay(t, hub.port);
  const nginx = await startNginx(t, { location: `proxy_pass ${relay.origin}; ${location}`, http });
  return { hub, relay, nginx };
}

for (const [what, version, location] of [
  ['with proxy_pass alone', '1.0', ''],
  ['told to speak HTTP/1.0', '1.0', 'proxy_http_version 1.0;'],
  ['told to speak HTTP/1.1', '1.1', 'proxy_http_version 1.1; proxy_set_header Connection "";'],
]) {
  test(`nginx ${what} passes each event on before the next one is published`, async (t) => {
    const { hub, relay, nginx } = await startChain(t, location);
    const reader = startCurl(t, [`${nginx.origin}/topics/news`]);
    const { status, headers } = await reader.head();
    assert.equal(status, 200);
    assert.equal(headers.get('content-type'), 'text/event-stream');
    assert.match(relay.heads[0], new RegExp(`^GET /topics/news HTTP/${version}\r\n`));
    for (let n = 0; n < EVENTS; n += 1) {
      const id = await hub.publish('news', `${n}`);
      assert.deepEqual(await reader.event(), { id, type: 'message', data: `${n}` });
    }
  });

  test(`through nginx ${what} events are published, and a stream resumes`, async (t) => {
    const { relay, nginx } = await startChain(t, location);
    const publish = async (data) => {
      const answer = await curl(['-d', data, `${nginx.origin}/topics/news`]);
      assert.equal(answer.status, 201);
      return answer.body;
    };
    const id = await publish('one');
    await publish('two');
    const reader = startCurl(t, ['-H', `Last-Event-ID: ${id}`, `${nginx.origin}/topics/news`]);
    assert.equal((await reader.event()).data, 'two');
    assert.equal(header(relay.heads.at(-1), 'last-event-id'), id);
  });
}

test('nginx passes heartbeats on, so that it does not end a quiet stream', async (t) => {
  const { nginx } = await startChain(t, 'proxy_read_timeout 4s;', { args: ['--heartbeat', '250ms'] });
  const reader = startCurl(t, [`${nginx.origin}/topics/quiet`]);
  await reader.head();
  // Without heartbeats, nginx would end the stream in this time.
  for (let heartbeats = 0; heartbeats < 20; ) {
    const line = await reader.line();
    assert.notEqual(line, undefined, 'the stream has ended');
    if (line === ':') heartbeats += 1;
  }
});

test('nginx does not hold a stream back by compressing it', async (t) => {
  const { hub, nginx } = await startChain(t, '', {
    http: 'gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;',
  });
  const reader = startCurl(t, ['--compressed', `${nginx.origin}/topics/news`]);
  await reader.head();
  await hub.publish('news', 'at once');
  assert.equal((await reader.event()).data, 'at once');
});

test('the test can fail: nginx that ignores X-Accel-Buffering holds events back', async (t) => {
  const { hub, nginx } = await startChain(t, 'proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;');
  const behind = startCurl(t, [`${nginx.origin}/topics/news`]);
  await until('its stream', async () => (await hub.metric('tidings_streams')) === 1);
  const direct = startCurl(t, [hub.url('/topics/news')]);
  await direct.head();
  // The other readers get all events one by one, as in the tests above, and nothing arrives here.
  for (let n = 0; n < EVENTS; n += 1) {
    await hub.publish('news', `${n}`);
    assert.equal((await direct.event()).data, `${n}`);
  }
  const alone = await startNginx(t, { location: `proxy_pass ${hub.origin};` });
  const passed = startCurl(t, ['-H', 'Last-Event-ID: earliest', `${alone.origin}/topics/news`]);
  for (let n = 0; n < EVENTS; n += 1) assert.equal((await passed.event()).data, `${n}`);
  assert.equal(behind.received, '');
  // nginx delivers the events it held back when the stream ends.
  await curl(['-X', 'DELETE', hub.url('/subscribers', { topic: 'news' })]);
  for (let n = 0; n < EVENTS; n += 1) assert.equal((await behind.event()).data, `${n}`);
});

test("a browser's EventSource behind nginx gets events at once, and reconnects after a cut", async (t) => {
  const { hub, relay, nginx } = await startChain(t, 'proxy_set_header Host $http_host;', { args: ['--retry', '100ms'] });
  const browser = await startBrowser(t);
  const { page } = await openPage(browser, `${nginx.origin}/`);
  const listener = await listen(page, '/topics/news');
  await listener.opened();
  for (let n = 0; n < 3; n += 1) {
    await hub.publish('news', `${n}`);
    await listener.received(`${n}`);
  }
  relay.cut('reset');
  await listener.opened(2);
  await hub.publish('news', 'after');
  await listener.received('after');
  assert.deepEqual(await listener.data(), ['0', '1', '2', 'after']);
  const published = await page.evaluate(() => {
    return fetch('/topics/news', { method: 'POST', body: 'from the page' }).then(({ status }) => status);
  });
  assert.equal(published, 201, 'the page is the hub’s own, because nginx passes the Host on');
});
