//! Invalid input: each is answered by a problem that explains it, and nothing is published.

import assert from 'node:assert/strict';
import test from 'node:test';

import { curl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';

const JSON_TYPE = ['-H', 'Content-Type: application/json'];
const NDJSON_TYPE = ['-H', 'Content-Type: application/x-ndjson'];
const EVENT_STREAM_TYPE = ['-H', 'Content-Type: text/event-stream'];

/** Data for curl's `--data-binary @-`. */
const INPUT = ['--data-binary', '@-'];

/** By default curl normalizes paths. */
const AS_IS = '--path-as-is';

/**
 * Requests (`args`, a `path` of the hub, optionally `input`) with the expected status and a pattern for
 * the detail.
 */
const CASES = {
  'CR in an ID': [['-d', 'x'], '/topics/t?id=a%0Db', 400, /ID must not contain CR, LF or NUL: see byte 1/],
  'LF in an ID': [['-d', 'x'], '/topics/t?id=a%0Adata:%20injected', 400, /ID must not contain CR, LF or NUL: see byte 1/],
  'NUL in an ID': [['-d', 'x'], '/topics/t?id=%00', 400, /ID must not contain CR, LF or NUL: see byte 0/],
  'a control character in an ID': [['-d', 'x'], '/topics/t?id=a%07b', 400, /control/],
  'an ID of 129 bytes': [['-d', 'x'], `/topics/t?id=${'i'.repeat(129)}`, 400, /128 bytes/],
  'the ID earliest': [['-d', 'x'], '/topics/t?id=earliest', 400, /earliest/],
  'CR in a type': [['-d', 'x'], '/topics/t?type=a%0Db', 400, /type must not contain CR, LF or NUL: see byte 1/],
  'LF in a type': [['-d', 'x'], '/topics/t?type=a%0Ab', 400, /type must not contain CR, LF or NUL: see byte 1/],
  'NUL in a type': [['-d', 'x'], '/topics/t?type=a%00', 400, /type must not contain CR, LF or NUL: see byte 1/],
  'LF in a type of JSON': [[...JSON_TYPE, '-d', '{"topic":"t","data":"x","type":"a\\nb"}'], '/events', 400, /type must not contain CR, LF or NUL/],
  'CR in an ID of JSON': [[...JSON_TYPE, '-d', '{"topic":"t","data":"x","id":"a\\rb"}'], '/events', 400, /ID must not contain CR, LF or NUL/],
  'an event of a byte more than the limit': [INPUT, '/topics/t', 413, /at most 1000 bytes/, 'x'.repeat(1001)],
  'such an event in JSON': [[...JSON_TYPE, ...INPUT], '/events', 413, /at most 1000 bytes/, `{"topic":"t","data":"${'x'.repeat(1001)}"}`],
  'such an event in a stream': [[...EVENT_STREAM_TYPE, ...INPUT], '/events?topic=t', 413, /at most 1000 bytes/, `data:${'x'.repeat(1001)}\n\n`],
  'a topic with a control character': [['-d', 'x'], '/topics/a%01b', 400, /control character/],
  'such a topic in JSON': [[...JSON_TYPE, '-d', '{"topic":"a\\u0001b","data":"x"}'], '/events', 400, /control/],
  'a topic of 2,000 bytes': [['-d', 'x'], `/topics/${'t'.repeat(2000)}`, 400, /1,?024 bytes/],
  'an empty topic': [[...JSON_TYPE, '-d', '{"topic":"","data":"x"}'], '/events', 400, /topic/],
  'the pattern ot*': [[], '/events?match=ot*', 400, /whole segment/],
  'a wildcard in a path': [['-d', 'x'], '/topics/ot*', 400, /wildcard/],
  'broken JSON on line 3 of an array': [[...JSON_TYPE, ...INPUT], '/events', 400, /line 3/, '[\n{"topic":"t","data":"x"},\n{"topic":"t" "data":"x"}\n]'],
  'broken JSON in an object': [[...JSON_TYPE, '-d', '{"topic":'], '/events', 400, /JSON/],
  'JSON that is no event': [[...JSON_TYPE, '-d', '"hi"'], '/events', 400, /object/],
  'JSON with an unknown key': [[...JSON_TYPE, '-d', '{"topic":"t","data":"x","tpye":"y"}'], '/events', 400, /tpye/],
  'JSON without data': [[...JSON_TYPE, '-d', '{"topic":"t"}'], '/events', 400, /data/],
  'JSON without a topic': [[...JSON_TYPE, '-d', '{"data":"x"}'], '/events', 400, /topic/],
  'the second of two in an array': [[...JSON_TYPE, '-d', '[{"topic":"t","data":"x"},{"topic":"t","data":"x","id":"earliest"}]'], '/events', 400, /earliest/],
  'retry=-1': [['-d', 'x'], '/topics/t?retry=-1', 400, /retry.*digits only/],
  'retry=+5': [['-d', 'x'], '/topics/t?retry=%2B5', 400, /retry.*digits only/],
  'an unknown query parameter': [['-d', 'x'], '/topics/t?tpye=tick', 400, /tpye/],
  'an unknown one of a stream': [[], '/topics/t?last-event-id=1', 400, /last-event-id/],
  'a token where there are none': [[], '/topics/t?token=secret', 400, /token/],
  'an empty segment': [[AS_IS, '-d', 'x'], '/topics/a//b', 400, /empty segment.*\/events/],
  'a segment of dots': [[AS_IS, '-d', 'x'], '/topics/a/../b', 400, /dots.*\/events/],
  'an encoded slash': [[AS_IS, '-d', 'x'], '/topics/a%2Fb', 400, /encoded slash.*\/events/],
  'a path that is no UTF-8': [[AS_IS, '-d', 'x'], '/topics/%ff', 400, /UTF-8/],
  'neither topic nor pattern': [[], '/events', 400, /topic=.*match=/],
  'PUT': [['-X', 'PUT', '-d', 'x'], '/topics/t', 405, /does not support PUT; it supports GET, HEAD, OPTIONS, POST/],
  'POST to a list of subscribers': [['-X', 'POST'], '/subscribers?topic=t', 405, /does not support POST/],
  'an unknown content type': [['-H', 'Content-Type: application/xml', '-d', '<x/>'], '/events', 415, /application\/json.*not application\/xml/],
  "curl's own content type": [['-d', 'x'], '/events', 415, /POST \/topics\/\{topic\}/],
  'a compressed body': [[...JSON_TYPE, '-H', 'Content-Encoding: gzip', '-d', 'x'], '/events', 415, /./],
  'an event stream without a topic': [[...EVENT_STREAM_TYPE, '-d', 'data:x\n\n'], '/events', 400, /\?topic=/],
  'data that is no UTF-8': [INPUT, '/topics/t', 400, /UTF-8/, Buffer.from([0x68, 0xff, 0x69])],
  'broken JSON in NDJSON': [[...NDJSON_TYPE, ...INPUT], '/events', 400, /line 2/, '\n{"topic":"t"\n'],
  'a foreign Host': [['-H', 'Host: evil.example', '-d', 'x'], '/topics/t', 421, /host 'evil\.example'.*--allow-host/],
  'a foreign Origin': [['-H', 'Origin: https://evil.example', '-d', 'x'], '/topics/t', 403, /origin 'https:\/\/evil\.example'.*--allow-origin/],
  'the Origin null': [['-H', 'Origin: null', '-d', 'x'], '/topics/t', 403, /origin 'null'/],
  'a request that another site caused': [['-H', 'Sec-Fetch-Site: cross-site', '-d', 'x'], '/topics/t', 403, /another site/],
  'an unknown path': [[], '/topcis/t', 404, /\/topics\/\{topic\}/],
  'a format that there is not': [['-H', 'Accept: application/xml'], '/topics/t', 406, /text\/event-stream/],
  'a limit of JSON for a stream': [[], '/topics/t?limit=1', 400, /Accept: application\/json/],
};

test('invalid input is answered by a problem with a sentence, and nothing is published', async (t) => {
  const hub = await startHub(t, { args: ['--event-bytes-max', '1000'] });
  for (const [what, [args, path, status, sentence, input]] of Object.entries(CASES)) {
    await t.test(what, async () => {
      const answer = await curl([...args, hub.origin + path], { input });
      assert.equal(answer.status, status, answer.body);
      assert.equal(answer.headers.get('content-type'), 'application/problem+json');
      const problem = JSON.parse(answer.body);
      assert.equal(problem.status, status);
      assert.match(problem.type, /^\/problems\/[a-z0-9-]+$/);
      assert.notEqual(problem.title, '');
      assert.match(problem.detail, sentence);
      assert.equal(await hub.metric('tidings_events_published_total'), 0);
    });
  }
});

test('input at a limit is published', async (t) => {
  const hub = await startHub(t, { args: ['--event-bytes-max', '1000'] });
  for (const [topic, data, query] of [
    // Field names and line ends count as well: the whole event as encoded in a stream.
    ['t', 'x'.repeat(1000 - 'data: '.length - 1), {}],
    ['t'.repeat(1024), 'x', {}],
    ['t', 'x', { id: 'i'.repeat(128) }],
    ['t', 'x', { retry: '0' }],
    ['a b/ü/..c', 'x', { type: 'größe' }],
  ]) {
    await hub.publish(topic, data, { query });
  }
  assert.equal(await hub.metric('tidings_events_published_total'), 5);
});

test('events of a streamed body before the first invalid one stay published, and the answer says so', async (t) => {
  const hub = await startHub(t);
  const lines = ['{"topic":"t","data":"1"}', '{"topic":"t","data":"2"}', 'not JSON', '{"topic":"t","data":"4"}', ''];
  const answer = await curl([...NDJSON_TYPE, ...INPUT, hub.url('/events')], { input: lines.join('\n') });
  assert.equal(answer.status, 400);
  const problem = JSON.parse(answer.body);
  const { events } = await hub.read('t');
  assert.deepEqual(events.map(({ data }) => data), ['1', '2']);
  assert.equal(problem.committed, 2);
  assert.deepEqual(problem.ids, events.map(({ id }) => id));
  assert.match(problem.refused.detail, /^the JSON cannot be used: .* at line 3 column 2$/);
});
