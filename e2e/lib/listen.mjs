//! An EventSource in a page under test, and the signals it received.

import { until } from './wait.mjs';

/**
 * Creates a `new EventSource(url)` in `page` that listens for `message` and for `types`.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} url
 * @param {{ types?: string[], withCredentials?: boolean }} options
 */
export async function listen(page, url, { types = ['gap', 'connect'], withCredentials = false } = {}) {
  const handle = await page.evaluateHandle(
    ({ url, types, withCredentials }) => {
      const source = new EventSource(url, { withCredentials });
      const seen = [];
      for (const type of ['open', 'error']) {
        source.addEventListener(type, () => seen.push({ type, readyState: source.readyState }));
      }
      for (const type of ['message', ...types]) {
        source.addEventListener(type, ({ lastEventId, data }) => seen.push({ type, id: lastEventId, data }));
      }
      return { source, seen };
    },
    { url, types, withCredentials },
  );
  return new Listener(url, handle);
}

class Listener {
  #url;
  #handle;

  constructor(url, handle) {
    this.#url = url;
    this.#handle = handle;
  }

  /** `readyState`: 0 connecting, 1 open, 2 closed. */
  readyState() {
    return this.#handle.evaluate(({ source }) => source.readyState);
  }

  /** All signals in order: `open` and `error` with their `readyState`, events with `id` and `data`. */
  seen() {
    return this.#handle.evaluate(({ seen }) => seen);
  }

  /** The events among the signals: `{ type, id, data }`. */
  async events() {
    return (await this.seen()).filter(({ type }) => type !== 'open' && type !== 'error');
  }

  /** The data of its events. */
  async data() {
    return (await this.events()).map(({ data }) => data);
  }

  /** Waits until it has been opened `times` times. */
  opened(times = 1) {
    return until(`${this.#url} to open (${times})`, async () => {
      return (await this.seen()).filter(({ type }) => type === 'open').length >= times;
    });
  }

  /** Waits for an event with `data`. */
  received(data) {
    return until(`${data} from ${this.#url}`, async () => (await this.data()).includes(data));
  }

  /** Waits until it is closed for good. */
  closed() {
    return until(`${this.#url} to be closed`, async () => (await this.readyState()) === 2);
  }

  /** Waits until its connection is lost and it is about to reconnect. */
  lost() {
    return until(`${this.#url} to lose its connection`, async () => (await this.readyState()) === 0);
  }

  close() {
    return this.#handle.evaluate(({ source }) => source.close());
  }
}
