//! curl as a client: for single answers, and as a reader of an event stream.

import { atEnd } from './cleanup.mjs';
import { Program, run } from './program.mjs';
import { soon } from './wait.mjs';

/**
 * Runs curl with `args` to its end and returns the answer.
 *
 * @param {string[]} args the URL among them
 * @param {{ input?: string | Buffer | import('node:stream').Readable, within?: number }} options
 *   `input` is given to `--data-binary @-` or `--upload-file -`
 */
export async function curl(args, { input, within } = {}) {
  const ended = await run('curl', ['--silent', '--show-error', '--include', ...args], { input, within });
  if (ended.code !== 0) throw new Error(`curl ended with ${ended.code}: ${ended.stderr}`);
  // `100 Continue` may precede the answer.
  let rest = ended.stdout;
  let head;
  do {
    const end = rest.indexOf('\r\n\r\n');
    head = parseHead(rest.slice(0, end));
    rest = rest.slice(end + 4);
  } while (head.status < 200);
  return { ...head, body: rest };
}

/**
 * Starts `curl -N` on an event stream; it is ended when the test `t` is over.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 */
export function startCurl(t, args) {
  const reader = new CurlReader(args);
  atEnd(t, () => reader.stop());
  return reader;
}

/** Reads curl's output line by line or block by block. */
class CurlReader {
  #process;
  #lines = new LineQueue();

  constructor(args) {
    this.#process = new Program('curl', ['--silent', '--show-error', '--no-buffer', '--include', ...args], {
      onStdout: (text) => this.#lines.feed(text),
    });
    const end = () => this.#lines.end();
    this.#process.ended.then(end, end);
  }

  /** Everything received so far, including the head, whether it was read here or not. */
  get received() {
    return this.#process.stdout;
  }

  /** curl's error output. */
  get stderr() {
    return this.#process.stderr;
  }

  /** Reads the answer's head: `{ status, headers }`. Call it first, and once. */
  async head({ within } = {}) {
    const lines = [];
    for (let line; (line = await this.line({ within })); ) lines.push(line);
    return parseHead(lines.join('\r\n'));
  }

  /**
   * The next line without its end, or `undefined` at the end of the stream. A wait that times out
   * takes nothing: the next call gets the line.
   */
  async line({ within } = {}) {
    await soon('a line from curl', this.#lines.ready(), { within });
    return this.#lines.take();
  }

  /**
   * The next lines up to a blank one, without it, comments included; `undefined` at the end of the
   * stream, where an unfinished block is dropped.
   */
  async block({ within } = {}) {
    const lines = [];
    for (;;) {
      const line = await this.line({ within });
      if (line === undefined) return undefined;
      if (line === '') return lines;
      lines.push(line);
    }
  }

  /**
   * The next event as `{ id, type, data }`. Comments and blocks without data are
   * skipped; `id` is that of this block only.
   */
  async event({ within } = {}) {
    for (;;) {
      const lines = await this.block({ within });
      if (lines === undefined) return undefined;
      const fields = (name) =>
        lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).replace(/^ /, ''));
      const data = fields('data');
      if (data.length > 0) {
        return { id: fields('id').at(-1), type: fields('event').at(-1) ?? 'message', data: data.join('\n') };
      }
    }
  }

  /** All remaining lines. */
  async *[Symbol.asyncIterator]() {
    for (let line; (line = await this.line()) !== undefined; ) yield line;
  }

  /** Resolves to `{ code, signal }` once curl has ended by itself. */
  get ended() {
    return this.#process.ended;
  }

  stop() {
    return this.#process.stop();
  }
}

/** Splits text that arrives in chunks into lines; an unfinished last line counts, too. */
class LineQueue {
  #lines = [];
  /** Lines taken but not yet removed: `shift()` on a long array moves all other elements. */
  #taken = 0;
  #pending = '';
  #ended = false;
  #waiting = [];

  feed(text) {
    const lines = (this.#pending + text).split('\n');
    this.#pending = lines.pop();
    this.#lines.push(...lines.map((line) => line.replace(/\r$/, '')));
    this.#wake();
  }

  end() {
    if (this.#pending !== '') this.#lines.push(this.#pending);
    this.#pending = '';
    this.#ended = true;
    this.#wake();
  }

  /** Resolves once there is a line to take, or the stream has ended. */
  ready() {
    if (this.#taken < this.#lines.length || this.#ended) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  take() {
    const line = this.#lines[this.#taken];
    this.#taken += 1;
    if (this.#taken >= this.#lines.length) {
      this.#lines = [];
      this.#taken = 0;
    }
    return line;
  }

  #wake() {
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }
}

function parseHead(text) {
  const [first = '', ...lines] = text.split('\r\n');
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return { version: first.split(' ')[0], status: Number(first.split(' ')[1]), headers };
}
