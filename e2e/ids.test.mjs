//! Event IDs beyond ASCII: which clients send them back, as docs/protocol.md says.

import assert from 'node:assert/strict';
import test from 'node:test';

import { EventSource } from 'eventsource';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { listen } from './lib/listen.mjs';
import { node22 } from './lib/node22.mjs';
import { Program } from './lib/program.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

async function startChain(t) {
  const hub = await startHub(t, { args: ['--retry', '100ms'] });
  const relay = await startRelay(t, hub.port);
  return { hub, relay, url: `${relay.origin}/topics/hello` };
}

for (const id of ['größe', '😀', 'urn:№:1']) {
  test(`a browser resumes after ${id}`, async (t) => {
    const { hub, relay } = await startChain(t);
    const browser = await startBrowser(t);
    const { page } = await openPage(browser, `${relay.origin}/healthz`);
    const listener = await listen(page, '/topics/hello');
    await listener.opened();
    await hub.publish('hello', '1', { query: { id } });
    await listener.received('1');
    relay.cut('reset');
    await listener.opened(2);
    await hub.publish('hello', '2');
    await listener.received('2');
    assert.deepEqual(await listener.data(), ['1', '2']);
  });
}

test("npm's eventsource never comes back after an ID beyond Latin-1", async (t) => {
  const { hub, relay, url } = await startChain(t);
  const source = new EventSource(url);
  atEnd(t, () => source.close());
  const errors = [];
  source.onerror = ({ message = '' }) => errors.push(message);
  await until('it to open', () => source.readyState === EventSource.OPEN);
  const received = new Promise((resolve) => (source.onmessage = resolve));
  await hub.publish('hello', '1', { query: { id: '😀' } });
  await received;
  relay.cut('reset');
  await until('several attempts', () => errors.filter((message) => message.includes('ByteString')).length >= 3);
  assert.equal(relay.accepted, 1, 'it never connected again');
});

test("npm's eventsource is sent everything again after an ID of Latin-1", async (t) => {
  const { hub, relay, url } = await startChain(t);
  const source = new EventSource(url);
  atEnd(t, () => source.close());
  const seen = [];
  for (const type of ['message', 'gap']) source.addEventListener(type, ({ data }) => seen.push(type === 'gap' ? 'gap' : data));
  await until('it to open', () => source.readyState === EventSource.OPEN);
  await hub.publish('hello', '1', { query: { id: 'größe' } });
  await until('the event', () => seen.length === 1);
  relay.cut('reset');
  await until('the event again', () => seen.length === 3);
  assert.deepEqual(seen, ['1', 'gap', '1']);
});

test("undici's EventSource closes without a word after an ID beyond Latin-1", async (t) => {
  const { hub, relay, url } = await startChain(t);
  const script = `
    const source = new EventSource(${JSON.stringify(url)});
    source.onopen = () => console.log('open');
    source.onmessage = ({ data }) => console.log('data', data);
  `;
  const program = new Program(node22(), ['--experimental-eventsource', '--no-warnings', '-e', script]);
  atEnd(t, () => program.stop());
  await program.printed(/open/);
  await hub.publish('hello', '1', { query: { id: '😀' } });
  await program.printed(/data 1/);
  relay.cut('reset');
  // Nothing is left that would keep the program running.
  assert.equal((await program.ended).code, 0);
  assert.equal(relay.accepted, 1, 'it never connected again');
});
