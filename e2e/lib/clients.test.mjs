import assert from 'node:assert/strict';
import test from 'node:test';

import { EventSource } from 'eventsource';

import { curl, startCurl } from './curl.mjs';
import { startFixture } from './fixture.mjs';
import { runPython, startPython } from './python.mjs';
import { until } from './wait.mjs';

test('curl reads lines, blocks and events as they arrive', async (t) => {
  const fixture = await startFixture(t);
  const reader = startCurl(t, [`${fixture.origin}/stream`]);
  const { status, headers } = await reader.head();
  assert.equal(status, 200);
  assert.equal(headers.get('content-type'), 'text/event-stream');
  assert.equal(await reader.line(), 'retry:50');
  fixture.send(':\nevent:a\ndata:1\ndata: 2\nid:x\n\nid:only\n\ndata\n\ndata:3\n\n');
  assert.deepEqual(await reader.event(), { id: 'x', type: 'a', data: '1\n2' });
  assert.deepEqual(await reader.block(), ['id:only']);
  assert.deepEqual(await reader.block(), ['data']);
  fixture.end();
  assert.deepEqual(await reader.event(), { id: undefined, type: 'message', data: '3' });
  assert.equal(await reader.event(), undefined);
  assert.equal((await reader.ended).code, 0);
});

test('a read that times out loses nothing', async (t) => {
  const fixture = await startFixture(t);
  const reader = startCurl(t, [`${fixture.origin}/stream`]);
  await reader.head();
  assert.equal(await reader.line(), 'retry:50');
  await assert.rejects(reader.line({ within: 50 }), /timed out waiting for a line from curl/);
  fixture.send('data:still here\n\n');
  assert.deepEqual(await reader.block(), ['data:still here']);
});

test("curl's answer is parsed", async (t) => {
  const fixture = await startFixture(t);
  const answer = await curl(['--data-binary', '@-', fixture.origin], { input: 'x'.repeat(2_000_000) });
  assert.equal(answer.status, 200);
  assert.equal(answer.version, 'HTTP/1.1');
  assert.match(answer.body, /<!doctype html>/);
});

test("Node's package eventsource reads a stream", async (t) => {
  const fixture = await startFixture(t);
  const source = new EventSource(`${fixture.origin}/stream`);
  t.after(() => source.close());
  const data = [];
  source.onmessage = (event) => data.push(event.data);
  await until('the stream', () => fixture.open === 1);
  fixture.send('data:hello\n\n');
  await until('the event', () => data.join() === 'hello');
});

test("Python's package httpx-sse reads a stream", async (t) => {
  const fixture = await startFixture(t);
  const script = `
import sys, httpx
from httpx_sse import connect_sse
with httpx.Client() as client, connect_sse(client, "GET", sys.argv[1]) as source:
    for event in source.iter_sse():
        print(repr(event.data))
`;
  const reader = startPython(t, script, [`${fixture.origin}/stream`]);
  await until('the stream', () => fixture.open === 1);
  fixture.send('data:hello\n\n');
  await reader.printed(/^'hello'$/m);
});

test('a failing Python script reports its status and reason', async () => {
  const ended = await runPython('import sys; sys.exit("no " + sys.argv[1])', ['luck']);
  assert.equal(ended.code, 1);
  assert.equal(ended.stderr.trim(), 'no luck');
});
