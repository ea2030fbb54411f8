//! Runs other programs and keeps their output; none of them outlives the tests.

import { spawn } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { afterEach } from 'node:test';

import { soon, until } from './wait.mjs';

/** Characters kept from the end of each output: enough to see why a program stopped. */
const OUTPUT_KEPT_CHARS = 1024 * 1024;

/** Programs that are still running, to be killed if the test file dies. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** The programs of the test that runs. */
const programs = [];

/** Lines that are shown of each program when a test has failed: the latest ones. */
const LINES_SHOWN = 40;

// A test that fails shows what its programs have said, before they are ended.
afterEach((t) => {
  if (t.passed === false) programs.forEach((program) => console.log(program.report()));
  // Those of a test are needed until its last part is over.
  if (!t.fullName?.includes(' > ')) programs.length = 0;
});

/** A running program. */
export class Program {
  /** Standard output and standard error together, in order of arrival. */
  output = '';
  /** Standard output so far. */
  stdout = '';
  /** Standard error so far. */
  stderr = '';
  /** Resolves to `{ code, signal }` once it has ended and its output is complete. */
  ended;

  #child;
  #name;
  #state = 'runs';
  #watchers = new Set();

  /**
   * @param {string} command
   * @param {string[]} args
   * @param {{
   *   cwd?: string, env?: object, input?: string | Buffer | import('node:stream').Readable,
   *   onStdout?: (text: string) => void,
   * }} options `env` is added to the test's own; `input` is standard input, empty by default
   */
  constructor(command, args = [], { cwd, env = {}, input, onStdout } = {}) {
    this.#name = [command, ...args].join(' ');
    this.#child = spawn(command, args, { cwd, env: { ...process.env, ...env } });
    running.add(this.#child);
    programs.push(this);
    this.ended = new Promise((resolve, reject) => {
      this.#child.on('error', (cause) => {
        running.delete(this.#child);
        reject(new Error(`${this.#name} could not be started`, { cause }));
      });
      this.#child.on('close', (code, signal) => {
        running.delete(this.#child);
        this.#state = `has ended (${signal ?? code})`;
        resolve({ code, signal });
      });
    });
    // A failed start is reported to the code that awaits `ended`, and must not crash the test before.
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
    // A program may end without reading all of its input.
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

  /** Its state and its latest output, for a person. */
  report() {
    const lines = this.output.trimEnd().split('\n').slice(-LINES_SHOWN);
    return [`${this.#name} (${this.pid}) ${this.#state}`, ...lines].join('\n  | ');
  }

  /** Sends `signal` to this program only. */
  signal(signal) {
    this.#child.kill(signal);
  }

  /** Halts it, and waits until none of its threads runs: some may go on for a moment after the signal. */
  async halt() {
    this.#child.kill('SIGSTOP');
    const threads = `/proc/${this.pid}/task`;
    await until(`${this.#name} to halt`, async () => {
      // A thread may end between the two looks.
      const stat = (thread) => readFile(`${threads}/${thread}/stat`, 'utf8').catch(() => '');
      const states = (await readdir(threads)).map(stat);
      // The state follows the name, which is in parentheses and may contain some.
      return (await Promise.all(states)).every((stat) => stat.slice(stat.lastIndexOf(')')).startsWith(') T'));
    });
  }

  /**
   * Asks the program to end, waits, and returns `{ code, signal }`. If it does not end in time, it is
   * killed and the wait fails. Calling this again is harmless.
   */
  async stop({ signal = 'SIGTERM', within } = {}) {
    this.#child.kill(signal);
    // One that is halted does not end.
    this.#child.kill('SIGCONT');
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
