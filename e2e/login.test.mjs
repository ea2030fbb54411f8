//! The recipe for users with a login, as it is written, in Chromium: tokens end and are renewed without
//! a loss, and signing out ends everything.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd, makeFolder } from './lib/cleanup.mjs';
import { runTidings, startHub } from './lib/hub.mjs';
import { freePort } from './lib/port.mjs';
import { Program } from './lib/program.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const EVENTS_SECRET = 'a secret of thirty-two bytes, ok';

const APPLICATIONS = {
  Node: { file: 'app.mjs', command: ['node', 'app.mjs'], seconds: ['TOKEN_SECONDS = 300', 'TOKEN_SECONDS = 1.5'] },
  Python: { file: 'app.py', command: ['python3', 'app.py'], seconds: ['TOKEN_SECONDS = 300', 'TOKEN_SECONDS = 1.5'] },
};

/** The hub and the application of the recipe, whose tokens last a moment. */
async function startBoth(t, { file, command, seconds: [from, to] }, heading) {
  const folder = await makeFolder(t);
  const key = await runTidings(['key', 'new', 'app', '--publish', 'users/**', '--manage', '**']);
  const [HUB_KEY, line] = key.stdout.trim().split('\n');
  const port = await freePort();
  const toml = adapted(await codeBlock('login', 'The hub', 1), {
    'http://127.0.0.1:3000': `http://127.0.0.1:${port}`,
    ['0'.repeat(64)]: /sha256 = "([0-9a-f]{64})"/.exec(line)[1],
  });
  await writeFile(path.join(folder, 'tidings.toml'), toml);
  const args = ['--retry', '100ms', '--config', path.join(folder, 'tidings.toml')];
  const hub = await startHub(t, { args, env: { EVENTS_SECRET } });
  await writeFile(path.join(folder, 'index.html'), await codeBlock('login', 'The page'));
  await writeFile(path.join(folder, file), adapted(await codeBlock('login', heading), { [from]: to }));
  const env = { HUB: hub.origin, PORT: String(port), EVENTS_SECRET, HUB_KEY, PYTHONUNBUFFERED: '1' };
  const app = new Program(command[0], command.slice(1), { cwd: folder, env });
  atEnd(t, () => app.stop());
  const origin = `http://127.0.0.1:${port}`;
  await until('the application', () => fetch(origin).then(({ ok }) => ok, () => false));
  return { hub, app, origin, headers: { authorization: `Bearer ${HUB_KEY}` } };
}

for (const [name, application] of Object.entries(APPLICATIONS)) {
  test(`users sign in, are told their news while tokens come and go, and sign out (${name})`, async (t) => {
    const { hub, origin, headers } = await startBoth(t, application, `In ${name}`);
    const { page } = await openPage(browser, `${origin}/`);
    atEnd(t, () => page.context().close());
    const state = (text) => until(`the state ${text}`, async () => (await page.textContent('#state')) === text);
    await state('signed out');
    const tokens = [];
    page.on('request', (request) => {
      const token = new URL(request.url()).searchParams.get('token');
      if (token && tokens.at(-1) !== token) tokens.push(token);
    });
    await page.evaluate(() => fetch('/login?user=alice', { method: 'POST' }));
    await page.reload();
    await state('open');

    const told = [];
    const tell = (text) => {
      told.push(text);
      return hub.publish('users/alice/news', text, { headers });
    };
    // No event before the first token has ended: the page's place stays all the same.
    await until('a second token', () => tokens.length >= 2);
    await tell('after the first token');
    await until('further tokens', async () => {
      await tell(`event ${told.length}`);
      await hub.publish('users/bob/news', 'for another', { headers });
      return tokens.length >= 4;
    });
    await tell('the last');
    const news = () => page.locator('#news li').allTextContents();
    await until('all news', async () => (await news()).includes('the last'));
    assert.deepEqual(await news(), told);

    await state('open');
    await page.click('#out');
    await state('signed out');
    const last = hub.url('/topics/users/alice/news', { token: tokens.at(-1) });
    const refused = await fetch(last, { headers: { accept: 'application/json' } });
    assert.equal(refused.status, 401);
    const subscribers = async () => (await (await fetch(hub.url('/subscribers'), { headers })).json()).total;
    await until('no stream', async () => (await subscribers()) === 0);
  });
}
