//! Hubs that share a stream of NATS JetStream, with a balancer and readers that come back to any of them.

import { startCurl } from './curl.mjs';
import { hubAt, startHub } from './hub.mjs';
import { startNginxWith } from './nginx.mjs';
import { freePort } from './proxy.mjs';
import { soon, until } from './wait.mjs';

/** Starts hubs of one stream. A hub that opens the stream anew listens on the same port again. */
export function startHubs(t, servers, { hubs = 3, args = [] } = {}) {
  const urls = servers.map((server) => server.url).join(',');
  return Promise.all(Array.from({ length: hubs }, () => startNode(t, urls, { args })));
}

/** Starts one hub, and waits until it is ready. */
export async function startNode(t, urls, { args = [], port } = {}) {
  const listen = `127.0.0.1:${port ?? (await freePort())}`;
  const hub = await startHub(t, { args: ['--nats', urls, ...args], listen });
  await until('the hub to be ready', async () => (await fetch(hub.url('/readyz'))).ok);
  return hub;
}

/** The time that servers may take to elect a leader and to catch up, on a machine that does much else. */
const REPLICATED_MS = 180_000;

/** Waits until all servers have all of the stream: one of three may be lost then. */
export function replicated(servers) {
  return until('the servers to have the stream', async () => {
    try {
      const { state, cluster } = await servers[0].ask('STREAM.INFO.TIDINGS', {}, { within: ANSWER_MAX_MS });
      if (servers.length === 1) return state;
      return cluster?.leader && cluster.replicas?.length === 2 && cluster.replicas.every(({ current }) => current);
    } catch {
      return false;
    }
  }, { within: REPLICATED_MS, every: 100 });
}

/** Starts an nginx that hands requests to hubs in turn, and passes by those that are away. */
export async function startBalancer(t, hubs) {
  const nginx = await startNginxWith(t, (port) => `
    upstream hubs { ${hubs.map((hub) => `server 127.0.0.1:${hub.port} max_fails=1 fail_timeout=1s;`).join(' ')} }
    server {
      listen 127.0.0.1:${port};
      location / {
        proxy_pass http://hubs;
        proxy_set_header Host $http_host;
        proxy_buffering off;
        proxy_next_upstream error timeout http_503 non_idempotent;
      }
    }
  `);
  return hubAt(nginx.port);
}

/** Reads a topic's stream as text, from the oldest event on or after an ID, up to an event with this data. */
export async function text(t, hub, topic, { after = 'earliest', last }) {
  const reader = startCurl(t, ['-H', `Last-Event-ID: ${after}`, hub.url(`/topics/${topic}`)]);
  await reader.head();
  const blocks = [];
  for (;;) {
    const block = await reader.block();
    if (block === undefined) throw new Error('the stream has ended');
    blocks.push(block);
    if (JSON.stringify(block).includes(`data: ${last}`)) break;
  }
  await reader.stop();
  return JSON.stringify(blocks);
}

/** The key by which a repeated publish of some data is recognized. */
export function keyOf(data) {
  return `key of ${data}`.slice(0, 100);
}

/** The longest time that one request of a publisher, or to NATS, may take before it is repeated. */
const ANSWER_MAX_MS = 2_000;

/**
 * Publishes until it is answered, at one after the other of some hubs, with a key by which a repetition is
 * recognized, and returns the ID.
 *
 * @param {{ publish: (topic: string, data: string, options: object) => Promise<string> }[]} hubs
 */
export async function publishSomehow(hubs, topic, data, { within = 60_000 } = {}) {
  let at = 0;
  const headers = { 'Idempotency-Key': keyOf(data) };
  return until(`${data} to be published`, async () => {
    at += 1;
    try {
      return await soon('an answer', hubs[at % hubs.length].publish(topic, data, { headers }), { within: ANSWER_MAX_MS });
    } catch {
      return undefined;
    }
  }, { within });
}

/** The data of a topic's events, as a hub has them. */
export async function data(hub, topic) {
  return (await hub.read(topic)).events.map((event) => event.data);
}

/**
 * Readers of one topic, each of which comes back with its place whenever its stream ends. The first reader of
 * an event decides which one is next; all others must have the same.
 */
export class Readers {
  /** The events in the order of the readers, each as its ID and its data. */
  order = [];
  /** One sentence for each fault. */
  faults = [];
  /** Streams that were opened. */
  opened = 0;

  #readers = [];
  #url;
  #isOver = false;

  constructor(url, count) {
    this.#url = url;
    for (let number = 0; number < count; number += 1) {
      const reader = { number, read: 0, place: 'earliest', end: new AbortController() };
      this.#readers.push(reader);
      void until('a reader to be stopped', () => this.#once(reader), { within: Infinity, every: 100 });
    }
  }

  /** Whether a reader, or each of them, has read so many events. */
  someHave(count) {
    return this.#readers.some((reader) => reader.read >= count);
  }

  allHave(count) {
    return this.#readers.every((reader) => reader.read >= count);
  }

  /** The readers that have read less than all, for a message. */
  get behind() {
    return this.#readers.filter((reader) => reader.read < this.order.length).map(({ number, read }) => ({ number, read }));
  }

  /** Breaks the streams of some readers, as a change of networks does. */
  disturb(isDisturbed) {
    this.#readers.filter(({ number }) => isDisturbed(number)).forEach((reader) => reader.end.abort());
  }

  stop() {
    this.#isOver = true;
    this.#readers.forEach((reader) => reader.end.abort());
  }

  /** Reads one stream to its end. */
  async #once(reader) {
    reader.end = new AbortController();
    try {
      const headers = { 'Last-Event-ID': reader.place, accept: 'text/event-stream' };
      const answer = await fetch(this.#url, { headers, signal: reader.end.signal });
      this.opened += 1;
      let rest = '';
      for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + part).split('\n\n');
        rest = blocks.pop();
        blocks.forEach((block) => this.#take(reader, block));
      }
    } catch {
      // It comes back.
    }
    return this.#isOver;
  }

  #take(reader, block) {
    reader.place = block.match(/^id: (.*)$/m)?.[1] ?? reader.place;
    const data = block.match(/^data: (.*)$/m)?.[1];
    if (data === undefined) return;
    if (/^event: gap$/m.test(block)) {
      this.faults.push(`reader ${reader.number} is told a gap at ${reader.read}: ${data}`);
      return;
    }
    const event = `${reader.place} ${data}`;
    const expected = (this.order[reader.read] ??= event);
    if (event !== expected) {
      this.faults.push(`reader ${reader.number} has ${event} at ${reader.read}, and others ${expected}`);
    }
    reader.read += 1;
  }
}
