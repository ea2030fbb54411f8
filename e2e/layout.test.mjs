//! Both pages on a wide screen and on a phone, in light and dark: nothing overflows, and no control is
//! too small. Screenshots for people go to `target/e2e/`.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import test from 'node:test';

import { openPage, startBrowser } from './lib/browser.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const PICTURES = fileURLToPath(new URL('../target/e2e', import.meta.url));

const SCREENS = {
  wide: { viewport: { width: 1400, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true },
};

/** Minimum size of a target in CSS pixels (WCAG 2.2, success criterion 2.5.8). */
const TARGET_MIN = 24;

/** Fills the demo's page with everything it can show. */
async function fillDemo(hub, page) {
  await until('four streams', async () => (await page.textContent('#streams')) === '4 of 4 streams open');
  const long = `A message that is much longer than the others, ${'with '.repeat(20)}an-unbreakable-word-${'x'.repeat(80)}`;
  for (const text of ['good tidings', long, '{"json":[1,2,3]}']) {
    for (const user of ['alpha', 'beta', 'theta']) {
      await fetch(hub.url(`/send/${user}`), { method: 'POST', body: text });
    }
  }
  await until('the messages', async () => (await page.locator('form.panel td.data', { hasText: 'json' }).count()) === 3);
  for (const text of ['The tide is in', long]) {
    await page.fill('#notice-form input', text.slice(0, 280));
    await page.click('#notice-form button');
    await until('the notice', async () => (await page.locator('.notices li', { hasText: text.slice(0, 40) }).count()) > 0);
  }
  await until('a few prices', async () => (await page.locator('#ticker .price').count()) === 4);
  await until('the hub', async () => (await page.textContent('[data-statistic=subscribers]')) === '4');
}

/** Fills the page of `serve` with short and long events. */
async function fillPlayground(hub, page) {
  await page.fill('#listen [name=topic]', 'orders/**');
  await page.click('#listen button[type=submit]');
  await until('the stream', async () => (await page.getAttribute('#state', 'data-state')) === 'open');
  for (const [data, query] of [
    ['hi', {}],
    ['{"price":3.92,"station":"Gull Rock"}', { type: 'tick', id: 'order-7' }],
    [`two lines\nand one that is ${'very '.repeat(30)}long-${'x'.repeat(120)}`, { type: 'score' }],
    ['last', {}],
  ]) {
    await hub.publish('orders/7', data, { query });
  }
  await page.fill('#publish [name=topic]', 'orders/7');
  await page.click('#publish button');
  await until('all rows', async () => (await page.locator('#events tbody tr').count()) === 5);
}

test('the widgets come first on a phone, and stand beside the panels where there is room', async (t) => {
  const hub = await startHub(t, { command: 'demo' });
  const places = async (options) => {
    const { page } = await openPage(browser, hub.url('/'), { context: options });
    atEnd(t, () => page.context().close());
    return [await page.locator('#widgets').boundingBox(), await page.locator('.users').boundingBox()];
  };
  const [above, below] = await places(SCREENS.phone);
  assert.ok(above.y + above.height <= below.y);
  const [right, left] = await places(SCREENS.wide);
  assert.equal(right.y, left.y);
  assert.ok(left.x + left.width <= right.x);
});

for (const [name, command, fill] of [
  ['demo', 'demo', fillDemo],
  ['serve', 'serve', fillPlayground],
]) {
  for (const [screen, options] of Object.entries(SCREENS)) {
    for (const colorScheme of ['light', 'dark']) {
      test(`the page of ${name} fits a ${screen} screen in ${colorScheme}`, async (t) => {
        const hub = await startHub(t, { command });
        const { page, problems } = await openPage(browser, hub.url('/'), { context: { ...options, colorScheme } });
        atEnd(t, () => page.context().close());
        await fill(hub, page);
        await mkdir(PICTURES, { recursive: true });
        await page.screenshot({ path: `${PICTURES}/${name}-${screen}-${colorScheme}.png`, fullPage: true, animations: 'disabled' });

        const found = await page.evaluate(look, { targetMin: TARGET_MIN });
        assert.ok(found.judged > 40, 'most texts are judged for their contrast');
        delete found.judged;
        assert.deepEqual(found, { sidewaysBy: 0, cutOff: [], tooSmall: [], faint: [], takingRoom: [] });
        assert.deepEqual(problems, []);
      });
    }
  }
}

/** Runs in the page: lists the faults that a person would notice. */
function look({ targetMin }) {
  const words = (element) => `${element.tagName.toLowerCase()} ${element.id || element.name || element.className} "${(element.textContent ?? '').trim().slice(0, 30)}"`;
  const visible = [...document.body.querySelectorAll('*')].filter((element) => element.checkVisibility());
  const width = document.documentElement.clientWidth;

  const scrollsItself = (element) => {
    for (let parent = element.parentElement; parent; parent = parent.parentElement) {
      if (/auto|scroll|hidden|clip/.test(getComputedStyle(parent).overflowX)) return true;
    }
    return false;
  };
  const cutOff = visible.filter((element) => {
    const { left, right } = element.getBoundingClientRect();
    return (right > width + 1 || left < -1) && right > 0 && !scrollsItself(element);
  });
  const tooSmall = visible.filter((element) => {
    if (!element.matches('button, input, select, textarea, a')) return false;
    const { width, height } = element.getBoundingClientRect();
    return width < targetMin || height < targetMin;
  });

  /** Text for assistive technology alone must take up no space. */
  const takesRoom = (element) => {
    const { position, width, height } = getComputedStyle(element);
    return position !== 'absolute' || Math.max(parseFloat(width), parseFloat(height)) > 1;
  };

  const rgb = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) =>
    [r, g, b]
      .map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  /** The nearest opaque background. Text on a translucent one is not judged, for its contrast is unknown. */
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!color.startsWith('rgb')) return null;
      const [, , , alpha = 1] = rgb(color);
      if (alpha === 1) return rgb(color);
      if (alpha > 0) return null;
    }
    return null;
  };
  let judged = 0;
  const faint = visible.filter((element) => {
    const ownText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const style = getComputedStyle(element);
    const behind = ground(element);
    if (!ownText || !behind || element.disabled || !style.color.startsWith('rgb(')) return false;
    judged += 1;
    const [a, b] = [luminance(rgb(style.color)), luminance(behind)].sort((x, y) => y - x);
    // WCAG 2.2, success criterion 1.4.3.
    return (a + 0.05) / (b + 0.05) < 4.5;
  });
  return {
    sidewaysBy: document.documentElement.scrollWidth - width,
    cutOff: cutOff.map(words),
    tooSmall: tooSmall.map(words),
    faint: faint.map(words),
    takingRoom: [...document.querySelectorAll('.visually-hidden')].filter(takesRoom).map(words),
    judged,
  };
}
