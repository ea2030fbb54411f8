//! Proxies, each in a temporary folder; the system's configuration is neither used nor touched.

import { accessSync, constants } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';

import { atEnd, makeFolder } from './cleanup.mjs';
import { freePort } from './port.mjs';
import { Program } from './program.mjs';
import { until } from './wait.mjs';

export { freePort } from './port.mjs';

/** Another program may take the free port before the proxy does, but not three times in a row. */
const ATTEMPTS_MAX = 3;

/**
 * Starts a proxy on a free port of loopback and waits until it accepts connections. It is stopped,
 * and its folder removed, when the test `t` is over.
 *
 * `files` gives the text of each file in its folder, `args` its arguments; `folder` is also its home.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 * @param {{
 *   program: string,
 *   args: (folder: string) => string[],
 *   files: (port: number, folder: string) => Record<string, string>,
 * }} proxy
 */
export async function startProxy(t, { program, args, files }) {
  const folder = await makeFolder(t);
  // As root, some proxies change to another user, which must be able to read the folder.
  await chmod(folder, 0o755);
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    for (const [name, text] of Object.entries(files(port, folder))) {
      await writeFile(path.join(folder, name), text);
    }
    const proxy = new Program(located(program), args(folder), { cwd: folder, env: { HOME: folder } });
    atEnd(t, () => proxy.stop());
    let ended = false;
    proxy.ended.finally(() => (ended = true)).catch(() => {});
    await until(`${program} to accept connections`, async () => ended || (await accepts(port)));
    if (!ended) return new Proxy(proxy, port);
    if (attempt === ATTEMPTS_MAX || !/address.*in use/i.test(proxy.output)) {
      // Rejects, with the reason, if the program could not even be started.
      await proxy.ended;
      throw new Error(`${program} did not start:\n${proxy.output}`);
    }
  }
}

class Proxy {
  #process;

  constructor(process, port) {
    this.#process = process;
    this.port = port;
    this.origin = `http://127.0.0.1:${port}`;
  }

  /** Its output. */
  get output() {
    return this.#process.output;
  }

  stop() {
    return this.#process.stop();
  }
}

/** Debian installs servers in a folder that only root's PATH includes. */
function located(program) {
  const system = `/usr/sbin/${program}`;
  try {
    accessSync(system, constants.X_OK);
    return system;
  } catch {
    return program;
  }
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
