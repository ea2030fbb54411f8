//! Schemathesis asks what the OpenAPI document allows, and much that it does not: no answer is a failure
//! of the hub, and each is declared.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { makeFolder } from './lib/cleanup.mjs';
import { startHub } from './lib/hub.mjs';
import { run } from './lib/program.mjs';

const SCHEMATHESIS = fileURLToPath(new URL('.venv/bin/schemathesis', import.meta.url));

const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
];

/** It waits for nothing, and streams would not end. */
const CONFIGURATION = '[parameters]\n"query.wait" = "0"\n';

const SECRET = 'a secret of thirty-two bytes, ok';
const AUTH = `[auth]\nquery = true\ncookie = "tidings"\nkeys = [{ algorithm = "HS256", secret = "${SECRET}" }]\n`;

function token() {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const all = { publish: ['**'], subscribe: ['**'], manage: ['**'] };
  const text = `${part({ alg: 'HS256' })}.${part({ exp: Date.now() / 1000 + 600, tidings: all })}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

/** It sends some thousand requests, which takes a minute on two busy cores. */
const EXPLORED_WITHIN_MS = 300_000;

async function explored(t, hub, headers) {
  const folder = await makeFolder(t);
  await writeFile(path.join(folder, 'schemathesis.toml'), CONFIGURATION);
  const options = ['--checks', CHECKS.join(','), '--phases', 'coverage,fuzzing', '--max-examples', '10', '--no-color'];
  const sent = ['Accept: application/json', ...headers].flatMap((line) => ['--header', line]);
  const args = ['run', hub.url('/openapi.json'), ...options, ...sent];
  const { code, stdout, stderr } = await run(SCHEMATHESIS, args, { cwd: folder, within: EXPLORED_WITHIN_MS });
  assert.equal(code, 0, stdout + stderr);
  const [, all] = stdout.match(/(\d+) selected \/ \1 total/) ?? assert.fail(stdout);
  assert.ok(Number(all) >= 15 && stdout.includes(`Tested: ${all}`), stdout);
}

test('schemathesis finds no failure and no answer that is not declared, without tokens', async (t) => {
  await explored(t, await startHub(t), []);
});

for (const [who, headers] of [['a token that may do everything', [`Authorization: Bearer ${token()}`]], ['no token', []]]) {
  test(`schemathesis finds the same where tokens are asked for, with ${who}`, async (t) => {
    const folder = await makeFolder(t);
    const file = path.join(folder, 'tidings.toml');
    await writeFile(file, AUTH);
    await explored(t, await startHub(t, { args: ['--config', file] }), headers);
  });
}
