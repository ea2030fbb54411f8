//! A small file server: the "other origin" of pages under test.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { atEnd } from './cleanup.mjs';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
};

/** The folder of installed npm packages, for pages that import one. */
export const NODE_MODULES = fileURLToPath(new URL('../node_modules', import.meta.url));

/**
 * Starts the server on a free port of loopback; it is closed when the test `t` is over.
 *
 * `pages` maps a path to its text, `folders` maps a path that ends with `/` to a folder on disk. A
 * path without extension is also tried with `.js`, because some packages are written for bundlers
 * that do so.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 * @param {{ pages?: Record<string, string>, folders?: Record<string, string> }} content
 */
export async function startStatic(t, { pages = {}, folders = {} } = {}) {
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/favicon.ico') {
      // Browsers request it by themselves, and a 404 would be an error in the console.
      response.writeHead(204).end();
      return;
    }
    const found = pages[pathname] ?? (await readBeneath(folders, pathname));
    if (found === undefined) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[path.extname(pathname) || (pages[pathname] === undefined ? '.js' : '.html')];
    response.writeHead(200, { 'content-type': type ?? 'application/octet-stream' }).end(found);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address();
  return { port, origin: `http://127.0.0.1:${port}` };
}

async function readBeneath(folders, pathname) {
  for (const [mount, folder] of Object.entries(folders)) {
    if (!pathname.startsWith(mount)) continue;
    // `new URL` has resolved every `..`, so the file is in the folder.
    const file = path.join(folder, decodeURIComponent(pathname.slice(mount.length)));
    for (const candidate of [file, `${file}.js`]) {
      try {
        return await readFile(candidate);
      } catch {
        // Try the next candidate or folder; otherwise the answer is 404.
      }
    }
  }
  return undefined;
}
