//! Three hubs on one or three servers of NATS behind a balancer, while one after the other is killed, halted or
//! started again. Twenty rounds take one minute and a half; `TIDINGS_NATS_ROUNDS`, `TIDINGS_NATS_HALT` (seconds that
//! a process is halted), `TIDINGS_NATS_READERS` and `TIDINGS_NATS_SEED` change them, and `TIDINGS_NATS_SERVERS` says
//! whether there are one or three servers, instead of one after the other.

import assert from 'node:assert/strict';
import test from 'node:test';

import { atEnd, makeFolder } from './lib/cleanup.mjs';
import { Readers, publishSomehow, replicated, startBalancer, startNode } from './lib/cluster.mjs';
import { startNats, startNatsCluster } from './lib/nats.mjs';
import { stays, until } from './lib/wait.mjs';

const number = (name, otherwise) => Number(process.env[`TIDINGS_NATS_${name}`] ?? otherwise);
/** How many rounds there are with so many servers. */
const ROUNDS = { 1: number('ROUNDS', 10), 3: number('ROUNDS', 20) };
const HALT_MS = number('HALT', 3) * 1000;
const READERS = number('READERS', 300);
const SEED = number('SEED', Math.floor(Math.random() * 2 ** 32));
/** How long readers may take to have everything after a round: a leader is elected, and all come back. */
const SETTLED_MS = 180_000;
/** Each publishes an event when a reader has its last one. */
const PUBLISHERS = 3;

/** The first hub has a copy of the stream in a folder, the others have it in memory. */
async function startHub(t, servers, { at, folder, port }) {
  const copy = at === 0 ? ['--data', folder] : [];
  const urls = servers.map((server) => server.url).join(',');
  return startNode(t, urls, { args: ['--nats-replicas', `${servers.length}`, ...copy], port });
}

/** The next random number below `end`, by mulberry32. */
let state = SEED;
function random(end) {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % end;
}

/** Faults of one process, while all others go on. */
const FAULTS = {
  async killed(victim, again) {
    await victim.stop({ signal: 'SIGKILL' });
    await again();
  },
  async halted(victim, _, readers) {
    await victim.halt();
    try {
      await stays('no fault', () => readers.faults[0], { during: HALT_MS });
    } finally {
      victim.signal('SIGCONT');
    }
  },
  async restarted(victim, again) {
    await victim.stop();
    await again();
  },
};

/** Publishes one event after the other until it is told to stop. */
async function publish(balancer, name, readers, published, isOver) {
  for (let n = 0; !isOver(); n += 1) {
    const data = `${name}.${n}`;
    published.set(data, await publishSomehow([balancer], 'rounds', data));
    const count = published.size;
    await until('a reader to have it', () => readers.someHave(count) || isOver(), { within: SETTLED_MS });
  }
}

for (const count of [3, 1]) {
  const name = `with ${count} NATS, whichever server or hub of three dies, every event is there once for everybody`;
  const skip = number('SERVERS', count) !== count;
  test(name, { skip, timeout: ROUNDS[count] * 60_000 }, async (t) => {
    await playRounds(t, count === 1 ? [await startNats(t)] : await startNatsCluster(t));
  });
}

async function playRounds(t, servers) {
  t.diagnostic(`TIDINGS_NATS_SERVERS=${servers.length} TIDINGS_NATS_SEED=${SEED}`);
  state = SEED;
  const folder = await makeFolder(t);
  const hubs = await Promise.all([0, 1, 2].map((at) => startHub(t, servers, { at, folder })));
  assert.match(hubs[0].output, servers.length === 1 ? /durability: stored/ : /durability: replicated/);
  const balancer = await startBalancer(t, hubs);
  const readers = new Readers(balancer.url('/topics/rounds'), READERS);
  atEnd(t, () => readers.stop());
  const published = new Map();
  for (let round = 0; round < ROUNDS[servers.length]; round += 1) {
    const isHub = random(2) === 0;
    const at = random(isHub ? hubs.length : servers.length);
    const [kind, fault] = Object.entries(FAULTS)[random(3)];
    const victim = isHub ? hubs[at] : servers[at];
    const again = async () => {
      if (isHub) hubs[at] = await startHub(t, servers, { at, folder, port: victim.port });
      else await victim.start();
    };
    const story = `round ${round}: ${isHub ? 'hub' : 'server'} ${at} is ${kind} (TIDINGS_NATS_SERVERS=${servers.length} TIDINGS_NATS_SEED=${SEED})`;
    let isOver = false;
    const publishers = Array.from({ length: PUBLISHERS }, (_, publisher) =>
      publish(balancer, `${round}.${publisher}`, readers, published, () => isOver));
    readers.disturb((reader) => reader % 10 === round % 10);
    await fault(victim, again, readers);
    await replicated(servers);
    isOver = true;
    await Promise.all(publishers);
    await until(`all readers to have ${published.size} events, ${story}`, () => readers.faults.length > 0 || readers.allHave(published.size), { within: SETTLED_MS, every: 100 })
      .catch((error) => assert.fail(`${error.message}: ${JSON.stringify(readers.behind)}`));
    assert.deepEqual(readers.faults, [], story);
    checkOrder(readers.order, published, story);
  }
  t.diagnostic(`${published.size} events, ${READERS} readers, ${readers.opened} streams`);
  // A hub without readers may have read less than the others when these have all.
  const all = (hub) => until('a hub to have all', async () => {
    const events = await whole(hub);
    return events.length >= published.size && events;
  }, { within: SETTLED_MS });
  const [first, ...others] = await Promise.all(hubs.map(all));
  assert.equal(first.length, published.size);
  for (const other of others) assert.deepEqual(other, first, 'every hub has the same');
}

/** Every acknowledged event is there once, under the ID of its answer, and those of a publisher are in order. */
function checkOrder(order, published, story) {
  assert.equal(order.length, published.size, `no event is there that nobody published, ${story}`);
  const newest = new Map();
  for (const event of order) {
    const [id, data] = event.split(' ');
    assert.equal(published.get(data), id, `${data}, ${story}`);
    const [round, publisher, n] = data.split('.').map(Number);
    const before = newest.get(`${round}.${publisher}`) ?? -1;
    assert.equal(n, before + 1, `${data} follows ${before}, ${story}`);
    newest.set(`${round}.${publisher}`, n);
  }
}

/** All events of a hub as it writes them in JSON. */
async function whole(hub) {
  const events = [];
  for (let after = 'earliest'; ; ) {
    const page = await hub.read('rounds', { after });
    if (page.events.length === 0) return events;
    events.push(...page.events);
    after = page.last_event_id;
  }
}
