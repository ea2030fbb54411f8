//! The terminal tools under test: `tidings listen --json`, line by line, and `tidings relay`.

import { Readable } from 'node:stream';

import { startTidings } from './hub.mjs';
import { until } from './wait.mjs';

export { makeFolder } from './cleanup.mjs';

/** Starts `tidings listen --json` with `args`; it is stopped when the test `t` is over. */
export function startListen(t, args, options) {
  return new Listening(startTidings(t, ['listen', '--json', ...args], options));
}

class Listening {
  #program;

  constructor(program) {
    this.#program = program;
  }

  /** The lines printed so far, as objects. */
  get lines() {
    const lines = this.#program.stdout.split('\n');
    // The last element is not a complete line yet.
    return lines.slice(0, -1).map((line) => JSON.parse(line));
  }

  get events() {
    return this.lines.filter((line) => line.kind === 'event');
  }

  /** The data of all events so far. */
  get data() {
    return this.events.map((event) => event.data);
  }

  get stderr() {
    return this.#program.stderr;
  }

  /** Waits for line number `nth` of a kind, and returns it. */
  line(kind, nth = 1) {
    return until(`line ${nth} of kind ${kind}`, () => this.lines.filter((line) => line.kind === kind)[nth - 1]);
  }

  /** Waits for an event with this data, and returns it. */
  event(data) {
    return until(`the event ${data}`, () => this.events.find((event) => event.data === data));
  }

  /** Resolves to `{ code, signal }` once it has ended by itself. */
  get ended() {
    return this.#program.ended;
  }

  stop(options) {
    return this.#program.stop(options);
  }
}

/**
 * Starts `tidings publish --stream`, which pipes events to the stream of a topic: `say` gives it the data of more of them,
 * and `finish` ends its input.
 */
export function startProducer(t, hub, topic, ...args) {
  const input = new Readable({ read() {} });
  const program = startTidings(t, ['publish', topic, '--stream', '--hub', hub.origin, ...args], { input });
  return {
    program,
    say: (all) => all.forEach((token) => input.push(`data: ${token}\n\n`)),
    finish: () => input.push(null),
  };
}

/** The events of `topic` that a hub holds, oldest first, at most 1,000. */
export async function held(hub, topic) {
  const url = hub.url('/events', { topic, after: 'earliest', limit: '1000' });
  const answer = await fetch(url, { headers: { accept: 'application/json' } });
  if (answer.status !== 200) throw new Error(`reading was answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()).events;
}

/** Waits until a hub holds `count` events of `topic`, and returns them. */
export function holds(hub, topic, count) {
  return until(`${count} events of ${topic}`, async () => {
    const events = await held(hub, topic);
    return events.length >= count && events;
  });
}
