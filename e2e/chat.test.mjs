//! The recipe for a chat on the AI SDK: what a page shows survives reloads, in a second tab, too.

import assert from 'node:assert/strict';
import test from 'node:test';

import { startBrowser } from './lib/browser.mjs';
import { startChatServer } from './lib/chat.mjs';
import { openChat, openChats } from './lib/chat-page.mjs';
import { startHub } from './lib/hub.mjs';
import { makeFolder } from './lib/tools.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

/** Reloads in mid-answer, for each language of the server. */
const RELOADS = { Node: 50, Python: 5 };

for (const [language, reloads] of Object.entries(RELOADS)) {
  test(`a chat outlives reloads in mid-answer, on a server in ${language}`, async (t) => {
    const hub = await startHub(t);
    const { origin, say, finish } = await startChatServer(t, language, hub);
    const context = await openChats(t, browser);
    const [first, second] = [await openChat(context, origin), await openChat(context, origin)];
    // There is nothing to resume.
    for (const tab of [first, second]) await tab.shows('ready', []);

    await ask(first, hub);
    await second.page.reload();
    let text = '';
    for (let n = 1; n <= reloads; n += 1) {
      const token = `token ${n}, `;
      say(token);
      text += token;
      for (const tab of [first, second]) await tab.answers('streaming', text);
      await first.page.reload();
      await first.answers('streaming', text);
    }
    finish();
    for (const tab of [first, second]) await tab.answers('ready', text);
    assert.equal((await state(hub)).state, 'done');
    await first.page.reload();
    await first.shows('ready', []);
    for (const tab of [first, second]) assert.deepEqual(tab.problems, []);
  });
}

test('a chat whose beginning is no longer held says so and throws nothing', async (t) => {
  const hub = await startHub(t, { args: ['--retain', 'chat/*=events:5'] });
  const { origin, say, finish } = await startChatServer(t, 'Node', hub);
  const tab = await openChat(await openChats(t, browser), origin);
  await tab.shows('ready', []);
  await ask(tab, hub);
  let text = '';
  for (let n = 1; n <= 20; n += 1) {
    say(`token ${n}, `);
    text += `token ${n}, `;
    await tab.answers('streaming', text);
  }
  await tab.page.reload();
  await until('the error', async () => /no longer held/.test(await tab.page.textContent('output')));
  finish();
  assert.deepEqual(tab.problems, []);
});

for (const language of Object.keys(RELOADS)) {
  test(`a reader stops an answer for all of them, on a server in ${language}`, async (t) => {
    const hub = await startHub(t);
    const { origin, say, printed } = await startChatServer(t, language, hub);
    const context = await openChats(t, browser);
    const [first, second] = [await openChat(context, origin), await openChat(context, origin)];
    await ask(first, hub);
    await second.page.reload();
    say('one');
    for (const tab of [first, second]) await tab.answers('streaming', 'one');
    await second.page.click('.stop');
    for (const tab of [first, second]) await tab.answers('ready', 'one');
    if (language === 'Node') await printed(/the model is aborted/);
    assert.equal((await state(hub)).state, 'stopped');
    // The model that is not told at once is not heard any more.
    say('two');
    await first.page.reload();
    await first.shows('ready', []);
    assert.equal((await state(hub)).events, (await hub.read('chat/1')).events.length);
    for (const tab of [first, second]) assert.deepEqual(tab.problems, []);
  });

  test(`a hub that is killed in mid-answer is not noticed by a chat on a server in ${language}`, async (t) => {
    const args = ['--data', await makeFolder(t), '--retry', '100ms'];
    let hub = await startHub(t, { args });
    const { host } = hub;
    const { origin, say, finish } = await startChatServer(t, language, hub);
    const context = await openChats(t, browser);
    const [first, second] = [await openChat(context, origin), await openChat(context, origin)];
    await ask(first, hub);
    await second.page.reload();
    let text = '';
    const next = () => {
      const token = `token ${text.length}, `;
      say(token);
      text += token;
    };
    for (let kill = 1; kill <= 3; kill += 1) {
      for (let n = 0; n < 20; n += 1) next();
      for (const tab of [first, second]) await tab.answers('streaming', text);
      for (let n = 0; n < 20; n += 1) next();
      await hub.stop({ signal: 'SIGKILL' });
      next();
      hub = await startHub(t, { args, listen: host });
      for (const tab of [first, second]) await tab.answers('streaming', text);
    }
    await second.page.reload();
    await second.answers('streaming', text);
    finish();
    for (const tab of [first, second]) await tab.answers('ready', text);
    assert.equal((await state(hub)).state, 'done');
    for (const tab of [first, second]) assert.deepEqual(tab.problems, []);
  });
}

for (const language of Object.keys(RELOADS)) {
  test(`a server in ${language} goes on at a hub that was started again while the model thinks`, async (t) => {
    const args = ['--data', await makeFolder(t), '--retry', '100ms'];
    const hub = await startHub(t, { args });
    const { origin, say, finish } = await startChatServer(t, language, hub);
    const tab = await openChat(await openChats(t, browser), origin);
    await ask(tab, hub);
    say('one');
    await tab.answers('streaming', 'one');
    let [running, text] = [hub, 'one'];
    for (const [signal, token] of [['SIGKILL', 'two'], ['SIGTERM', 'three']]) {
      const { producer } = await state(running);
      await running.stop({ signal });
      running = await startHub(t, { args, listen: hub.host });
      await until('the producer', async () => (await state(running)).producer.epoch > producer.epoch);
      // It has taken over, and goes on a moment later.
      say(token);
      text += token;
      await tab.answers('streaming', text);
    }
    finish();
    await tab.answers('ready', text);
    assert.equal((await state(running)).state, 'done');
    assert.deepEqual(tab.problems, []);
  });
}

test('an answer that is begun anew ends the one before for its readers', async (t) => {
  const hub = await startHub(t);
  const { origin, say } = await startChatServer(t, 'Node', hub);
  const context = await openChats(t, browser);
  const [first, second] = [await openChat(context, origin), await openChat(context, origin)];
  await ask(first, hub);
  say('one');
  await first.answers('streaming', 'one');
  const { stream_id: old } = await state(hub);
  await second.page.fill('input', 'Tell me other news');
  await second.page.click('.send');
  await until('the next stream', async () => (await state(hub)).stream_id !== old);
  await first.answers('ready', 'one');
  assert.deepEqual(first.problems, []);
});

/** Asks the model, and waits until it has begun to answer. */
async function ask({ page }, hub) {
  await page.fill('input', 'Tell me news');
  await page.click('.send');
  await until('the stream', async () => (await state(hub)).state === 'streaming');
}

/** The latest stream of the chat. */
async function state(hub) {
  const answer = await fetch(hub.url('/streams', { topic: 'chat/1' }));
  return (await answer.json()).streams[0];
}
