//! TLS in a real browser and with curl: certificates of an authority that neither knows by itself.

import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { curl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { run } from './lib/program.mjs';
import { makeFolder } from './lib/tools.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

/** Starts a hub with a certificate for this machine; gives it and the certificate's path. */
async function startTls(t, { args = [] } = {}) {
  const folder = await makeFolder(t);
  const [certificate, key] = ['cert.pem', 'key.pem'].map((name) => path.join(folder, name));
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  const made = await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
    ...['-keyout', key, '-out', certificate, '-days', '2', '-subj', '/CN=localhost', '-addext', names],
  ]);
  assert.equal(made.code, 0, made.stderr);
  const hub = await startHub(t, { args: ['--tls-certificate', certificate, '--tls-key', key, ...args] });
  return { hub, certificate };
}

test('ten EventSources of one page are all open over HTTP/2, and each is sent its events', async (t) => {
  const { hub } = await startTls(t);
  const { page, problems } = await openPage(browser, `${hub.origin}/`, {
    context: { ignoreHTTPSErrors: true },
  });
  atEnd(t, () => page.context().close());
  await page.evaluate(() => {
    window.data = [];
    window.sources = Array.from({ length: 10 }, (_, number) => {
      const source = new EventSource(`/topics/${number}`);
      source.onmessage = ({ data }) => window.data.push(`${number}: ${data}`);
      return source;
    });
  });
  const states = () => page.evaluate(() => window.sources.map(({ readyState }) => readyState));
  await until('all are open', async () => (await states()).every((state) => state === 1));
  await page.evaluate(async () => {
    for (let number = 0; number < 10; number += 1) {
      await fetch(`/topics/${number}`, { method: 'POST', body: `event ${number}` });
    }
  });
  const expected = Array.from({ length: 10 }, (_, number) => `${number}: event ${number}`);
  await until('all events', async () => (await page.evaluate(() => window.data.length)) === 10);
  assert.deepEqual((await page.evaluate(() => window.data)).sort(), expected);
  const protocols = await page.evaluate(() =>
    performance.getEntriesByType('resource').map(({ nextHopProtocol }) => nextHopProtocol),
  );
  assert.ok(protocols.includes('h2') && !protocols.includes('http/1.1'), protocols.join());
  assert.deepEqual(problems, []);
});

test('curl reads over both versions of TLS and of HTTP, and refuses an authority that it does not know', async (t) => {
  const { hub, certificate } = await startTls(t);
  const url = `${hub.origin}/topics/news`;
  const trusting = ['--cacert', certificate];
  await curl([...trusting, '--data', 'hi', url]);
  for (const version of [['--tls-max', '1.2'], ['--tlsv1.3']]) {
    for (const http of ['--http1.1', '--http2']) {
      const answer = await curl([...trusting, ...version, http, '-H', 'Accept: application/json', url]);
      assert.equal(answer.status, 200);
      assert.equal(JSON.parse(answer.body).events[0].data, 'hi');
    }
  }
  const stranger = await run('curl', ['--silent', '--show-error', url]);
  assert.equal(stranger.code, 60, stranger.stderr);
});

test('a page is redirected from clear text to TLS', async (t) => {
  const { hub, certificate } = await startTls(t, { args: ['--tls-redirect', '127.0.0.1:0'] });
  const redirecting = () => /http:\/\/127\.0\.0\.1:(\d+) redirects/.exec(hub.output);
  await until('the second address', () => redirecting() !== null);
  const [, port] = redirecting();
  const followed = await run('curl', [
    ...['--silent', '--location', '--cacert', certificate],
    `http://127.0.0.1:${port}/healthz`,
  ]);
  assert.equal(JSON.parse(followed.stdout).status, 'ok');
});
