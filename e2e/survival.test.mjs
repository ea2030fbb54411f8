//! An answer survives its producer and its hub: readers of every kind are sent each token once, and stay away after the end.

import assert from 'node:assert/strict';
import test from 'node:test';

import { startBrowser } from './lib/browser.mjs';
import { startChatServer } from './lib/chat.mjs';
import { openChat, openChats } from './lib/chat-page.mjs';
import { curl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { startNginx } from './lib/nginx.mjs';
import { READERS, startWorkflow } from './lib/readers.mjs';
import { startRelay } from './lib/relay.mjs';
import { makeFolder, startProducer } from './lib/tools.mjs';
import { until } from './lib/wait.mjs';

const browser = await startBrowser(test);

const TOPIC = 'chat/1';

/** Tokens between two faults, and the number of these. */
const [TOKENS, FAULTS] = [40, 3];

const delta = (n) => ({ type: 'text-delta', id: '0', delta: `token ${n}, ` });

/** An answer with a reader of each kind: what it says is parts of the AI SDK's stream, and ends without an event. */
class Answer {
  /** The parts said so far. */
  said = [];
  #producer;
  #readers = {};
  #tab;

  static async begin(t, hub) {
    const answer = new Answer();
    answer.#producer = startProducer(t, hub, TOPIC, '--producer', 'model', '--end', 'close');
    answer.say([{ type: 'start' }, { type: 'text-start', id: '0' }, delta(0)]);
    await until('the stream', async () => (await streamOf(hub)).events === 3);
    const url = hub.url(`/topics/${TOPIC}?last_event_id=earliest`);
    for (const [name, start] of Object.entries(READERS)) {
      answer.#readers[name] = await start(t, { url, origin: hub.origin, browser });
    }
    const workflow = startWorkflow(t, hub.url(`/topics/${TOPIC}`));
    answer.#readers.WorkflowChatTransport = {
      data: () => workflow.stdout.split('\n').slice(0, -1),
      away: async () => assert.equal((await workflow.ended).code, 0, workflow.stderr),
    };
    const server = await startChatServer(t, 'Node', hub);
    answer.#tab = await openChat(await openChats(t, browser), server.origin);
    return answer;
  }

  say(parts) {
    this.#producer.say(parts.map((part) => JSON.stringify(part)));
    this.said.push(...parts);
  }

  /** Waits until each reader has been sent everything. */
  async arrived() {
    const whole = this.said.map((part) => JSON.stringify(part));
    for (const [name, reader] of Object.entries(this.#readers)) {
      let data;
      const isWhole = async () => (data = await reader.data()).length >= whole.length;
      // What it was sent says more than that it timed out.
      await until(name, isWhole).catch(() => {});
      assert.deepEqual(data, whole, name);
    }
    const isOver = this.said.at(-1).type === 'finish';
    await this.#tab.answers(isOver ? 'ready' : 'streaming', this.said.map((part) => part.delta ?? '').join(''));
  }

  kill() {
    return this.#producer.program.stop({ signal: 'SIGKILL' });
  }

  succeed(t, hub, epoch) {
    const args = ['--producer', 'model', '--end', 'close', '--epoch', `${epoch}`, '--continue'];
    this.#producer = startProducer(t, hub, TOPIC, ...args);
  }

  /** Ends it, and waits until all readers are away. */
  async end() {
    this.say([{ type: 'text-end', id: '0' }, { type: 'finish' }]);
    this.#producer.finish();
    await this.arrived();
    for (const reader of Object.values(this.#readers)) await reader.away();
    assert.deepEqual(this.#tab.problems, []);
    assert.equal((await this.#producer.program.ended).code, 0, this.#producer.program.stderr);
  }
}

async function streamOf(hub) {
  return (await (await fetch(hub.url('/streams', { topic: TOPIC }))).json()).streams[0];
}

/** The next tokens of an answer. */
function tokens(answer, count) {
  return Array.from({ length: count }, (_, n) => delta(answer.said.length + n));
}

test('readers of every kind are sent each token once, however often the producer is killed', async (t) => {
  const hub = await startHub(t, { args: ['--retry', '100ms'] });
  const answer = await Answer.begin(t, hub);
  for (let epoch = 1; epoch <= FAULTS; epoch += 1) {
    answer.say(tokens(answer, TOKENS));
    await answer.arrived();
    await answer.kill();
    const { producer } = await streamOf(hub);
    answer.succeed(t, hub, epoch);
    answer.say(tokens(answer, 1));
    await answer.arrived();
    const late = await curl([
      ...['-H', 'Producer-Id: model', '-H', `Producer-Epoch: ${producer.epoch}`, '-H', `Producer-Seq: ${producer.seq + 1}`],
      ...['-d', 'late', hub.url(`/topics/${TOPIC}`)],
    ]);
    assert.deepEqual([late.status, JSON.parse(late.body).type], [403, '/problems/stale-epoch']);
  }
  await answer.end();
});

test('readers of every kind are sent each token once, however often the hub is killed', async (t) => {
  const args = ['--data', await makeFolder(t), '--retry', '100ms'];
  let hub = await startHub(t, { args });
  const { host } = hub;
  const answer = await Answer.begin(t, hub);
  for (let kill = 1; kill <= FAULTS; kill += 1) {
    answer.say(tokens(answer, TOKENS));
    await answer.arrived();
    // In the middle of them.
    answer.say(tokens(answer, TOKENS));
    await hub.stop({ signal: 'SIGKILL' });
    answer.say(tokens(answer, TOKENS));
    hub = await startHub(t, { args, listen: host });
    await answer.arrived();
  }
  await answer.end();
});

for (const [name, startReader] of Object.entries(READERS)) {
  test(`${name} has nothing to resume of an unknown chat, and stays away`, async (t) => {
    const hub = await startHub(t);
    const relay = await startRelay(t, hub.port);
    const reader = await startReader(t, { url: `${relay.origin}/topics/chat/1?from=active`, origin: `${relay.origin}/`, browser });
    await reader.away();
    assert.deepEqual(await reader.data(), []);
    assert.equal(relay.heads.filter((head) => head.startsWith('GET /topics/')).length, 1);
  });

  test(`${name} behind nginx sees the end once, and stays away`, async (t) => {
    const hub = await startHub(t, { args: ['--retry', '100ms'] });
    const relay = await startRelay(t, hub.port);
    const nginx = await startNginx(t, { location: `proxy_pass ${relay.origin};` });
    await hub.publish(TOPIC, 'a', { query: { begin: '' } });
    const url = `${nginx.origin}/topics/${TOPIC}?last_event_id=earliest`;
    const reader = await startReader(t, { url, origin: nginx.origin, browser });
    await until('the first token', async () => (await reader.data()).length === 1);
    await hub.publish(TOPIC, 'b', { query: { end: '' } });
    await reader.away();
    assert.deepEqual(await reader.data(), ['a', 'b']);
    // Once from the start, and once with the place of the end.
    assert.equal(relay.heads.filter((head) => head.startsWith('GET /topics/')).length, 2);
  });
}
