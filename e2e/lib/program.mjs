//! Running other programs: what they print is kept, and none of them outlives the tests.

import { spawn } from 'node:child_process';
import { Readable } from 'node:stream';

import { soon } from './wait.mjs';

/** How much of each output is kept, from its end: enough to see why a program stopped. */
const OUTPUT_KEPT_CHARS = 1024 * 1024;

/** Programs that have not ended yet, so that a test file that dies takes them along. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A program that was started. */
export class Program {
  /** What it has printed, standard output and standard error together, in the order of arrival. */
  output = '';
  /** What it has printed to standard output. */
  stdout = '';
  /** What it has printed to standard error. */
  stderr = '';
  /** Resolves to `{ code, signal }` once it has ended and its output is complete. */
  ended;

  #child;
  #name;
  #watchers = new Set();

  /**
   * @param {string} command
   * @param {string[]} args
   * @param {{
   *   cwd?: string, env?: object, input?: string | Buffer | import('node:stream').Readable,
   *   onStdout?: (text: string) => void,
   * }} options `env` is added to our own; `input` is its standard input, which is empty otherwise
   */
  constructor(command, args = [], { cwd, env = {}, input, onStdout } = {}) {
    this.#name = [command, ...args].join(' ');
    this.#child = spawn(command, args, { cwd, env: { ...process.env, ...env } });
    running.add(this.#child);
    this.ended = new Promise((resolve, reject) => {
      this.#child.on('error', (cause) => {
        running.delete(this.#child);
        reject(new Error(`${this.#name} could not be started`, { cause }));
      });
      this.#child.on('close', (code, signal) => {
        running.delete(this.#child);
        resolve({ code, signal });
      });
    });
    // A failed start is told to whoever awaits `ended`; until somebody does it is no crash.
    this.ended.catch(() => {});
    for (const stream of ['stdout', 'stderr']) {
      this.#child[stream].setEncoding('utf8');
      this.#child[stream].on('data', (text) => {
        this[stream] = (this[stream] + text).slice(-OUTPUT_KEPT_CHARS);
        this.output = (this.output + text).slice(-OUTPUT_KEPT_CHARS);
        if (stream === 'stdout') onStdout?.(text);
        this.#watchers.forEach((look) => look());
      });
    }
    // A program may end without having read all it was given.
    this.#child.stdin.on('error', () => {});
    if (input instanceof Readable) input.pipe(this.#child.stdin);
    else this.#child.stdin.end(input ?? '');
  }

  get pid() {
    return this.#child.pid;
  }

  /**
   * Waits until the output matches `pattern` and returns the match.
   *
   * @throws if the program ends first, with what it printed
   */
  async printed(pattern, { within } = {}) {
    let look;
    const found = new Promise((resolve, reject) => {
      look = () => {
        const match = this.output.match(pattern);
        if (match) resolve(match);
      };
      this.#watchers.add(look);
      look();
      this.ended.then(({ code, signal }) => {
        look();
        reject(
          new Error(`${this.#name} ended (${signal ?? code}) before it printed ${pattern}:\n${this.output}`),
        );
      }, reject);
    });
    try {
      return await soon(`${this.#name} to print ${pattern}`, found, { within });
    } finally {
      this.#watchers.delete(look);
    }
  }

  /** Sends `signal` to this program and to no other. */
  signal(signal) {
    this.#child.kill(signal);
  }

  /**
   * Asks it to end, waits until it has, and returns `{ code, signal }`. One that does not end in
   * time is killed, and the wait fails. Calling it again is harmless.
   */
  async stop({ signal = 'SIGTERM', within } = {}) {
    this.#child.kill(signal);
    try {
      return await soon(`${this.#name} to end after ${signal}`, this.ended, { within });
    } catch (error) {
      this.#child.kill('SIGKILL');
      throw error;
    }
  }
}

/** Runs a program to its end and returns `{ code, signal, stdout, stderr }`. */
export async function run(command, args = [], { within, ...options } = {}) {
  const program = new Program(command, args, options);
  try {
    const { code, signal } = await soon(`${command} to end`, program.ended, { within });
    return { code, signal, stdout: program.stdout, stderr: program.stderr };
  } finally {
    program.signal('SIGKILL');
  }
}
