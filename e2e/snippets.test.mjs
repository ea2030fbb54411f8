//! The recipes for programming languages: each publishes and listens as it is written.

import assert from 'node:assert/strict';
import { symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { atEnd, makeFolder } from './lib/cleanup.mjs';
import { curl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { Program, run } from './lib/program.mjs';
import { codeBlock } from './lib/recipe.mjs';
import { startRelay } from './lib/relay.mjs';
import { NODE_MODULES } from './lib/static.mjs';
import { until } from './lib/wait.mjs';

/** Compilers are slow the first time, on a machine with two busy cores. */
const COMPILED_WITHIN_MS = 240_000;

/** Names of the two files, and how one of them is run. A `build` makes the program first. */
const LANGUAGES = {
  Python: { files: ['publish.py', 'listen.py'], run: (file) => ['python3', file] },
  Node: { files: ['publish.mjs', 'listen.mjs'], run: (file) => ['node', file], id: 'order-7' },
  Go: {
    files: ['publish.go', 'listen.go'],
    build: (file) => ['go', 'build', '-o', `${file}.bin`, file],
    run: (file) => [`./${file}.bin`],
  },
  Ruby: { files: ['publish.rb', 'listen.rb'], run: (file) => ['ruby', file] },
  PHP: { files: ['publish.php', 'listen.php'], run: (file) => ['php', file] },
  Java: {
    files: ['Publish.java', 'Listen.java'],
    build: (file) => ['javac', '-encoding', 'UTF-8', file],
    run: (file) => ['java', '-Dstdout.encoding=UTF-8', '-Dfile.encoding=UTF-8', file.replace('.java', '')],
  },
};

/** Nothing is fetched, and output is UTF-8. */
const ENVIRONMENT = { CGO_ENABLED: '0', GOPROXY: 'off', GOTOOLCHAIN: 'local', LC_ALL: 'C.UTF-8' };

for (const [language, { files: [publisher, listener], build, run: command, id = 'größe-7' }] of Object.entries(LANGUAGES)) {
  const start = async (t, file, heading, hub) => {
    const folder = await folderWith(t, file, await codeBlock(language.toLowerCase(), heading));
    const env = { ...ENVIRONMENT, HUB: hub };
    if (build) {
      const [compiler, ...args] = build(file);
      const built = await run(compiler, args, { cwd: folder, env, within: COMPILED_WITHIN_MS });
      assert.equal(built.code, 0, built.stderr);
    }
    const [program, ...args] = command(file);
    const started = new Program(program, args, { cwd: folder, env });
    atEnd(t, () => started.stop());
    return started;
  };

  test(`the recipe for ${language} publishes once, also if the first answer is lost`, async (t) => {
    const hub = await startHub(t);
    const relay = await startRelay(t, hub.port);
    relay.cutAfter(1);
    const program = await start(t, publisher, 'Publish', relay.origin);
    const { code } = await program.ended;
    assert.equal(code, 0, program.output);
    const { events } = await hub.read('hello');
    assert.deepEqual(events.map(({ type, data }) => [type, data]), [['message', `hi from ${language}`]]);
    assert.equal(program.stdout.trim(), events[0].id);
    assert.ok(relay.heads.length > 1, 'it has asked again');
  });

  test(`the recipe for ${language} listens, resumes after a cut, and ends when the hub says so`, async (t) => {
    const hub = await startHub(t, { args: ['--retry', '100ms'] });
    const relay = await startRelay(t, hub.port);
    const program = await start(t, listener, 'Listen', relay.origin);
    const stream = () => until('its stream', async () => {
      if (program.stderr) throw new Error(program.output);
      return (await hub.metric('tidings_streams')) === 1;
    });
    await stream();
    await hub.publish('hello', 'grüße: 😀\n two lines', { query: { id } });
    await program.printed(/two lines\n/);
    relay.refuse();
    relay.cut('reset');
    await hub.publish('hello', 'meanwhile');
    await relay.accept();
    await program.printed(/meanwhile\n/);
    await stream();
    await hub.publish('hello', 'after');
    await program.printed(/after\n/);
    assert.equal((await curl(['-X', 'DELETE', hub.url('/subscribers', { topic: 'hello' })])).status, 204);
    assert.deepEqual(await program.ended, { code: 0, signal: null });
    assert.equal(program.stdout, 'message grüße: 😀\n two lines\nmessage meanwhile\nmessage after\n');
  });
}

/** A temporary folder with one file, where packages of npm are found. */
async function folderWith(t, name, text) {
  const folder = await makeFolder(t);
  await symlink(NODE_MODULES, path.join(folder, 'node_modules'));
  await writeFile(path.join(folder, name), text);
  return folder;
}
