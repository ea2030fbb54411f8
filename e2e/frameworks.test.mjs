//! The recipes for React and Vue, built as they are written and run in a browser.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { build } from 'esbuild';
import { compileScript, parse } from 'vue/compiler-sfc';

import { startBrowser } from './lib/browser.mjs';
import { atEnd, makeFolder } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { codeBlock } from './lib/recipe.mjs';
import { startRelay } from './lib/relay.mjs';
import { NODE_MODULES } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

/** The files of each framework's application; the first one is where it starts. */
const APPLICATIONS = {
  React: {
    'main.jsx': await codeBlock('react', 'A component'),
    'useEvents.js': await codeBlock('react', 'The hook'),
  },
  Vue: {
    'main.js': "import { createApp } from 'vue'; import News from './News.js'; createApp(News).mount('#root');",
    'News.js': vueComponent(await codeBlock('vue', 'A component')),
    'useEvents.js': await codeBlock('vue', 'The composable'),
  },
};

for (const [framework, files] of Object.entries(APPLICATIONS)) {
  test(`the recipe for ${framework} shows events, publishes, and outlives a cut`, async (t) => {
    const hub = await startHub(t, { args: ['--retry', '100ms'] });
    const relay = await startRelay(t, hub.port);
    const context = await browser.newContext();
    atEnd(t, () => context.close());
    const page = await context.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    const script = await bundle(t, files);
    // The page comes from the hub's own origin, as it does through a developer's server.
    await page.route('**/app', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><div id="root"></div>' }));
    await page.goto(`${relay.origin}/app`);
    await page.addScriptTag({ content: script });

    await until('the stream', async () => (await page.textContent('p')) === 'open');
    await until('one stream', async () => (await hub.metric('tidings_streams')) === 1);
    await hub.publish('hello', 'from elsewhere');
    await page.fill('input', 'from the page');
    await page.click('button');
    const shown = () => page.locator('li').allTextContents();
    await until('both events', async () => (await shown()).length === 2);
    relay.refuse();
    relay.cut('reset');
    await until('the cut to show', async () => (await page.textContent('p')) === 'connecting');
    await hub.publish('hello', 'meanwhile');
    await relay.accept();
    await until('what was published meanwhile', async () => (await shown()).includes('meanwhile'));
    assert.deepEqual(await shown(), ['from elsewhere', 'from the page', 'meanwhile']);
    assert.deepEqual(problems, []);
  });
}

/** Builds an application into one script. */
async function bundle(t, files) {
  const folder = await makeFolder(t);
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
  const built = await build({
    entryPoints: [path.join(folder, Object.keys(files)[0])],
    bundle: true,
    write: false,
    jsx: 'automatic',
    nodePaths: [NODE_MODULES],
    define: {
      'process.env.NODE_ENV': '"development"',
      __VUE_OPTIONS_API__: 'false',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
  });
  return built.outputFiles[0].text;
}

/** Compiles a component's one file, as Vite's plugin does. */
function vueComponent(source) {
  const { descriptor, errors } = parse(source);
  assert.deepEqual(errors, []);
  return compileScript(descriptor, { id: 'news', inlineTemplate: true }).content;
}
