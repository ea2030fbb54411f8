//! Producers of streams within a topic: they may die, and so may the hub.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';

import { curl } from './lib/curl.mjs';
import { runTidings, startHub } from './lib/hub.mjs';
import { Program } from './lib/program.mjs';
import { makeFolder, startListen, startProducer } from './lib/tools.mjs';

const TOPIC = 'chat/1';
const tokens = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => `token ${from + n}`);

/** A reader from the beginning, as the topic has never had another stream. */
const startReader = (t, hub) => startListen(t, [hub.url(`/topics/${TOPIC}`), '--last-event-id', 'earliest']);

const state = async (hub) => (await (await fetch(hub.url('/streams', { topic: TOPIC }))).json()).streams[0];

test('an event stream is piped between a beginning and an end', async (t) => {
  const hub = await startHub(t);
  const reader = startReader(t, hub);
  await reader.line('open');
  const input = 'event: delta\ndata: a\n\ndata: b\n\n';
  const publish = (...args) => runTidings(['publish', TOPIC, '--stream', '--hub', hub.origin, ...args], { input });
  assert.deepEqual(await publish(), { code: 0, signal: null, stdout: '2\n', stderr: '' });
  assert.equal((await reader.ended).code, 0);
  assert.deepEqual(reader.lines.filter(({ kind }) => kind === 'event').map(({ type, data }) => [type, data]), [
    ['delta', 'a'],
    ['message', 'b'],
  ]);
  assert.equal((await state(hub)).state, 'done');
  assert.equal((await publish('--end', 'close', '--lines')).stdout, '5\n');
  const { body } = await curl([hub.url(`/topics/${TOPIC}`), '-H', `Last-Event-ID: ${reader.lines.at(-2).id}`]);
  assert.ok(!body.includes('event: end'), body);
  for (const args of [['--topic', 'b', '--topic', 'c'], ['--end', 'never'], ['--ndjson', '-', '--id', '7']]) {
    assert.equal((await runTidings(['publish', '--stream', ...args], { input })).code, 2, args.join(' '));
  }
});

test('the readers of a body that breaks off are told when nobody goes on within the grace', async (t) => {
  const hub = await startHub(t);
  const reader = startReader(t, hub);
  await reader.line('open');
  const input = new Readable({ read() {} });
  const url = hub.url('/events?begin&end&grace=300ms', { topic: TOPIC });
  const pipe = new Program('curl', ['-sT', '-', '-X', 'POST', '-H', 'Content-Type: text/event-stream', url], { input });
  input.push('data: half an\n\n');
  await reader.event('half an');
  await pipe.stop({ signal: 'SIGKILL' });
  const end = await reader.line('end');
  assert.deepEqual([end.reason, end.events], ['aborted', 1]);
  assert.equal((await reader.ended).code, 1);
});

/** The grace that a hub which is started again gives anew. */
const GRACE_MS = 2_000;

test('the grace begins anew when the hub is started again', async (t) => {
  const args = ['--data', await makeFolder(t), '--retry', '50ms'];
  const hub = await startHub(t, { args });
  const reader = startReader(t, hub);
  await reader.line('open');
  const input = new Readable({ read() {} });
  const url = hub.url(`/events?begin&end&grace=${GRACE_MS}ms`, { topic: TOPIC });
  const pipe = new Program('curl', ['-sT', '-', '-X', 'POST', '-H', 'Content-Type: text/event-stream', url], { input });
  input.push('data: half an\n\n');
  await reader.event('half an');
  await pipe.stop({ signal: 'SIGKILL' });
  const left = performance.now();
  let running = hub;
  while (performance.now() - left < GRACE_MS + 500) {
    const before = performance.now();
    await running.stop({ signal: 'SIGKILL' });
    running = await startHub(t, { args, listen: hub.host });
    const found = (await state(running)).state;
    // On a machine that is so slow, it may be over already.
    if (performance.now() - before >= GRACE_MS) break;
    assert.equal(found, 'streaming');
  }
  const end = await reader.line('end');
  assert.deepEqual([end.reason, end.events], ['aborted', 1]);
});

test('a successor goes on where a killed producer stopped, and the late append is refused', async (t) => {
  const hub = await startHub(t);
  const reader = startReader(t, hub);
  const first = startProducer(t, hub, TOPIC, '--producer', 'model');
  first.say(tokens(1, 20));
  await reader.event('token 20');
  first.program.signal('SIGKILL');
  assert.equal((await first.program.ended).signal, 'SIGKILL');
  const { producer } = await state(hub);
  assert.deepEqual(producer, { id: 'model', epoch: 0, seq: 20 });

  const second = startProducer(t, hub, TOPIC, '--producer', 'model', '--epoch', '1', '--continue');
  second.say(tokens(21, 30));
  await reader.event('token 30');
  const late = await curl([
    ...['-H', 'Producer-Id: model', '-H', 'Producer-Epoch: 0', '-H', `Producer-Seq: ${producer.seq + 1}`],
    ...['-d', 'late', hub.url(`/topics/${TOPIC}`)],
  ]);
  assert.deepEqual([late.status, JSON.parse(late.body).type], [403, '/problems/stale-epoch']);
  const stranger = await curl(['-d', 'strange', hub.url(`/topics/${TOPIC}`)]);
  assert.deepEqual([stranger.status, JSON.parse(stranger.body).type], [409, '/problems/streaming']);
  second.finish();
  const end = await reader.line('end');
  assert.deepEqual([end.reason, end.events], ['done', 30]);
  assert.deepEqual(reader.data, tokens(1, 30));
  assert.equal((await second.program.ended).code, 0);
});

