//! Rounds in which the hub, the producer of a stream, or both are killed in mid-stream. Readers are sent each token once
//! and each end once, and are told 204 or 410 after it.

import assert from 'node:assert/strict';
import test from 'node:test';

import { startHub } from './lib/hub.mjs';
import { makeFolder, startProducer } from './lib/tools.mjs';
import { until } from './lib/wait.mjs';

const number = (name, otherwise) => Number(process.env[`TIDINGS_STREAM_${name}`] ?? otherwise);

/** 20 rounds take some 5 seconds on a quiet machine. */
const ROUNDS = number('ROUNDS', 20);
/** Chooses what is killed, and when. */
const SEED = number('SEED', Math.floor(Math.random() * 2 ** 31));

/** Rounds of one stream. */
const ROUNDS_EACH = 4;
/** The most tokens of a round. */
const TOKENS_MAX = 60;

const TOPIC = 'chat/1';

/** Random numbers that a seed repeats: the generator of Park and Miller. */
function generator(seed) {
  let state = (seed % 2147483646) + 1;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

/** The course of the drill, as readers need to know it. */
const course = { begun: 0, isOver: false };

/** Reads on from its place until the drill is over, and checks all it is sent. */
class Reader {
  /** Whole streams so far, and tokens of the stream that is open. */
  streams = 0;
  tokens = 0;
  /** Refusals because there is nothing more. */
  refused = 0;
  #place = 'earliest';
  #url;
  #accept;

  constructor(url, accept) {
    [this.#url, this.#accept] = [url, accept];
  }

  async run() {
    while (!course.isOver) {
      const answer = await this.#ask();
      if (answer.status === 200) {
        await this.#read(answer).catch((error) => {
          // A broken connection, and not a broken promise.
          if (error instanceof assert.AssertionError) throw error;
        });
        continue;
      }
      assert.equal(answer.status, this.#accept === 'text/event-stream' ? 204 : 410);
      assert.equal(this.tokens, 0, 'it was sent all of the stream');
      this.refused += 1;
      await until('the next stream', () => course.begun > this.streams || course.isOver);
    }
  }

  #ask() {
    const headers = { accept: this.#accept, 'last-event-id': this.#place };
    return until('the hub', () => fetch(this.#url, { headers }).catch(() => false));
  }

  async #read(answer) {
    let text = '';
    for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (text + part).split('\n\n');
      text = blocks.pop();
      for (const block of blocks) this.#take(block);
    }
  }

  #take(block) {
    const field = (name) => block.match(new RegExp(`^${name}: (.*)$`, 'm'))?.[1];
    this.#place = field('id');
    if (field('event') === 'end') {
      const { reason, events } = JSON.parse(field('data'));
      assert.deepEqual([reason, events], ['done', this.tokens]);
      [this.streams, this.tokens] = [this.streams + 1, 0];
    } else {
      assert.equal(field('data'), `${this.streams} ${this.tokens}`);
      this.tokens += 1;
    }
  }
}

/** The hub, and the producer that writes one stream after the other. */
class Drill {
  #t;
  #args;
  #hub;
  #producer;
  #epoch = 0;
  /** Tokens of the stream that is open. */
  said = 0;

  static async start(t) {
    const drill = new Drill();
    drill.#t = t;
    drill.#args = ['--data', await makeFolder(t), '--retry', '50ms'];
    drill.#hub = await startHub(t, { args: drill.#args });
    return drill;
  }

  url(path) {
    return this.#hub.url(path);
  }

  begin() {
    this.said = 0;
    this.#produce();
    course.begun += 1;
  }

  say(count) {
    const stream = course.begun - 1;
    this.#producer.say(Array.from({ length: count }, (_, n) => `${stream} ${this.said + n}`));
    this.said += count;
  }

  async killHub(meanwhile = () => {}) {
    await this.#hub.stop({ signal: 'SIGKILL' });
    await meanwhile();
    this.#hub = await startHub(this.#t, { args: this.#args, listen: this.#hub.host });
  }

  killProducer() {
    return this.#producer.program.stop({ signal: 'SIGKILL' });
  }

  /** Starts a successor, which goes on after the last token that the hub has. */
  async succeed() {
    // A request of no event takes over, so that nothing of the one before comes any more.
    this.#epoch += 1;
    const headers = {
      'Content-Type': 'text/event-stream',
      'Producer-Id': 'model',
      'Producer-Epoch': `${this.#epoch}`,
      'Producer-Seq': '0',
    };
    const taken = await fetch(this.#hub.url('/events', { topic: TOPIC }), { method: 'POST', headers, body: '' });
    assert.equal(taken.status, 200);
    const { events } = await this.#stream();
    const missing = this.said - events;
    this.said = events;
    this.#produce('--continue');
    this.say(missing);
  }

  async end(meanwhile) {
    this.#producer.finish();
    await meanwhile();
    assert.equal((await this.#producer.program.ended).code, 0, this.#producer.program.stderr);
    const { state, events } = await this.#stream();
    assert.deepEqual([state, events], ['done', this.said]);
  }

  #produce(...args) {
    this.#epoch += 1;
    this.#producer = startProducer(this.#t, this.#hub, TOPIC, '--producer', 'model', '--epoch', `${this.#epoch}`, ...args);
  }

  async #stream() {
    return (await (await fetch(this.#hub.url('/streams', { topic: TOPIC }))).json()).streams[0];
  }
}

test(`${ROUNDS} rounds of faults in mid-stream double no token and lose none`, { timeout: 60_000 + ROUNDS * 20_000 }, async (t) => {
  t.diagnostic(`TIDINGS_STREAM_SEED=${SEED}`);
  const random = generator(SEED);
  const drill = await Drill.start(t);
  const exact = drill.url(`/topics/${TOPIC}`);
  const readers = [
    new Reader(exact, 'text/event-stream'),
    new Reader(exact, '*/*'),
    new Reader(drill.url(`/events?topic=${TOPIC}&topic=other`), '*/*'),
  ];
  const read = Promise.all(readers.map((reader) => reader.run()));
  // What a reader finds fails the test at once.
  const held = (claim) => Promise.race([claim, read.then(() => claim)]);
  for (let round = 0; round < ROUNDS; ) {
    drill.begin();
    const last = Math.min(round + ROUNDS_EACH, ROUNDS);
    for (; round < last; round += 1) {
      drill.say(1 + random(TOKENS_MAX));
      const from = drill.said - random(Math.min(drill.said, 20));
      await held(until('a token', () => readers[0].tokens >= from));
      drill.say(1 + random(TOKENS_MAX));
      const fault = random(3);
      if (fault === 0) await drill.killHub();
      else if (fault === 1) await drill.killProducer();
      else await drill.killHub(() => drill.killProducer());
      if (fault > 0) await drill.succeed();
    }
    await drill.end(() => (random(2) === 0 ? drill.killHub() : undefined));
    await held(until('the ends', () => readers.every(({ streams }) => streams === course.begun)));
  }
  await held(until('the last refusals', () => readers.slice(0, 2).every(({ refused }) => refused >= course.begun)));
  course.isOver = true;
  // The reader of several topics waits for more of them.
  await drill.killHub();
  await read;
  assert.deepEqual(readers.map(({ streams, tokens }) => [streams, tokens]), readers.map(() => [course.begun, 0]));
});
