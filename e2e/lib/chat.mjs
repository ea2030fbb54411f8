//! The servers of the recipe for a chat on the AI SDK, as it has them. Their model says what a test gives it.

import { symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { atEnd, makeFolder } from './cleanup.mjs';
import { node22 } from './node22.mjs';
import { Program } from './program.mjs';
import { PYTHON } from './python.mjs';
import { adapted, codeBlock } from './recipe.mjs';
import { NODE_MODULES } from './static.mjs';

const MODEL = fileURLToPath(new URL('../fixtures/model.mjs', import.meta.url));

const SERVERS = {
  Node: {
    file: 'server.mjs',
    program: node22(),
    changes: {
      "const model = 'openai/gpt-5';": `import { model } from ${JSON.stringify(MODEL)};`,
      'process.env.PORT ?? 3000)': "0, '127.0.0.1', function () { console.log(`port ${this.address().port}`) })",
    },
  },
  Python: {
    file: 'server.py',
    program: PYTHON,
    changes: {
      '    yield from ["You ", "said ", messages[-1]["parts"][0]["text"]]\n':
        '    import sys\n    yield from (line.rstrip("\\n") for line in sys.stdin)\n',
      'ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3000))), Server).serve_forever()':
        'server = ThreadingHTTPServer(("127.0.0.1", 0), Server)\n' +
        'print(f"port {server.server_port}", flush=True)\nserver.serve_forever()',
    },
  },
};

/**
 * Starts the server in a language, `Node` or `Python`, before a hub; it is stopped when `t` is over. `say` gives it a
 * token of the model, `finish` ends the answer, and `printed` waits for its output.
 */
export async function startChatServer(t, language, hub) {
  const { file, program, changes } = SERVERS[language];
  const text = adapted(await codeBlock('chat', `The server in ${language}`), changes);
  const folder = await makeFolder(t);
  await symlink(NODE_MODULES, path.join(folder, 'node_modules'));
  await writeFile(path.join(folder, file), text);
  const input = new Readable({ read() {} });
  const running = new Program(program, [path.join(folder, file)], { env: { HUB: hub.origin }, input });
  atEnd(t, () => running.stop());
  const [, port] = await running.printed(/port (\d+)\n/);
  const say = (token) => input.push(`${token}\n`);
  const printed = (pattern) => running.printed(pattern);
  return { origin: `http://127.0.0.1:${port}`, say, finish: () => input.push(null), printed };
}
