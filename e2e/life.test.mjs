//! Idle streams, and the end of the program while streams are open.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { curl, startCurl } from './lib/curl.mjs';
import { runTidings, startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { startRelay } from './lib/relay.mjs';
import { startStatic } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

/** The program ends after 8 s at the latest, and supervisors kill after 10 s. This allows for a busy machine. */
const END_WITHIN_MS = 30_000;

test('C7, T44: a stream opens before its first event and is kept alive by comments', async (t) => {
  const hub = await startHub(t, { args: ['--heartbeat', '200ms'] });
  const { page } = await openPage(browser, hub.url('/'));
  atEnd(t, () => page.context().close());
  const listener = await listen(page, '/topics/quiet');
  await listener.opened();

  const reader = startCurl(t, [hub.url('/topics/quiet')]);
  assert.equal((await reader.head()).status, 200);
  assert.deepEqual([await reader.line(), await reader.line()], [':', 'retry: 2000'], 'the preamble');
  for (let n = 0; n < 5; n += 1) assert.equal(await reader.line(), ':');
  assert.deepEqual(await listener.seen(), [{ type: 'open', readyState: 1 }], 'comments dispatch nothing');
});

test('C7: by default a stream announces a reconnection time of a few seconds', async (t) => {
  const hub = await startHub(t);
  const reader = startCurl(t, [hub.url('/topics/quiet')]);
  await reader.head();
  assert.deepEqual([await reader.line(), await reader.line()], [':', 'retry: 2000']);
});

test('T44: a publisher whose body stalls delays neither heartbeats nor other events', async (t) => {
  const hub = await startHub(t, { args: ['--heartbeat', '200ms'] });
  const reader = startCurl(t, [hub.url('/topics/news')]);
  await reader.head();
  const publisher = net.connect(hub.port, '127.0.0.1');
  atEnd(t, () => publisher.destroy());
  const streamed = net.connect(hub.port, '127.0.0.1');
  atEnd(t, () => streamed.destroy());
  publisher.write(`POST /topics/news HTTP/1.1\r\nHost: ${hub.host}\r\nContent-Length: 8\r\n\r\nhalf`);
  streamed.write(
    `POST /events?topic=news HTTP/1.1\r\nHost: ${hub.host}\r\nContent-Type: text/event-stream\r\n` +
      'Transfer-Encoding: chunked\r\n\r\nf\r\ndata:streamed\n\n\r\n10\r\ndata:never whole\r\n',
  );
  assert.equal((await reader.event()).data, 'streamed', 'what has arrived whole is out at once');
  for (let n = 0; n < 5; n += 1) assert.equal(await reader.line(), ':');
  await hub.publish('news', 'of another');
  assert.equal((await reader.event()).data, 'of another');

  publisher.write('whole');
  publisher.setEncoding('latin1');
  const [answer] = await once(publisher, 'data');
  assert.match(answer, /^HTTP\/1\.1 201 Created\r\n/);
  assert.equal((await reader.event()).data, 'halfwhol');
  streamed.destroy();
  await hub.publish('news', 'last');
  assert.equal((await reader.event()).data, 'last', 'the half event that broke off is nowhere');
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`T45: ${signal} ends the program in time with status 0, and its streams reconnect to the next one`, async (t) => {
    // The page comes from another server, which keeps running.
    const elsewhere = await startStatic(t, { pages: { '/': '<!doctype html><title>elsewhere</title>' } });
    const args = ['--retry', '100ms', '--allow-origin', elsewhere.origin];
    const first = await startHub(t, { args });
    const { page } = await openPage(browser, `${elsewhere.origin}/`);
    atEnd(t, () => page.context().close());
    const listener = await listen(page, `${first.origin}/topics/news`);
    await listener.opened();
    await first.publish('news', 'before');
    await listener.received('before');
    const readers = [];
    for (let n = 0; n < 20; n += 1) readers.push(startCurl(t, [first.url('/topics/news')]));
    for (const reader of readers) await reader.head();
    const idle = net.connect(first.port, '127.0.0.1');
    atEnd(t, () => idle.destroy());
    await once(idle, 'connect');

    assert.deepEqual(await first.stop({ signal, within: END_WITHIN_MS }), { code: 0, signal: null });
    for (const reader of readers) {
      const retries = [];
      for await (const line of reader) if (line.startsWith('retry:')) retries.push(line);
      assert.equal(retries.length, 2, 'the last word of a stream is when to come back');
      assert.deepEqual(await reader.ended, { code: 0, signal: null }, 'its end is a clean one');
    }
    await listener.lost();

    const next = await startHub(t, { args, listen: first.host });
    assert.equal(next.port, first.port);
    await listener.opened(2);
    await next.publish('news', 'after');
    await listener.received('after');
    const types = (await listener.events()).map(({ type, data }) => (type === 'gap' ? 'gap' : data));
    assert.deepEqual(types, ['before', 'gap', 'after'], 'the next one has another history, and says so');
  });
}

test('T45: neither a stalled reader nor a stalled body keeps the program from ending', async (t) => {
  const hub = await startHub(t);
  const relay = await startRelay(t, hub.port);
  const stalled = startCurl(t, [`${relay.origin}/topics/large`]);
  await stalled.head();
  relay.pause();
  // More than kernels buffer for a reader that does not read.
  for (let n = 0; n < 24; n += 1) await hub.publish('large', 'x'.repeat(1_000_000));
  const publisher = net.connect(hub.port, '127.0.0.1');
  atEnd(t, () => publisher.destroy());
  publisher.write(`POST /topics/large HTTP/1.1\r\nHost: ${hub.host}\r\nContent-Length: 8\r\n\r\nhalf`);
  const streamed = net.connect(hub.port, '127.0.0.1');
  atEnd(t, () => streamed.destroy());
  streamed.write(
    `POST /events HTTP/1.1\r\nHost: ${hub.host}\r\nContent-Type: application/x-ndjson\r\n` +
      'Transfer-Encoding: chunked\r\n\r\n1f\r\n{"topic":"other","data":"one"}\n\r\n',
  );
  await until('the stalled request to be read', async () => (await hub.read('other')).events.length === 1);
  assert.deepEqual(await hub.stop({ within: END_WITHIN_MS }), { code: 0, signal: null });
});

test('SIGHUP has no effect', async (t) => {
  const hub = await startHub(t);
  const reader = startCurl(t, [hub.url('/topics/news')]);
  await reader.head();
  assert.equal(await reader.line(), ':');
  process.kill(hub.pid, 'SIGHUP');
  await hub.publish('news', 'one');
  await until('the event', async () => (await reader.line()) === 'data: one');
  assert.deepEqual(await hub.stop(), { code: 0, signal: null });
});

test('a second signal ends the program at once, still with status 0', async (t) => {
  const hub = await startHub(t);
  const relay = await startRelay(t, hub.port);
  const stalled = startCurl(t, [`${relay.origin}/topics/large`]);
  await stalled.head();
  relay.pause();
  for (let n = 0; n < 24; n += 1) await hub.publish('large', 'x'.repeat(1_000_000));
  const ended = hub.stop({ within: END_WITHIN_MS });
  await until('the first signal to be seen', () => hub.output.includes('a second signal ends the process at once'));
  assert.deepEqual(await hub.stop({ signal: 'SIGINT' }), { code: 0, signal: null });
  await ended;
});

test('a port in use gives one sentence and a nonzero status', async (t) => {
  const hub = await startHub(t);
  for (const command of ['serve', 'demo']) {
    const second = await runTidings([command, '--memory', '--listen', hub.host]);
    assert.equal(second.code, 1);
    assert.equal(second.stdout, '');
    assert.match(second.stderr, new RegExp(`^tidings: .*${hub.host}.*\n$`));
    assert.match(second.stderr, /in use/);
  }
  assert.equal((await curl([hub.url('/healthz')])).status, 200, 'the first one goes on');
});

test('invalid arguments give one sentence per mistake and a nonzero status', async (t) => {
  for (const [args, sentences] of [
    [['serve', '--histroy-bytes', '1'], [/unexpected argument '--histroy-bytes'.*--history-bytes/]],
    [['serve', '--heartbeat'], [/a value is required for '--heartbeat/]],
    [['sevre'], [/unrecognized subcommand 'sevre'.*serve/]],
    [['serve', '--listen', '0.0.0.0:0'], [/no authentication; --open/]],
    [['serve', '--listen', 'nowhere.invalid:80'], [/"nowhere.invalid" is not a name of this machine/]],
    [['serve', '--listen', '127.0.0.1:65536'], [/an address and a port/]],
    [['serve', '--retry', '-1'], [/./]],
    [['serve', '--heartbeat', '15', '--history-events', '0'], [/--history-events 0/, /--heartbeat 15: must be a time with its unit/]],
    [['serve', '--allow-origin', 'example.com'], [/--allow-origin example\.com/]],
  ]) {
    const { code, stdout, stderr } = await runTidings(args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    const lines = stderr.trimEnd().split('\n');
    assert.equal(lines.length, sentences.length, stderr);
    for (const sentence of sentences) assert.ok(lines.some((line) => sentence.test(line)), `${sentence} in ${stderr}`);
    for (const line of lines) assert.match(line, /^tidings: /);
  }
});
