//! The AI SDK's transports by themselves, in Node, against the recipe's server or the hub alone.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';

import { startChatServer } from './lib/chat.mjs';
import { startHub, startTidings } from './lib/hub.mjs';
import { startModule } from './lib/node22.mjs';
import { startWorkflow } from './lib/readers.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

/** Prints each chunk of a chat's stream as a line of JSON, or `null` if there is nothing to resume. */
const DEFAULT = `
import { DefaultChatTransport } from 'ai';
const [api, chatId] = process.argv.slice(1);
const chunks = await new DefaultChatTransport({ api }).reconnectToStream({ chatId });
if (chunks) for await (const chunk of chunks) console.log(JSON.stringify(chunk));
else console.log('null');
`;

/** Asks the model of a server for news. */
function ask(api) {
  const messages = [{ id: 'm', role: 'user', parts: [{ type: 'text', text: 'News?' }] }];
  return fetch(api, { method: 'POST', body: JSON.stringify({ id: '1', messages }) });
}

test('DefaultChatTransport resumes in mid-answer, ends with the stream, and resumes nothing else', async (t) => {
  const hub = await startHub(t);
  const server = await startChatServer(t, 'Node', hub);
  const api = `${server.origin}/api/chat`;
  const posted = ask(api);
  server.say('one, ');
  const answer = await posted;
  assert.equal(answer.status, 200);
  const resumed = startModule(t, DEFAULT, [api, '1']);
  await resumed.printed(/one, /);
  server.say('two');
  await resumed.printed(/two/);
  server.finish();
  assert.deepEqual(await resumed.ended, { code: 0, signal: null });
  const chunks = resumed.stdout.trim().split('\n').map((line) => JSON.parse(line));
  const text = chunks.filter(({ type }) => type === 'text-delta').map(({ delta }) => delta);
  assert.deepEqual(text, ['one, ', 'two']);
  assert.deepEqual([chunks[0].type, chunks.at(-1).type], ['start', 'finish']);
  assert.equal(resumed.stderr, '');
  // The first reader was sent the same.
  const events = (await answer.text()).split('\n').filter((line) => line.startsWith('data: {'));
  assert.deepEqual(events.map((line) => JSON.parse(line.slice('data: '.length))), chunks);
  for (const chat of ['1', 'unknown']) {
    const nothing = startModule(t, DEFAULT, [api, chat]);
    assert.deepEqual(await nothing.ended, { code: 0, signal: null });
    assert.equal(nothing.stdout, 'null\n');
  }
});

for (const language of ['Node', 'Python']) {
  test(`DefaultChatTransport is told by a server in ${language} that a beginning is no longer held`, async (t) => {
    const hub = await startHub(t, { args: ['--retain', 'chat/*=events:5'] });
    const server = await startChatServer(t, language, hub);
    const api = `${server.origin}/api/chat`;
    const posted = ask(api);
    for (let n = 1; n <= 20; n += 1) server.say(`token ${n}, `);
    assert.equal((await posted).status, 200);
    await until('all of it', async () => {
      const [{ events }] = (await (await fetch(hub.url('/streams?topic=chat/1'))).json()).streams;
      return events >= 22;
    });
    const resumed = startModule(t, DEFAULT, [api, '1']);
    assert.deepEqual(await resumed.ended, { code: 0, signal: null });
    const [chunk, ...others] = resumed.stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual([chunk.type, others, resumed.stderr], ['error', [], '']);
    assert.match(chunk.errorText, /no longer held/);
    server.finish();
  });
}

/** An answer of many short parts, so that what begins in the middle of it begins with a part soon. */
function chunksOfParts(parts) {
  const part = (n) => [
    { type: 'text-start', id: `${n}` },
    ...Array.from({ length: 8 }, (_, token) => ({ type: 'text-delta', id: `${n}`, delta: `${n}.${token} ` })),
    { type: 'text-end', id: `${n}` },
  ];
  return [{ type: 'start' }, ...Array.from({ length: parts }, (_, n) => part(n)).flat(), { type: 'finish' }];
}

/** The time between two cuts, and how often there is one. */
const [CUT_MS, CUTS] = [2000, 3];

test('WorkflowChatTransport reads from an index, or so many chunks from the end, and is cut every 2 s', async (t) => {
  const hub = await startHub(t);
  const relay = await startRelay(t, hub.port);
  const chunks = chunksOfParts(90);
  const half = chunks.slice(0, 151);
  const input = new Readable({ read() {} });
  const producer = startTidings(t, ['publish', 'chat/1', '--stream', '--end', 'close', '--hub', hub.origin], { input });
  const say = (all) => all.forEach((chunk) => input.push(`data: ${JSON.stringify(chunk)}\n\n`));
  say(half);
  await until('half of it', async () => {
    const [{ events }] = (await (await fetch(hub.url('/streams?topic=chat/1'))).json()).streams;
    return events === half.length;
  });
  const topic = `${relay.origin}/topics/chat/1`;
  const readers = [0, 41, -50].map((start) => startWorkflow(t, topic, start));
  for (const reader of readers) await reader.printed(/"delta":"14\.7 "/);
  let [at, cuts, cutAt] = [half.length, 0, performance.now() + CUT_MS];
  await until('all cuts', () => {
    // At each look another chunk, so that every cut is in the middle of them.
    say(chunks.slice(at, at + 1));
    at += 1;
    if (performance.now() < cutAt) return false;
    relay.cut('reset');
    [cuts, cutAt] = [cuts + 1, performance.now() + CUT_MS];
    return cuts === CUTS;
  });
  assert.ok(at < chunks.length, 'the chunks outlast the cuts');
  say(chunks.slice(at));
  input.push(null);
  const first = [0, 41, half.length - 50];
  for (const [n, reader] of readers.entries()) {
    assert.equal((await reader.ended).code, 0, reader.stderr);
    const seen = reader.stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(seen, chunks.slice(first[n]));
  }
  assert.equal((await producer.ended).code, 0);
});

test('WorkflowChatTransport says that there is nothing to resume of an unknown chat', async (t) => {
  const hub = await startHub(t);
  const reader = startWorkflow(t, hub.url('/topics/chat/1?from=active'));
  assert.equal((await reader.ended).code, 1);
  assert.deepEqual([reader.stdout, /Failed to fetch chat: 204/.test(reader.stderr)], ['', true]);
});
