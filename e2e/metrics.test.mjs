//! Prometheus's own checker reads the metrics.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import test from 'node:test';

import { curl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { makeFolder } from './lib/tools.mjs';

for (const kept of ['in memory', 'on disk']) {
  test(`promtool finds nothing to say about the metrics of a hub ${kept}`, async (t) => {
    const args = kept === 'on disk' ? ['--data', path.join(await makeFolder(t), 'data')] : [];
    const hub = await startHub(t, { args });
    await curl(['-d', 'hi', `${hub.origin}/topics/hello`]);
    const { body, headers } = await curl([`${hub.origin}/metrics`]);
    assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    assert.equal(body.includes('tidings_journal_commit_seconds_count 1\n'), kept === 'on disk');
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' });
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
  });
}
