import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import test from 'node:test';

import { curl, startCurl } from './curl.mjs';
import { startFixture } from './fixture.mjs';
import { header, startRelay } from './relay.mjs';
import { stays, until } from './wait.mjs';

async function startChain(t) {
  const fixture = await startFixture(t);
  const relay = await startRelay(t, fixture.port);
  return { fixture, relay };
}

test('a reset ends the connection at both ends', async (t) => {
  const { fixture, relay } = await startChain(t);
  const reader = startCurl(t, [`${relay.origin}/stream`]);
  await reader.head();
  relay.cut('reset');
  assert.equal((await reader.ended).code, 56, 'curl says: failure in receiving');
  await until('the server to notice', () => fixture.open === 0);
});

test('a FIN in mid-stream ends the connection after the bytes already sent', async (t) => {
  const { fixture, relay } = await startChain(t);
  const reader = startCurl(t, [`${relay.origin}/stream`]);
  await reader.head();
  fixture.send('data:last\n\n');
  assert.equal((await reader.event()).data, 'last');
  relay.cut('fin');
  assert.equal((await reader.ended).code, 18, 'curl says: a part is missing');
  await until('the server to notice', () => fixture.open === 0);
});

test('a cut after a number of bytes lets exactly these pass, and happens once', async (t) => {
  const { fixture, relay } = await startChain(t);
  const reader = startCurl(t, [`${relay.origin}/stream`]);
  await reader.head();
  assert.equal(await reader.line(), 'retry:50');
  // The server sends one chunk: its length in hexadecimal, then the text.
  relay.cutAfter('10\r\ndata:1\n'.length, 'fin');
  fixture.send('data:1\ndata:22\n\n');
  assert.equal(await reader.line(), 'data:1');
  assert.equal(await reader.line(), undefined);
  assert.equal((await curl([relay.origin])).status, 200);
});

test('while it refuses, no client gets through; afterwards it accepts on the same port', async (t) => {
  const { relay } = await startChain(t);
  const { port } = relay;
  relay.refuse();
  await assert.rejects(curl([relay.origin]), /curl ended with 7/);
  await relay.accept();
  assert.equal(relay.port, port);
  assert.equal((await curl([relay.origin])).status, 200);
});

test('a paused relay passes nothing on until it is resumed', async (t) => {
  const { fixture, relay } = await startChain(t);
  const reader = startCurl(t, [`${relay.origin}/stream`]);
  await reader.head();
  relay.pause();
  fixture.send('data:late\n\n');
  await stays('nothing to arrive', () => reader.received.includes('late'), { during: 300 });
  relay.resume();
  assert.equal((await reader.event()).data, 'late');
});

test('heads are recorded one by one, with bodies left out', async (t) => {
  const { relay } = await startChain(t);
  const socket = net.connect(relay.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write('POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nGET /b \r');
  socket.write('\nGET /c HTTP/1.1\r\nHost: x\r\nX-Id: \xe2\x80\xa6\r\n\r\n', 'latin1');
  await until('both requests', () => relay.heads.length === 2);
  assert.deepEqual(relay.heads.map((head) => head.split('\r\n')[0]), ['POST /a HTTP/1.1', 'GET /c HTTP/1.1']);
  assert.equal(Buffer.from(header(relay.heads[1], 'x-id'), 'latin1').toString(), '…');
  assert.equal(header(relay.heads[1], 'x-missing'), undefined);
});

test('an answer that ends the connection passes completely', async (t) => {
  const server = http.createServer((_, response) => response.writeHead(200, { connection: 'close' }).end('whole'));
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => server.close());
  const relay = await startRelay(t, server.address().port);
  assert.equal((await curl([relay.origin])).body, 'whole');
  await until('the relay to have closed too', () => relay.open === 0);
});
