//! A real nginx in a temporary folder; the system's configuration is neither used nor touched.

import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { Program } from './program.mjs';
import { until } from './wait.mjs';

/** Another program may take the free port before nginx does, but not three times in a row. */
const ATTEMPTS_MAX = 3;

/**
 * Starts an nginx on a free port of loopback and waits until it accepts. It is stopped, and its
 * folder removed, when the test `t` is over.
 *
 * `location` is the text of the one `location /` block, such as `proxy_pass http://127.0.0.1:4000;`
 * alone; everything else keeps nginx's default. `server` and `http` are added to
 * the blocks around it.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 * @param {{ location: string, server?: string, http?: string }} blocks
 */
export async function startNginx(t, blocks) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tidings-nginx-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const config = path.join(folder, 'nginx.conf');
    await writeFile(config, configuration(port, blocks));
    const nginx = new Program(program(), ['-p', folder, '-c', config, '-e', 'stderr']);
    t.after(() => nginx.stop());
    let ended = false;
    nginx.ended.finally(() => (ended = true)).catch(() => {});
    await until('nginx to accept connections', async () => ended || (await accepts(port)));
    if (!ended) return new Nginx(nginx, port);
    if (attempt === ATTEMPTS_MAX || !nginx.output.includes('Address already in use')) {
      throw new Error(`nginx did not start:\n${nginx.output}`);
    }
  }
}

class Nginx {
  #process;

  constructor(process, port) {
    this.#process = process;
    this.port = port;
    this.origin = `http://127.0.0.1:${port}`;
  }

  /** nginx's error output. */
  get output() {
    return this.#process.output;
  }

  stop() {
    return this.#process.stop();
  }
}

function configuration(port, { location, server = '', http = '' }) {
  // As root, nginx would run its workers as www-data, which cannot enter the folder.
  const user = process.getuid() === 0 ? 'user root;' : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
    ${user}
    daemon off;
    worker_processes 1;
    pid nginx.pid;
    events { worker_connections 1024; }
    http {
      access_log off;
      ${temporary.map((kind) => `${kind}_temp_path ${kind};`).join(' ')}
      ${http}
      server {
        listen 127.0.0.1:${port};
        ${server}
        location / { ${location} }
      }
    }
  `;
}

/** Debian installs nginx in a folder that only root's PATH includes. */
function program() {
  return existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx';
}

function freePort() {
  return new Promise((resolve, reject) => {
    const listener = net.createServer();
    listener.on('error', reject);
    listener.listen(0, '127.0.0.1', () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
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
