//! Prometheus's own checker reads the metrics.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';

import { curl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';

test('promtool finds nothing to say about the metrics', async (t) => {
  const hub = await startHub(t);
  await curl(['-d', 'hi', `${hub.origin}/topics/hello`]);
  const { body, headers } = await curl([`${hub.origin}/metrics`]);
  assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
});
