import assert from 'node:assert/strict';
import test from 'node:test';

import { startCurl } from './curl.mjs';
import { startFixture } from './fixture.mjs';
import { startNginx } from './nginx.mjs';
import { startRelay } from './relay.mjs';
import { stays, until } from './wait.mjs';

/** Many times longer than an event takes through nginx. */
const LONG_ENOUGH_MS = 500;

async function startChain(t, location) {
  const fixture = await startFixture(t, { headers: { 'x-accel-buffering': 'no' } });
  const relay = await startRelay(t, fixture.port);
  const nginx = await startNginx(t, { location: `proxy_pass ${relay.origin}; ${location}` });
  const reader = startCurl(t, [`${nginx.origin}/stream`]);
  await until('the stream to be asked for', () => fixture.open === 1);
  fixture.send('data:at once\n\n');
  return { relay, reader };
}

test('nginx with proxy_pass alone speaks HTTP/1.0 and passes an event on at once', async (t) => {
  const { relay, reader } = await startChain(t, '');
  assert.equal((await reader.head()).status, 200);
  assert.equal((await reader.event()).data, 'at once');
  assert.match(relay.heads[0], /^GET \/stream HTTP\/1\.0\r\n/);
});

test('nginx speaks HTTP/1.1 when told to', async (t) => {
  const { relay, reader } = await startChain(t, 'proxy_http_version 1.1; proxy_set_header Connection "";');
  await reader.head();
  assert.equal((await reader.event()).data, 'at once');
  assert.match(relay.heads[0], /^GET \/stream HTTP\/1\.1\r\n/);
});

test('nginx that ignores X-Accel-Buffering holds the event back', async (t) => {
  const { reader } = await startChain(t, 'proxy_ignore_headers X-Accel-Buffering;');
  await stays('nothing to arrive', () => reader.received, { during: LONG_ENOUGH_MS });
});

test('an nginx that cannot start says why', async (t) => {
  await assert.rejects(startNginx(t, { location: 'no_such_directive;' }), /unknown directive "no_such_directive"/);
});
