//! The page of the recipe for a chat on the AI SDK, in tabs of a real browser.

import assert from 'node:assert/strict';
import path from 'node:path';

import { build } from 'esbuild';

import { atEnd } from './cleanup.mjs';
import { codeBlock } from './recipe.mjs';
import { NODE_MODULES } from './static.mjs';
import { DEADLINE_MS, until } from './wait.mjs';

const PAGE = await bundle(await codeBlock('chat', 'The page'));

/** The browser's window, in which any server has the page. */
export async function openChats(t, browser) {
  const context = await browser.newContext();
  context.setDefaultTimeout(DEADLINE_MS);
  atEnd(t, () => context.close());
  await context.route('**/chat?**', (route) => route.fulfill({ contentType: 'text/html', body: PAGE }));
  return context;
}

/** Opens the chat in a tab of its own, and waits until the page knows what there is to resume: it would show an answer that is asked for
 * meanwhile twice. */
export async function openChat(context, origin) {
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  const resumed = page.waitForResponse(`${origin}/api/chat/1/stream`);
  await page.goto(`${origin}/chat?chat=1`);
  await resumed;
  const shown = () =>
    page.evaluate(() => ({
      status: document.querySelector('output')?.textContent,
      answers: [...document.querySelectorAll('p.assistant')].map((element) => element.textContent),
    }));
  const shows = async (status, answers) => {
    let seen;
    try {
      await until('the page', async () => {
        seen = await shown();
        return seen.status === status && JSON.stringify(seen.answers) === JSON.stringify(answers);
      });
    } catch {
      assert.deepEqual(seen, { status, answers });
    }
  };
  return { page, problems, shows, answers: (status, text) => shows(status, [text]) };
}

/** The page of a script that is built as an application is. */
async function bundle(text) {
  const { outputFiles } = await build({
    stdin: { contents: text, loader: 'jsx', resolveDir: path.dirname(NODE_MODULES) },
    bundle: true,
    write: false,
    format: 'esm',
    minify: true,
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  const script = outputFiles[0].text.replaceAll('</script', '<\\/script');
  return `<!doctype html><title>chat</title><div id="root"></div><script type="module">${script}</script>`;
}
