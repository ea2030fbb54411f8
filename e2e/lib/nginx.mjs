//! A real nginx in a temporary folder; the system's configuration is neither used nor touched.

import { startProxy } from './proxy.mjs';

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
export function startNginx(t, { location, server = '', http = '' }) {
  return startNginxWith(t, (port) => `
    ${http}
    server {
      listen 127.0.0.1:${port};
      ${server}
      location / { ${location} }
    }
  `);
}

/** Starts an nginx likewise; `http(port)` is the text of the whole `http` block, and listens on that port. */
export function startNginxWith(t, http) {
  return startProxy(t, {
    program: 'nginx',
    args: (folder) => ['-p', folder, '-c', `${folder}/nginx.conf`, '-e', 'stderr'],
    files: (port) => ({ 'nginx.conf': configuration(http(port)) }),
  });
}

function configuration(http) {
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
    }
  `;
}
