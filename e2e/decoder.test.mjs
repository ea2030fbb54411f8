//! The decoder of the page of `tidings serve`, against the cases that hold for every decoder.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'node:test';

import { Decoder } from '../crates/server/assets/decoder.mjs';

const CASES = fileURLToPath(new URL('../conformance', import.meta.url));

/** Longer streams are not cut at every place: that is quadratic. */
const CUT_BYTES_MAX = 2000;

/** Numbers beyond these are not told apart by JSON. */
const RETRY_MAX = 2 ** 53;

for (const file of readdirSync(CASES).filter((file) => /^[PT]\d+\.json$/.test(file))) {
  const { rule, claim, cases } = JSON.parse(readFileSync(`${CASES}/${file}`, 'utf8'));
  // Cases with limits of their own are about those limits; cases without a stream are no decoder's.
  const decoded = cases.filter((it) => (it.stream ?? it.streams) !== undefined && it.limits === undefined);
  if (decoded.length > 0) test(`${rule}: ${claim}`, () => decoded.forEach(check));
}

test('what never ends is given up before it fills the memory', () => {
  const mebibyte = 'x'.repeat(1024 * 1024);
  for (const piece of [mebibyte, `data: ${mebibyte}\n`]) {
    const decoder = new Decoder();
    for (let n = 0; n < 31; n += 1) decoder.feed(piece);
    assert.throws(() => [decoder.feed(piece), decoder.feed(piece)], RangeError);
  }
});

function check({ name, stream, streams = [stream], expected, last_event_id: start = '', last_event_id_at_end: end }) {
  const connections = streams.map(bytes);
  for (const cut of cuts(connections)) {
    let lastEventId = start;
    let reconnectionTime;
    const events = [];
    for (const connection of connections) {
      const decoder = new Decoder(lastEventId);
      const text = new TextDecoder();
      for (const piece of cut(connection)) events.push(...decoder.feed(text.decode(piece, { stream: true })));
      lastEventId = decoder.lastEventId;
      reconnectionTime = decoder.reconnectionTime ?? reconnectionTime;
    }
    assert.deepEqual(
      events.map(({ type, data, lastEventId }) => ({ type, data, lastEventId })),
      expectedEvents(expected, start),
      name,
    );
    const retry = expected.findLast((item) => item.retry !== undefined)?.retry;
    if (retry === undefined) assert.equal(reconnectionTime, undefined, name);
    else assert.equal(Math.min(reconnectionTime, RETRY_MAX), Math.min(retry, RETRY_MAX), name);
    if (end !== undefined) assert.equal(lastEventId, end, name);
  }
}

function expectedEvents(expected, start) {
  let lastEventId = start;
  const events = [];
  for (const { event, id } of expected) {
    lastEventId = id ?? event?.id ?? lastEventId;
    if (event) events.push({ type: event.type ?? 'message', data: event.data, lastEventId });
  }
  return events;
}

/** Ways to cut: not at all, byte by byte, and in two at every place. */
function* cuts(connections) {
  yield (all) => [all];
  yield (all) => Array.from(all, (_, at) => all.subarray(at, at + 1));
  const longest = Math.max(...connections.map(({ length }) => length));
  for (let at = 1; at < longest && longest <= CUT_BYTES_MAX; at += 1) {
    yield (all) => [all.subarray(0, at), all.subarray(at)];
  }
}

/** The bytes that a case describes. */
function bytes(part) {
  if (typeof part === 'string') return Buffer.from(part);
  if (Array.isArray(part)) return Buffer.concat(part.map(bytes));
  if (part.hex !== undefined) return Buffer.from(part.hex.replaceAll(' ', ''), 'hex');
  return Buffer.from(part.repeat.repeat(part.times));
}
