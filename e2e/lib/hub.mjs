//! The program under test: the built `tidings`.

import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { atEnd } from './cleanup.mjs';
import { freePort } from './port.mjs';
import { Program, run } from './program.mjs';

/** The program built by `cargo xtask e2e`, or by a plain `cargo build`. */
export const TIDINGS = process.env.TIDINGS_BIN ?? fileURLToPath(new URL('../../target/debug/tidings', import.meta.url));

/** Where cargo puts built examples: beside the program. */
export const EXAMPLES = path.join(path.dirname(TIDINGS), 'examples');

/**
 * The first address that the program listens on. The lookahead makes sure that the port is complete.
 */
const LISTENING = /(https?):\/\/((?:127\.0\.0\.1|\[::1\]|localhost|0\.0\.0\.0):(\d+))(?=[^\d])/;

/**
 * Starts `tidings serve` (or another `command`) on a free port of loopback, and waits until it
 * listens. It is stopped when the test `t` is over. Events are in memory unless `args` name a folder.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 * @param {{ command?: string, args?: string[], listen?: string, env?: object, program?: string }} options
 */
export async function startHub(t, { command = 'serve', args = [], listen, env, program = TIDINGS } = {}) {
  const address = listen ?? `127.0.0.1:${await freePort()}`;
  const isKept = args.includes('--data') || args.includes('--nats');
  const kept = command === 'serve' && !isKept ? ['--memory'] : [];
  const process = new Program(program, [command, '--listen', address, ...kept, ...args], { env });
  atEnd(t, () => process.stop());
  const [, scheme, host, port] = await process.printed(LISTENING);
  return new Hub(process, scheme, host, Number(port));
}

/** Starts `tidings` with just `args`, for other commands; the `Program` is stopped when `t` is over. */
export function startTidings(t, args, { env, input } = {}) {
  const process = new Program(TIDINGS, args, { env, input });
  atEnd(t, () => process.stop());
  return process;
}

/** Runs `tidings` with `args` to its end and returns `{ code, signal, stdout, stderr }`. */
export function runTidings(args, { env, input, within } = {}) {
  return run(TIDINGS, args, { env, input, within });
}

/** A hub that was started elsewhere, or a balancer in front of some, at a port of loopback. */
export function hubAt(port) {
  return new Hub(null, 'http', `127.0.0.1:${port}`, port);
}

/** A running hub. */
class Hub {
  #process;

  constructor(process, scheme, host, port) {
    this.#process = process;
    /** The value for a `Host` header. */
    this.host = host;
    this.port = port;
    this.origin = `${scheme}://${host}`;
  }

  get pid() {
    return this.#process.pid;
  }

  /** The output so far. */
  get output() {
    return this.#process.output;
  }

  /** The URL of `path`, with `query` encoded. */
  url(path, query = {}) {
    const url = new URL(path, this.origin);
    for (const [key, value] of Object.entries(query)) url.searchParams.append(key, value);
    return url.href;
  }

  /** Publishes `data` on `topic` and returns the event's ID. */
  async publish(topic, data, { query = {}, headers = {} } = {}) {
    const path = `/topics/${topic.split('/').map(encodeURIComponent).join('/')}`;
    const answer = await fetch(this.url(path, query), { method: 'POST', body: data, headers });
    const text = await answer.text();
    if (answer.status !== 201) throw new Error(`publishing was answered ${answer.status}: ${text}`);
    return text.trim();
  }

  /** Reads the latest events of the topic as JSON: `{ events, last_event_id }`. */
  async read(topic, query = {}) {
    const answer = await fetch(this.url('/events', { topic, limit: 1000, ...query }), {
      headers: { accept: 'application/json' },
    });
    if (answer.status !== 200) throw new Error(`reading was answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }

  /** The number of one series of `/metrics`, such as `tidings_subscribers`. */
  async metric(series) {
    const text = await (await fetch(this.url('/metrics'))).text();
    const line = text.split('\n').find((line) => line.startsWith(`${series} `));
    if (!line) throw new Error(`no ${series} among the metrics`);
    return Number(line.slice(series.length));
  }

  /** Sends `signal` to it. */
  signal(signal) {
    this.#process.signal(signal);
  }

  /** Halts it until it is sent SIGCONT. */
  halt() {
    return this.#process.halt();
  }

  /** Ends it by `signal`, waits, and returns `{ code, signal }`. */
  stop({ signal = 'SIGTERM', within } = {}) {
    return this.#process.stop({ signal, within });
  }
}