test('a stream that begins with a higher epoch shuts out a body that is still piped into the one before', async (t) => {
  const hub = await startHub(t);
  const produce = (path, epoch, seq, options, ...args) => {
    const producer = ['-H', 'Producer-Id: p', '-H', `Producer-Epoch: ${epoch}`, '-H', `Producer-Seq: ${seq}`];
    return curl([...producer, ...args, '-X', 'POST', hub.url(path)], options);
  };
  const reader = startReader(t, hub);
  assert.equal((await produce(`/topics/${TOPIC}?begin`, 1, 0)).status, 201);
  const input = new Readable({ read() {} });
  const type = ['-H', 'Content-Type: text/event-stream', '-T', '-'];
  const piped = produce(`/events?topic=${TOPIC}&end=close`, 1, 1, { input }, ...type);
  input.push('data: old\n\n');
  await reader.event('old');
  assert.equal((await produce(`/topics/${TOPIC}?begin`, 2, 0)).status, 201);
  assert.equal((await reader.line('end')).reason, 'aborted');
  input.push('data: late\n\n');
  // curl looks for the answer between two reads of its input.
  input.push(null);
  const refused = await piped;
  assert.ok([403, 409].includes(refused.status), `${refused.status}`);
  assert.equal((await produce(`/topics/${TOPIC}?end`, 2, 1, {}, '-d', 'new')).status, 201);
  const { events } = await hub.read(TOPIC);
  assert.deepEqual(events.map(({ data }) => data), ['old', 'new']);
});

test('a hub that is killed in mid-answer loses and doubles no token', async (t) => {
  const folder = await makeFolder(t);
  const args = ['--data', folder, '--retry', '50ms'];
  const hub = await startHub(t, { args });
  const producer = startProducer(t, hub, TOPIC, '--producer', 'model');
  const reader = startReader(t, hub);
  let running = hub;
  let said = 0;
  const say = (to) => {
    producer.say(tokens(said + 1, to));
    said = to;
  };
  for (let kill = 1; kill <= 3; kill += 1) {
    say(said + 100);
    // In the middle of them.
    await reader.event(`token ${said - 50}`);
    await running.stop({ signal: 'SIGKILL' });
    say(said + 10);
    running = await startHub(t, { args, listen: hub.host });
    await reader.event(`token ${said}`);
  }
  producer.finish();
  const end = await reader.line('end');
  assert.deepEqual([end.reason, end.events], ['done', said]);
  assert.deepEqual(reader.data, tokens(1, said));
  assert.equal((await producer.program.ended).code, 0, producer.program.stderr);
});

test('a beginning and an end are answered again as before by a hub that was killed after it had committed them', async (t) => {
  const args = ['--data', await makeFolder(t)];
  const hub = await startHub(t, { args });
  const send = async (key, query, topic, ...body) => {
    const { status, headers, body: id } = await curl([
      ...['-H', `Idempotency-Key: ${key}`, ...body, '-X', 'POST', hub.url(`/topics/${topic}?${query}`)],
    ]);
    return { status, id, stream: headers.get('stream-id'), isReplayed: headers.get('idempotency-replayed') === 'true' };
  };
  const ask = async () => [
    await send('begin', 'begin', 'open', '-d', 'first'),
    await send('end', 'end', 'ended', '-d', 'last'),
    await send('all', 'begin&end', 'whole', '-d', 'all'),
  ];
  await send('before', 'begin', 'ended');
  const answers = await ask();
  for (const answer of answers) assert.deepEqual([answer.status, answer.isReplayed], [201, false]);
  let running = hub;
  for (let kill = 1; kill <= 2; kill += 1) {
    await running.stop({ signal: 'SIGKILL' });
    running = await startHub(t, { args, listen: hub.host });
    assert.deepEqual(await ask(), answers.map((answer) => ({ ...answer, isReplayed: true })));
  }
  const { streams } = await (await fetch(running.url('/streams', { match: '*' }))).json();
  assert.deepEqual(
    streams.map(({ topic, state, events }) => [topic, state, events]),
    [['ended', 'done', 1], ['open', 'streaming', 1], ['whole', 'done', 1]],
  );
  assert.equal((await send('another', 'end', 'ended')).status, 409);
});

test('a body that was cut off by the kill of its hub goes on with its stream when it is sent again', async (t) => {
  const args = ['--data', await makeFolder(t), '--retry', '50ms'];
  const hub = await startHub(t, { args });
  const reader = startReader(t, hub);
  const url = hub.url('/events?begin&end', { topic: TOPIC });
  const headers = ['-H', 'Content-Type: text/event-stream', '-H', 'Idempotency-Key: body'];
  const input = new Readable({ read() {} });
  const pipe = new Program('curl', ['-sT', '-', '-X', 'POST', ...headers, url], { input });
  input.push('data: token 1\n\ndata: token 2\n\n');
  await reader.event('token 2');
  await hub.stop({ signal: 'SIGKILL' });
  input.push(null);
  await pipe.ended;
  await startHub(t, { args, listen: hub.host });
  const body = tokens(1, 3).map((token) => `data: ${token}\n\n`).join('');
  const sent = await curl([...headers, '--data-binary', '@-', url], { input: body });
  assert.equal(sent.status, 201, sent.body);
  const end = await reader.line('end');
  assert.deepEqual([end.reason, end.events], ['done', 3]);
  assert.deepEqual(reader.data, tokens(1, 3));
});
