import assert from 'node:assert/strict';
import test from 'node:test';

import { startHub } from './hub.mjs';
import { Program, run } from './program.mjs';
import { soon, stays, until } from './wait.mjs';

test('a program that ends before the awaited output is reported with its output', async () => {
  const program = new Program('sh', ['-c', 'echo no such thing; exit 3']);
  await assert.rejects(program.printed(/ready/), /ended \(3\) before it printed \/ready\/:\nno such thing/);
});

test('a program that does not exist is a failure, not a wait', async () => {
  await assert.rejects(new Program('/no/such/program').printed(/ready/), /could not be started/);
  await assert.rejects(run('/no/such/program'), /could not be started/);
});

test('a program that does not end when asked is killed, and the wait fails', async () => {
  const program = new Program('sh', ['-c', 'trap "" TERM; echo ready; while :; do read -r _ || :; done']);
  await program.printed(/ready/);
  await assert.rejects(program.stop({ within: 200 }), /timed out waiting for .* to end after SIGTERM/);
  assert.equal((await program.ended).signal, 'SIGKILL');
});

test("a hub that does not start fails at once with the program's output", async () => {
  const context = { after: () => {} };
  await assert.rejects(startHub(context, { program: 'ls', args: ['--no-such-flag'] }), /unrecognized option/);
});

test('a wait ends with the value, or at its deadline with a sentence', async () => {
  let calls = 0;
  assert.equal(await until('three', () => (calls += 1) === 3 && 'three'), 'three');
  await assert.rejects(until('the moon', () => false, { within: 50 }), /^Error: timed out waiting for the moon$/);
  await assert.rejects(soon('the sun', new Promise(() => {}), { within: 50 }), /waiting for the sun$/);
  await assert.rejects(stays('silence', () => 'a noise', { during: 50 }), /expected silence, but: "a noise"/);
});
