//! The recipes for jobs: each command runs as it is written, and readers that come late get all of it.

import assert from 'node:assert/strict';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { openPage, startBrowser } from './lib/browser.mjs';
import { makeFolder } from './lib/cleanup.mjs';
import { startCurl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { run } from './lib/program.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';
import { startStatic } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

/** Runs a block of the recipe in a shell. */
async function shell(text, env, cwd) {
  const ended = await run('sh', ['-c', text], { env, cwd });
  assert.equal(ended.code, 0, ended.stderr);
  return ended.stdout;
}

/** The addresses that the commands for readers name. */
async function readerOf(heading, hub) {
  const [, address] = (await codeBlock('jobs', heading, 1)).match(/"\$HUB([^"]*)"/);
  return hub.url(address);
}

/** Reads the events of a stream to the end of the response. */
async function wholeStream(reader) {
  const events = [];
  for (let event; (event = await reader.event()); ) events.push(event);
  assert.equal((await reader.ended).code, 0);
  return events;
}

test('a build log reaches a reader that comes late, line by line', async (t) => {
  const hub = await startHub(t);
  const folder = await makeFolder(t);
  await writeFile(path.join(folder, 'build'), 'echo compiling\necho "warning: größe" >&2\nexit 2\n');
  const command = adapted(await codeBlock('jobs', 'A build log'), { make: 'sh ./build' });
  await shell(command, { HUB: hub.origin }, folder);
  const reader = startCurl(t, [await readerOf('A build log', hub)]);
  const events = await wholeStream(reader);
  const { reason } = JSON.parse(events.pop().data);
  assert.equal(reason, 'done');
  assert.deepEqual(events.map(({ data }) => data), ['compiling', 'warning: größe', 'exit 2']);
  assert.deepEqual([...new Set(events.map(({ type }) => type))], ['line']);
});

test('a progress bar fills, in a page that is reloaded too, and its source stays away after the end', async (t) => {
  const pages = {};
  const files = await startStatic(t, { pages });
  const hub = await startHub(t, { args: ['--allow-origin', files.origin, '--retry', '100ms'] });
  pages['/bar.html'] = adapted(await codeBlock('jobs', 'A progress bar', 1), { 'http://127.0.0.1:4000': hub.origin });
  const browser = await startBrowser(t);
  const { page: window } = await openPage(browser, `${files.origin}/bar.html`);
  const value = () => window.locator('progress').evaluate((bar) => bar.value);
  await hub.publish('jobs/7', '10', { query: { type: 'progress', begin: '' } });
  await until('the first step', async () => (await value()) === 10);
  await window.reload();
  await until('the first step again', async () => (await value()) === 10);
  await shell(await codeBlock('jobs', 'A progress bar'), { HUB: hub.origin });
  await until('the end', async () => (await value()) === 100);
  await until('no stream', async () => (await hub.metric('tidings_streams')) === 0);
});

for (const [format, file] of [
  ['OpenAI', 'token-stream.txt'],
  ['Anthropic', 'message-stream.txt'],
]) {
  test(`an answer in the format of ${format} is piped and read unchanged`, async (t) => {
    const hub = await startHub(t);
    const folder = await makeFolder(t);
    const answer = path.join(folder, 'answer');
    await copyFile(fileURLToPath(new URL(`fixtures/${file}`, import.meta.url)), answer);
    const heading = 'An answer in the format of OpenAI';
    await shell(await codeBlock('jobs', heading), { HUB: hub.origin, MODEL: `file://${answer}` });
    const reader = startCurl(t, [await readerOf(heading, hub)]);
    const { headers } = await reader.head();
    assert.equal(headers.get('stream-gap'), 'close');
    const events = await wholeStream(reader);
    const blocks = (await readFile(answer, 'utf8')).split('\n\n').filter((block) => block !== '');
    assert.deepEqual(
      events.map(({ type, data }) => [type, data]),
      blocks.map((block) => [block.match(/^event: (.*)$/m)?.[1] ?? 'message', block.match(/^data: (.*)$/m)[1]]),
    );
  });
}
