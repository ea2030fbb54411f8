//! A real Caddy in front of the hub, configured by the recipe.

import { NAME, testsBehind } from './lib/behind.mjs';
import { startProxy } from './lib/proxy.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';

const recipe = await codeBlock('caddy', 'The Caddyfile');
const path = await codeBlock('caddy', 'Beneath a path');

const UPSTREAM = '\treverse_proxy 127.0.0.1:4000\n';

const VARIANTS = {
  compressing: (text) => adapted(text, { [UPSTREAM]: `${UPSTREAM}\tencode gzip\n` }),
  beneath: (text) => adapted(text, { [UPSTREAM]: path }),
};

/** No certificates, no port 80, nothing outside of loopback and its folder. */
const options = (folder) => `	grace_period 100ms
	admin off
	auto_https off
	default_bind 127.0.0.1
	storage file_system ${folder}/storage
`;

function start(t, hub, variant) {
  const text = (VARIANTS[variant] ?? ((text) => text))(recipe);
  return startProxy(t, {
    program: 'caddy',
    args: (folder) => ['run', '--adapter', 'caddyfile', '--config', `${folder}/Caddyfile`],
    files: (port, folder) => ({
      Caddyfile: adapted(text, {
        '127.0.0.1:4000': hub,
        [`${NAME} {`]: `http://${NAME}:${port} {`,
        '\tgrace_period 10s\n': options(folder),
      }),
    }),
  });
}

testsBehind('Caddy', start, { lacks: { impatient: 'it ends no stream for being quiet' } });
