//! A small server of files: the "other origin" that pages under test come from.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
};

/** What `npm ci` installed, for pages that import a package. */
export const NODE_MODULES = fileURLToPath(new URL('../node_modules', import.meta.url));

/**
 * Starts the server on a free port of loopback; it is closed when the test `t` is over.
 *
 * `pages` maps a path to its text, `folders` maps a path that ends with `/` to a folder on disk. A
 * file without extension is also looked for as `.js`, as the bundlers do that some packages are
 * written for.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 * @param {{ pages?: Record<string, string>, folders?: Record<string, string> }} content
 */
export async function startStatic(t, { pages = {}, folders = {} } = {}) {
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/favicon.ico') {
      // Browsers ask for it unasked, and a 404 would be a problem in their console.
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
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address();
  return { port, origin: `http://127.0.0.1:${port}` };
}

async function readBeneath(folders, pathname) {
  for (const [mount, folder] of Object.entries(folders)) {
    if (!pathname.startsWith(mount)) continue;
    // `new URL` has resolved every `..`, so the file lies beneath the folder.
    const file = path.join(folder, decodeURIComponent(pathname.slice(mount.length)));
    for (const candidate of [file, `${file}.js`]) {
      try {
        return await readFile(candidate);
      } catch {
        // Not this one: the next candidate, the next folder, or 404.
      }
    }
  }
  return undefined;
}
