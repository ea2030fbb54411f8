import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage, startBrowser } from './browser.mjs';
import { startFixture } from './fixture.mjs';
import { header, startRelay } from './relay.mjs';
import { NODE_MODULES, startStatic } from './static.mjs';
import { until } from './wait.mjs';

test("Chromium's EventSource reads a stream and resumes when the relay has cut it", async (t) => {
  const fixture = await startFixture(t);
  const relay = await startRelay(t, fixture.port);
  const browser = await startBrowser(t);
  const { page, problems } = await openPage(browser, relay.origin);
  await page.evaluate(() => {
    window.data = [];
    window.source = new EventSource('/stream');
    window.source.onmessage = (event) => window.data.push(event.data);
  });
  const received = () => page.evaluate(() => window.data.join());

  await until('the stream', () => fixture.open === 1);
  fixture.send('id:7\ndata:first\n\n');
  await until('the first event', async () => (await received()) === 'first');

  relay.cut('reset');
  await until('the stream again', () => fixture.requests.length === 2);
  assert.equal(fixture.requests[1].headers['last-event-id'], '7');
  assert.equal(header(relay.heads.at(-1), 'Last-Event-ID'), '7');
  fixture.send('data:second\n\n');
  await until('the second event', async () => (await received()) === 'first,second');

  // Chromium reports a cut stream on the console, where a test can see it.
  assert.match(problems.join('\n'), /ERR_(CONNECTION_RESET|INCOMPLETE_CHUNKED_ENCODING)/);
});

test('a page of another origin loads an npm package, and a read that is not allowed is a reported problem', async (t) => {
  const fixture = await startFixture(t);
  const elsewhere = await startStatic(t, {
    pages: {
      '/page.html': `<!doctype html><title>elsewhere</title><script type="module">
        import { fetchEventSource } from '/modules/@microsoft/fetch-event-source/lib/esm/index.js';
        fetchEventSource('${fixture.origin}/stream', {
          onerror(error) { document.title = 'refused'; throw error; },
        }).catch(() => {});
      </script>`,
    },
    folders: { '/modules/': NODE_MODULES },
  });
  const browser = await startBrowser(t);
  const { page, problems } = await openPage(browser, `${elsewhere.origin}/page.html`);

  await until('the page to be refused', async () => (await page.title()) === 'refused');
  assert.match(problems.join('\n'), /blocked by CORS policy/);
});

test('the same page reads the stream once the server allows its origin', async (t) => {
  const elsewhere = await startStatic(t, {
    pages: { '/page.html': '<!doctype html><title>elsewhere</title>' },
  });
  const fixture = await startFixture(t, { headers: { 'access-control-allow-origin': elsewhere.origin } });
  const browser = await startBrowser(t);
  const { page, problems } = await openPage(browser, `${elsewhere.origin}/page.html`);

  await page.evaluate((url) => {
    new EventSource(url).onmessage = (event) => (document.title = event.data);
  }, `${fixture.origin}/stream`);
  await until('the stream', () => fixture.open === 1);
  fixture.send('data:read\n\n');

  await until('the event', async () => (await page.title()) === 'read');
  assert.deepEqual(problems, []);
});
