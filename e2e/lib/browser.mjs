//! A real, headless Chromium.

import { accessSync, constants } from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { atEnd } from './cleanup.mjs';
import { DEADLINE_MS } from './wait.mjs';

/** On a machine that does much else, it may need half a minute the first time. */
const STARTED_WITHIN_MS = 120_000;

/**
 * Starts Chromium with a fresh profile, and `args` of its own; it is closed when the test `t` is over.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 */
export async function startBrowser(t, { args = [] } = {}) {
  const browser = await chromium.launch({
    executablePath: executable(),
    headless: true,
    timeout: STARTED_WITHIN_MS,
    // Chromium's own sandbox refuses to run as root.
    chromiumSandbox: process.getuid() !== 0,
    // Only the pages under test use the network.
    args: ['--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', ...args],
  });
  atEnd(t, () => browser.close());
  return browser;
}

/**
 * Opens `url` in a page of its own, with cookies of its own.
 *
 * Returns the page and `problems`: its console errors and uncaught exceptions, as text. A test that
 * expects none asserts at its end that `problems` is empty.
 */
export async function openPage(browser, url, { context: options = {} } = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(`${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(url);
  return { page, problems };
}

/** The path of Chromium, by any name that distributions use. */
function executable() {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    for (const folder of process.env.PATH.split(path.delimiter)) {
      const file = path.join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // Not here: try the next folder.
      }
    }
  }
  throw new Error('no Chromium on PATH; `cargo xtask setup` installs it or says how to');
}
