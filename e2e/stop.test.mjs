//! Readers that stop a stream: its producer knows at once, and a late stop hits no newer stream.

import assert from 'node:assert/strict';
import http from 'node:http';
import { Readable } from 'node:stream';
import test from 'node:test';

import { atEnd } from './lib/cleanup.mjs';
import { startHub, startTidings } from './lib/hub.mjs';
import { startListen } from './lib/tools.mjs';
import { until } from './lib/wait.mjs';

/** The number of streams, and how many of them are stopped at a time, so that none waits for the others. */
const [STREAMS, AT_A_TIME] = [200, 10];

/** The time within which half of the producers know, beside what the machine takes just then for a few plain requests. */
const MEDIAN_MS_MAX = 100;

async function stateOf(hub, topic) {
  return (await (await fetch(hub.url('/streams', { topic }))).json()).streams[0];
}

function stop(hub, topic, query = {}) {
  return fetch(hub.url('/streams/stop', { topic, ...query }), { method: 'POST' });
}

/** Pipes a body that stays open into a stream that begins with it. */
async function startProducer(t, hub, agent, topic) {
  const request = http.request(hub.url('/events?begin&end', { topic }), {
    agent,
    method: 'POST',
    headers: { 'Content-Type': 'text/event-stream' },
  });
  atEnd(t, () => request.destroy());
  // It may be reset after its answer.
  request.on('error', () => {});
  const answered = new Promise((resolve) => {
    request.on('response', async (response) => {
      const at = performance.now();
      const text = (await response.setEncoding('utf8').toArray()).join('');
      resolve({ at, status: response.statusCode, problem: JSON.parse(text).type });
    });
  });
  request.write('data: first\n\n');
  await until(`a stream of ${topic}`, async () => (await stateOf(hub, topic)).state === 'streaming');
  return { answered, topic };
}

test(`each of ${STREAMS} streams is stopped by a reader, and a late stop hits no newer one`, async (t) => {
  const hub = await startHub(t);
  const agent = new http.Agent({ maxSockets: Infinity });
  const topics = Array.from({ length: STREAMS }, (_, n) => `chat/${n}`);
  const producers = await Promise.all(topics.map((topic) => startProducer(t, hub, agent, topic)));
  const reader = startListen(t, [hub.url('/topics/chat/0'), '--last-event-id', 'earliest']);
  await reader.event('first');
  const old = new Map();
  for (const topic of topics) old.set(topic, (await stateOf(hub, topic)).stream_id);
  const [latencies, paces] = [[], []];
  for (let first = 0; first < STREAMS; first += AT_A_TIME) {
    const some = producers.slice(first, first + AT_A_TIME);
    await Promise.all(
      some.map(async ({ topic }) => {
        const asked = performance.now();
        assert.equal((await stateOf(hub, topic)).state, 'streaming');
        paces.push(performance.now() - asked);
      }),
    );
    await Promise.all(
      some.map(async ({ answered, topic }) => {
        const asked = performance.now();
        const [told, { at, status, problem }] = await Promise.all([
          stop(hub, topic, { stream: old.get(topic) }),
          answered,
        ]);
        assert.deepEqual([told.status, status, problem], [202, 409, '/problems/stopped']);
        latencies.push(at - asked);
      }),
    );
  }
  const [median, pace] = [latencies, paces].map((all) => all.sort((a, b) => a - b)[STREAMS / 2]);
  t.diagnostic(`the producer knows within ${median.toFixed(1)} ms at the median, a plain request takes ${pace.toFixed(1)} ms`);
  assert.ok(median < MEDIAN_MS_MAX + 3 * pace, `${median} ms, and ${pace} ms for a plain request`);
  const end = await reader.line('end');
  assert.deepEqual([end.reason, end.events], ['stopped', 1]);
  assert.equal((await reader.ended).code, 0);

  for (const topic of topics) {
    assert.equal((await stateOf(hub, topic)).state, 'stopped');
    await hub.publish(topic, 'again', { query: { begin: '' } });
    // Idempotent, and too late.
    assert.equal((await stop(hub, topic, { stream: old.get(topic) })).status, 202);
    assert.equal((await stateOf(hub, topic)).state, 'streaming');
    await hub.publish(topic, 'on');
  }
});

test('tidings publish ends a stream that a reader stops', async (t) => {
  const hub = await startHub(t);
  const input = new Readable({ read() {} });
  const producer = startTidings(t, ['publish', 'chat/1', '--stream', '--lines', '--hub', hub.origin], { input });
  const reader = startListen(t, [hub.url('/topics/chat/1')]);
  await reader.line('open');
  input.push('one\n');
  await reader.event('one');
  assert.equal((await stop(hub, 'chat/1')).status, 202);
  input.push('two\n');
  assert.deepEqual(await producer.ended, { code: 0, signal: null });
  assert.deepEqual([producer.stdout, producer.stderr], ['1\n', 'tidings: a reader has stopped the stream\n']);
  const end = await reader.line('end');
  assert.deepEqual([end.reason, end.events], ['stopped', 1]);
  assert.deepEqual(reader.data, ['one']);
});
