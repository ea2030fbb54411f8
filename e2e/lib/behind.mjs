//! The tests that hold behind every proxy with a recipe, and run the recipe as it is written.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';

import { openPage, startBrowser } from './browser.mjs';
import { curl, startCurl } from './curl.mjs';
import { startHub } from './hub.mjs';
import { listen } from './listen.mjs';
import { until } from './wait.mjs';

/** Enough to see that each of them passes by itself, and far less than any proxy's buffer holds. */
const EVENTS = 20;

/** The name that all recipes serve. */
export const NAME = 'news.example';

/**
 * Defines the tests.
 *
 * `start(t, hub, variant)` starts the proxy in front of the hub's address, as the recipe has it; a
 * `variant` changes the recipe:
 *
 * - `impatient`: it gives up what is silent for four seconds
 * - `compressing`: it compresses all it may
 * - `beneath`: it serves the hub at `/news/`
 *
 * `lacks` names variants that the proxy does not have, each with the reason.
 */
export function testsBehind(title, start, { lacks = {}, streamsBodies = true } = {}) {
  const chain = async (t, variant, args = []) => {
    const hub = await startHub(t, { args: ['--allow-host', NAME, ...args] });
    const proxy = await start(t, hub.host, variant);
    return { hub, proxy, named: throughName(proxy.port) };
  };

  test(`${title} passes each event on before the next one is published, and a stream resumes`, async (t) => {
    const { named } = await chain(t);
    const publish = async (data) => (await curl([...named.args, '-d', data, named.url('/topics/news')])).body;
    const reader = startCurl(t, [...named.args, named.url('/topics/news')]);
    const { status, headers } = await reader.head();
    assert.equal(status, 200);
    assert.equal(headers.get('content-type'), 'text/event-stream');
    const ids = [];
    for (let n = 0; n < EVENTS; n += 1) {
      ids.push(await publish(`${n}`));
      assert.deepEqual(await reader.event(), { id: ids.at(-1), type: 'message', data: `${n}` });
    }
    const back = startCurl(t, [...named.args, '-H', `Last-Event-ID: ${ids.at(-2)}`, named.url('/topics/news')]);
    assert.equal((await back.event()).data, `${EVENTS - 1}`);
  });

  test(`${title} lets the hub know that a reader has left`, async (t) => {
    const { hub, named } = await chain(t, undefined, ['--heartbeat', '500ms']);
    const reader = startCurl(t, [...named.args, named.url('/topics/news')]);
    await reader.head();
    await reader.stop();
    await until('the hub to notice', async () => (await hub.metric('tidings_streams')) === 0);
  });

  if (streamsBodies) {
    test(`${title} passes a body on as it arrives`, async (t) => {
      const { hub, named } = await chain(t);
      const reader = startCurl(t, [hub.url('/topics/news')]);
      await reader.head();
      const body = new Readable({ read() {} });
      const published = curl(
        [...named.args, '-H', 'Content-Type: application/x-ndjson', '-T', '-', '-X', 'POST', named.url('/events')],
        { input: body },
      );
      for (let n = 0; n < 3; n += 1) {
        body.push(`{"topic":"news","data":"${n}"}\n`);
        assert.equal((await reader.event()).data, `${n}`);
      }
      body.push(null);
      assert.equal((await published).status, 201);
    });
  }

  test(`${title} answers names that nobody gave it without asking the hub`, async (t) => {
    const { hub, named } = await chain(t);
    const before = await hub.metric('tidings_events_published_total');
    const answer = await curl(['-H', 'Host: other.example', '-d', 'x', named.address('/topics/news')]).catch(() => null);
    // Some close the connection, some say 421, some know of nothing there.
    if (answer) assert.notEqual(answer.status, 201);
    assert.equal(await hub.metric('tidings_events_published_total'), before);
  });

  if (!lacks.impatient) {
    test(`${title} does not end a quiet stream, because of the heartbeats`, async (t) => {
      const { named } = await chain(t, 'impatient', ['--heartbeat', '250ms']);
      const reader = startCurl(t, [...named.args, named.url('/topics/quiet')]);
      await reader.head();
      // Without heartbeats, it would end the stream in this time.
      for (let heartbeats = 0; heartbeats < 20; ) {
        const line = await reader.line();
        assert.notEqual(line, undefined, 'the stream has ended');
        if (line === ':') heartbeats += 1;
      }
    });
  }

  test(`${title} that compresses does not hold events back`, async (t) => {
    const { hub, named } = await chain(t, 'compressing');
    const reader = startCurl(t, ['--compressed', ...named.args, named.url('/topics/news')]);
    await reader.head();
    for (let n = 0; n < EVENTS; n += 1) {
      await hub.publish('news', `${n}`);
      assert.equal((await reader.event()).data, `${n}`);
    }
  });

  test(`${title} serves the hub beneath a path`, async (t) => {
    const { named } = await chain(t, 'beneath');
    const reader = startCurl(t, [...named.args, named.url('/news/topics/hello')]);
    assert.equal((await reader.head()).status, 200);
    assert.equal((await curl([...named.args, '-d', 'hi', named.url('/news/topics/hello')])).status, 201);
    assert.equal((await reader.event()).data, 'hi');
  });

  test(`behind ${title} an EventSource outlives a restart of the hub, and its page publishes`, async (t) => {
    const hub = await startHub(t, { args: ['--allow-host', NAME, '--retry', '100ms'] });
    const proxy = await start(t, hub.host);
    const browser = await startBrowser(t, { args: [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`] });
    const { page } = await openPage(browser, `http://${NAME}:${proxy.port}/`);
    const listener = await listen(page, '/topics/news');
    await listener.opened();
    const publish = (data) =>
      page.evaluate((body) => fetch('/topics/news', { method: 'POST', body }).then(({ status }) => status), data);
    assert.equal(await publish('before'), 201);
    await listener.received('before');

    await hub.stop();
    // The proxy's own answer opens it once more, and ends.
    await listener.opened(2);
    assert.notEqual(await listener.readyState(), 2);
    await startHub(t, { args: ['--allow-host', NAME], listen: hub.host });
    await until('publishing to work again', async () => (await publish('after')) === 201);
    await listener.received('after');

    const refused = await curl([...throughName(proxy.port).args, '-H', 'Accept: text/event-stream', throughName(proxy.port).url('/events')]);
    assert.equal(refused.status, 400, 'what the hub refuses keeps its status');
  });

  test(`${title} tells other clients that the hub is away`, async (t) => {
    const { hub, named } = await chain(t);
    await hub.stop();
    const answer = await curl([...named.args, '-d', 'x', named.url('/topics/news')]);
    assert.equal(answer.status, 503);
    const reader = await curl([...named.args, '-H', 'Accept: text/event-stream', named.url('/topics/news')]);
    assert.deepEqual([reader.status, reader.headers.get('content-type')], [200, 'text/event-stream']);
    assert.match(reader.body, /^retry: \d{4}\n: the hub is away for a moment\n$/);
  });
}

/** How curl reaches the proxy by its name. */
function throughName(port) {
  return {
    args: ['--resolve', `${NAME}:${port}:127.0.0.1`],
    url: (path) => `http://${NAME}:${port}${path}`,
    address: (path) => `http://127.0.0.1:${port}${path}`,
  };
}
