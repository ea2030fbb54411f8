//! Pages whose readers have tokens: in the query, in a header by a polyfill, and in a cookie.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd, makeFolder } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { header, startRelay } from './lib/relay.mjs';
import { NODE_MODULES, startStatic } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const SECRET = 'a secret of thirty-two bytes, ok';
const ALL = { publish: ['**'], subscribe: ['**'], manage: ['**'] };

/** A token of `sub` with `rights` that outlasts a test. */
function token(sub, rights) {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const now = Date.now() / 1000;
  const text = `${part({ alg: 'HS256' })}.${part({ sub, iat: now, exp: now + 600, tidings: rights })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

const bearer = (token) => ({ authorization: `Bearer ${token}` });

/** A hub with tokens, with `more` lines of configuration, behind a relay. */
async function startGuarded(t, { command, args = [], more = '' } = {}) {
  const folder = await makeFolder(t);
  const file = path.join(folder, 'tidings.toml');
  const auth = `query = true\ncookie = "tidings"\nkeys = [{ algorithm = "HS256", secret = "${SECRET}" }]`;
  await writeFile(file, `[auth]\n${auth}\n${more}`);
  const hub = await startHub(t, { command, args: ['--retry', '100ms', '--config', file, ...args] });
  const relay = await startRelay(t, hub.port);
  const tell = (topic, data) => hub.publish(topic, data, { headers: bearer(token('backend', ALL)) });
  return { hub, relay, tell };
}

/** Cuts the connections while an event is published, which is not lost. */
async function cutDuring(relay, publish) {
  relay.refuse();
  relay.cut('reset');
  await publish();
  await relay.accept();
}

test("a page's EventSource with its token in the address reads, is cut, and resumes", async (t) => {
  const { relay, tell } = await startGuarded(t);
  const { page } = await openPage(browser, `${relay.origin}/`);
  atEnd(t, () => page.context().close());
  const mine = token('alice', { subscribe: ['users/7/**', 'users/7'] });
  const listener = await listen(page, `/topics/users/7?token=${mine}`);
  await listener.opened();
  const id = await tell('users/7', 'before');
  await listener.received('before');
  await cutDuring(relay, () => tell('users/7', 'meanwhile'));
  await listener.received('meanwhile');
  assert.deepEqual(await listener.data(), ['before', 'meanwhile']);
  const heads = relay.heads.filter((head) => head.startsWith('GET /topics/users/7'));
  assert.equal(header(heads.at(-1), 'last-event-id'), id);
  // Pages send their address on to nobody, and another user's topic stays closed.
  assert.ok(heads.every((head) => header(head, 'referer') === undefined));
  const other = await listen(page, `/topics/users/8?token=${mine}`);
  await other.closed();
});

/** A page that reads with event-source-polyfill, which can set headers. */
const POLYFILL = `<!doctype html><title>polyfill</title>
<script src="/modules/event-source-polyfill/src/eventsource.js"></script>
<script>
  window.seen = [];
  window.opened = 0;
  window.listen = (url, token) => {
    const source = new EventSourcePolyfill(url, { headers: { Authorization: 'Bearer ' + token } });
    source.onopen = () => (window.opened += 1);
    source.onmessage = ({ data }) => window.seen.push(data);
    source.onerror = ({ status }) => (window.failed = status);
  };
</script>`;

test('event-source-polyfill with Authorization, from an allowed origin, reads, is cut, and resumes', async (t) => {
  const folders = { '/modules/': NODE_MODULES };
  const elsewhere = await startStatic(t, { pages: { '/': POLYFILL }, folders });
  const { relay, tell } = await startGuarded(t, { args: ['--allow-origin', elsewhere.origin] });
  const { page } = await openPage(browser, `${elsewhere.origin}/`);
  atEnd(t, () => page.context().close());
  const mine = token('alice', { subscribe: ['users/7'] });
  const read = (topic) => page.evaluate(([url, mine]) => window.listen(url, mine), [relay.origin + topic, mine]);
  await read('/topics/users/7');
  await until('the stream', () => page.evaluate(() => window.opened === 1));
  await tell('users/7', 'before');
  const seen = (data) => until(data, () => page.evaluate((data) => window.seen.includes(data), data));
  await seen('before');
  await cutDuring(relay, () => tell('users/7', 'meanwhile'));
  await seen('meanwhile');
  assert.deepEqual(await page.evaluate(() => window.seen), ['before', 'meanwhile']);
  const heads = relay.heads.filter((head) => head.startsWith('GET /topics/users/7'));
  assert.ok(heads.length >= 2 && heads.every((head) => header(head, 'authorization') === `Bearer ${mine}`));
  assert.ok(relay.heads.some((head) => head.startsWith('OPTIONS /topics/users/7')));
  await read('/topics/users/8');
  await until('a refusal', () => page.evaluate(() => window.failed === 403));
});

test('a page of another origin can neither read nor publish by the cookie of a user', async (t) => {
  const elsewhere = await startStatic(t, { pages: { '/': '<!doctype html><title>elsewhere</title>' } });
  const { hub, relay, tell } = await startGuarded(t);
  await tell('users/7', 'for alice alone');
  const { page } = await openPage(browser, `${elsewhere.origin}/`);
  atEnd(t, () => page.context().close());
  // Cookies ignore ports, so the browser sends this one to the hub as well.
  await page.evaluate((mine) => (document.cookie = `tidings=${mine}`), token('alice', ALL));
  const url = `${relay.origin}/topics/users/7`;
  const listener = await listen(page, `${url}?last_event_id=earliest`, { withCredentials: true });
  await listener.closed();
  assert.deepEqual(await listener.data(), []);
  for (const options of [{ credentials: 'include' }, { credentials: 'include', mode: 'no-cors' }]) {
    for (const more of [{}, { method: 'POST', body: 'foreign' }]) {
      const read = await page.evaluate(
        ([url, options]) => fetch(url, options).then((answer) => answer.text(), () => ''),
        [url, { ...options, ...more }],
      );
      assert.equal(read, '');
    }
  }
  const requests = relay.heads.filter((head) => /^(GET|POST) \/topics\/users\/7/.test(head));
  assert.ok(requests.some((head) => /^cookie: tidings=/im.test(head)), 'the browser has sent the cookie');
  const answer = await fetch(hub.url('/topics/users/7?limit=9'), {
    headers: { accept: 'application/json', ...bearer(token('backend', ALL)) },
  });
  assert.deepEqual((await answer.json()).events.map(({ data }) => data), ['for alice alone']);
});

test('the demo works with tokens: by a cookie its panels connect, send and disconnect', async (t) => {
  const { relay } = await startGuarded(t, { command: 'demo' });
  const { page } = await openPage(browser, `${relay.origin}/healthz`);
  atEnd(t, () => page.context().close());
  await page.evaluate((mine) => (document.cookie = `tidings=${mine}; path=/`), token('alice', ALL));
  await page.goto(`${relay.origin}/`);
  const streams = (open) =>
    until(`${open} streams`, async () => (await page.textContent('#streams')) === `${open} of 4 streams open`);
  await streams(4);
  const status = await page.evaluate(() => fetch('/send/beta', { method: 'POST', body: 'good' }).then(({ status }) => status));
  assert.equal(status, 204);
  await until('the message', async () => (await page.textContent('form.panel >> nth=1')).includes('good'));
  await page.click('form.panel .disconnect >> nth=1');
  await streams(3);
});
