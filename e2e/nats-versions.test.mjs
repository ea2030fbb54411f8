//! Hubs beside a newer program on one stream. There is none yet, so the test writes its messages: those of a hub, changed
//! as the format allows a later version to change them. Messages of the first version are in
//! `crates/hub/tests/shared/messages-1.txt`, which later versions read.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';

import { data, startHubs } from './lib/cluster.mjs';
import { startCurl } from './lib/curl.mjs';
import { runTidings } from './lib/hub.mjs';
import { startNats } from './lib/nats.mjs';
import { until } from './lib/wait.mjs';

// The places in a message, as `crates/hub/src/journal/shared/message.rs` has them.
const [VERSION, HEADER_BYTES, CHECKSUM, WRITER, GROUP, RECORDS] = [4, 5, 8, 20, 28, 64];

/** CRC-32 of all bytes but the checksum's own. */
function checksum(message) {
  let crc = ~0;
  for (const byte of Buffer.concat([message.subarray(0, CHECKSUM), message.subarray(CHECKSUM + 4)])) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** A hub's message as another program would have written it, first of its own. */
function fromNewer(message, change = (bytes) => bytes) {
  const copy = Buffer.from(message);
  randomBytes(8).copy(copy, WRITER);
  copy.writeBigUInt64LE(1n, GROUP);
  const changed = change(copy);
  changed.writeUInt32LE(checksum(changed), CHECKSUM);
  return changed;
}

/** With fields in its header that this version does not know. */
function withMoreFields(bytes) {
  const longer = Buffer.concat([bytes.subarray(0, RECORDS), randomBytes(12), bytes.subarray(RECORDS)]);
  longer[HEADER_BYTES] += 12;
  return longer;
}

async function newest(nats) {
  const { state } = await nats.ask('STREAM.INFO.TIDINGS');
  return nats.message('TIDINGS', state.last_seq);
}

test('hubs go on beside a program whose messages have more fields, and all have the same', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats], { hubs: 2 });
  const expected = [];
  for (let n = 0; n < 10; n += 1) {
    await hubs[n % 2].publish('news', `event ${n}`);
    await nats.publish('tidings.TIDINGS', fromNewer(await newest(nats), withMoreFields));
    // The newer program has published the same.
    expected.push(`event ${n}`, `event ${n}`);
  }
  const last = await hubs[0].publish('news', 'last');
  expected.push('last');
  hubs.push(...(await startHubs(t, [nats], { hubs: 1 })));
  for (const hub of hubs) {
    await until('the last one', async () => (await hub.read('news')).last_event_id === last);
    assert.deepEqual(await data(hub, 'news'), expected);
    assert.deepEqual((await hub.read('news')).events, (await hubs[0].read('news')).events, 'under the same IDs');
  }
});

test('hubs read no further at a message of a newer format, and none starts on it', async (t) => {
  const nats = await startNats(t);
  const hubs = await startHubs(t, [nats], { hubs: 2 });
  await hubs[0].publish('news', 'before');
  const reader = startCurl(t, ['-H', 'Last-Event-ID: earliest', hubs[1].url('/topics/news')]);
  assert.equal((await reader.event()).data, 'before');
  const newer = (bytes) => {
    bytes[VERSION] += 1;
    return bytes;
  };
  await nats.publish('tidings.TIDINGS', fromNewer(await newest(nats), newer));
  for (const hub of hubs) {
    await until('the hub to say so', async () => (await fetch(hub.url('/healthz'))).status === 503);
    const health = await (await fetch(hub.url('/healthz'))).text();
    assert.match(health, /journal-failed/);
    await until('the log to say why', () => /written by a newer program \(format 2, this one reads 1\)/.test(hub.output));
    assert.equal((await fetch(hub.url('/topics/news'), { method: 'POST', body: 'after' })).status, 503);
    assert.deepEqual(await data(hub, 'news'), ['before'], 'nothing is misread');
  }
  const started = await runTidings(['serve', '--listen', '127.0.0.1:0', '--nats', nats.url]);
  assert.equal(started.code, 1);
  assert.match(started.stderr, /the stream has messages of a newer program \(format 2\)/);
});
