//! The recipe for a chat on the AI SDK: what a page shows survives reloads, in a second tab, too.

import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

import { startBrowser } from './lib/browser.mjs';
import { startHub } from './lib/hub.mjs';
import { node22 } from './lib/node22.mjs';
import { Program } from './lib/program.mjs';
import { PYTHON } from './lib/python.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';
import { NODE_MODULES } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);
const PAGE = await bundle(await codeBlock('chat', 'The page'));
const MODEL = fileURLToPath(new URL('fixtures/model.mjs', import.meta.url));

/** Each server as the recipe has it, whose model says the lines of its standard input. */
const SERVERS = {
  Node: {
    reloads: 50,
    file: 'server.mjs',
    program: node22(),
    text: adapted(await codeBlock('chat', 'The server in Node'), {
      "const model = 'openai/gpt-5';": `import { model } from ${JSON.stringify(MODEL)};`,
      'process.env.PORT ?? 3000)': "0, '127.0.0.1', function () { console.log(`port ${this.address().port}`) })",
    }),
  },
  Python: {
    reloads: 5,
    file: 'server.py',
    program: PYTHON,
    text: adapted(await codeBlock('chat', 'The server in Python'), {
      '    yield from ["You ", "said ", messages[-1]["parts"][0]["text"]]\n':
        '    import sys\n    yield from (line.rstrip("\\n") for line in sys.stdin)\n',
      'ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3000))), Server).serve_forever()':
        'server = ThreadingHTTPServer(("127.0.0.1", 0), Server)\n' +
        'print(f"port {server.server_port}", flush=True)\nserver.serve_forever()',
    }),
  },
};

for (const [language, server] of Object.entries(SERVERS)) {
  test(`a chat outlives reloads in mid-answer, on a server in ${language}`, async (t) => {
    const hub = await startHub(t);
    const { origin, say, finish } = await startServer(t, server, hub);
    const context = await browser.newContext();
    t.after(() => context.close());
    await context.route('**/chat?**', (route) => route.fulfill({ contentType: 'text/html', body: PAGE }));
    const [first, second] = [await openChat(context, origin), await openChat(context, origin)];
    // There is nothing to resume.
    for (const tab of [first, second]) await tab.shows('ready', []);

    await first.page.fill('input', 'Tell me news');
    await first.page.click('button');
    await until('the stream', async () => (await state(hub)).state === 'streaming');
    await second.page.reload();
    let text = '';
    for (let n = 1; n <= server.reloads; n += 1) {
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

/** The latest stream of the chat. */
async function state(hub) {
  const answer = await fetch(hub.url('/streams', { topic: 'chat/1' }));
  return (await answer.json()).streams[0];
}

/** Starts a server of the recipe: `say` gives it a token of the model, and `finish` ends the answer. */
async function startServer(t, { file, program, text }, hub) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tidings-chat-'));
  t.after(() => rm(folder, { recursive: true }));
  await symlink(NODE_MODULES, path.join(folder, 'node_modules'));
  await writeFile(path.join(folder, file), text);
  const input = new Readable({ read() {} });
  const running = new Program(program, [path.join(folder, file)], { env: { HUB: hub.origin }, input });
  t.after(() => running.stop());
  const [, port] = await running.printed(/port (\d+)\n/);
  const say = (token) => input.push(`${token}\n`);
  return { origin: `http://127.0.0.1:${port}`, say, finish: () => input.push(null) };
}

/** Opens the chat in a tab of its own. */
async function openChat(context, origin) {
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(`${origin}/chat?chat=1`);
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
