//! JSON arrays that are published to hubs of one stream are there entirely or not at all.

import assert from 'node:assert/strict';
import test from 'node:test';

import { startHubs, startNode } from './lib/cluster.mjs';
import { startNats } from './lib/nats.mjs';
import { until } from './lib/wait.mjs';

const array = (topic, count) => JSON.stringify(Array.from({ length: count }, (_, n) => ({ topic, data: `${n}` })));

function post(hub, body, type = 'application/json') {
  return fetch(hub.url('/events'), { method: 'POST', body, headers: { 'content-type': type } });
}

/** The data of all events of a topic. */
async function all(hub, topic) {
  const found = [];
  for (let after = 'earliest'; ; ) {
    const page = await hub.read(topic, { after });
    if (page.events.length === 0) return found;
    found.push(...page.events.map(({ data }) => Number(data)));
    after = page.last_event_id;
  }
}

test('an array that does not fit in a message is refused whole, and fits when NATS takes larger ones', async (t) => {
  const nats = await startNats(t);
  const [hub] = await startHubs(t, [nats], { hubs: 1 });
  const refused = await post(hub, array('large', 15_000));
  assert.equal(refused.status, 413);
  const problem = await refused.json();
  assert.match(problem.type, /body-too-large/);
  assert.match(problem.detail, /^nothing was published: .*application\/x-ndjson/);
  assert.equal((await post(hub, array('small', 5_000))).status, 201);
  assert.equal((await all(hub, 'small')).length, 5_000);
  const lines = JSON.parse(array('lines', 15_000)).map((object) => `${JSON.stringify(object)}\n`).join('');
  assert.equal((await post(hub, lines, 'application/x-ndjson')).status, 201, 'lines are published as they arrive');
  assert.deepEqual(await all(hub, 'large'), []);
  await hub.stop();
  await nats.stop();
  nats.config = 'max_payload: 8MB\n';
  await nats.start();
  const again = await startNode(t, nats.url);
  assert.equal((await post(again, array('large', 15_000))).status, 201);
  assert.equal((await all(again, 'large')).length, 15_000);
  assert.equal((await post(again, array('larger', 17_000))).status, 413, 'there are more than a message may have');
});

test('whenever a hub is killed, each of its arrays is there entirely or not at all', async (t) => {
  const nats = await startNats(t);
  const [witness] = await startHubs(t, [nats], { hubs: 1 });
  let [there, missing] = [0, 0];
  for (let round = 0; round < 6; round += 1) {
    const hub = await startNode(t, nats.url);
    const newest = await witness.metric('tidings_stream_newest');
    // So many that they do not fit in one message, nor end where one does.
    const topics = Array.from({ length: 8 }, (_, at) => ({ topic: `${round}/${at}`, count: 1_000 + 300 * at }));
    const answers = topics.map(({ topic, count }) => post(hub, array(topic, count)).catch(() => ({ status: 0 })));
    await until('something of it', async () => (await witness.metric('tidings_stream_newest')) > newest);
    await hub.stop({ signal: 'SIGKILL' });
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    // What the hub has sent is in the stream, or nowhere.
    const last = await witness.publish('last', `${round}`);
    await until('the last one', async () => (await witness.read('last')).last_event_id === last);
    for (const [at, { topic, count }] of topics.entries()) {
      const found = await all(witness, topic);
      const whole = Array.from({ length: count }, (_, n) => n);
      if (statuses[at] === 201 || found.length > 0) assert.deepEqual(found, whole, `${topic}: ${statuses[at]}`);
      if (found.length > 0) there += 1;
      else missing += 1;
    }
  }
  t.diagnostic(`${there} arrays were there, ${missing} were not`);
  assert.ok(there > 0);
});
