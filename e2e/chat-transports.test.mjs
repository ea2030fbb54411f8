//! The AI SDK's transports by themselves, in Node, against the recipe's server or the hub alone.

import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';

import { startChatServer } from './lib/chat.mjs';
import { startHub } from './lib/hub.mjs';
import { node22 } from './lib/node22.mjs';
import { Program } from './lib/program.mjs';
import { NODE_MODULES } from './lib/static.mjs';

/** Starts a module that uses packages of npm on Node 22. */
function startScript(t, text, args) {
  const options = { cwd: path.dirname(NODE_MODULES) };
  const program = new Program(node22(), ['--input-type=module', '-e', text, ...args], options);
  t.after(() => program.stop());
  return program;
}

/** Prints each chunk of a chat's stream as a line of JSON, or `null` if there is nothing to resume. */
const DEFAULT = `
import { DefaultChatTransport } from 'ai';
const [api, chatId] = process.argv.slice(1);
const chunks = await new DefaultChatTransport({ api }).reconnectToStream({ chatId });
if (chunks) for await (const chunk of chunks) console.log(JSON.stringify(chunk));
else console.log('null');
`;

test('DefaultChatTransport resumes in mid-answer, ends with the stream, and resumes nothing else', async (t) => {
  const hub = await startHub(t);
  const server = await startChatServer(t, 'Node', hub);
  const api = `${server.origin}/api/chat`;
  const posted = fetch(api, {
    method: 'POST',
    body: JSON.stringify({ id: '1', messages: [{ id: 'm', role: 'user', parts: [{ type: 'text', text: 'News?' }] }] }),
  });
  server.say('one, ');
  const answer = await posted;
  assert.equal(answer.status, 200);
  const resumed = startScript(t, DEFAULT, [api, '1']);
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
    const nothing = startScript(t, DEFAULT, [api, chat]);
    assert.deepEqual(await nothing.ended, { code: 0, signal: null });
    assert.equal(nothing.stdout, 'null\n');
  }
});
