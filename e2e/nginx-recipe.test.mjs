//! A real nginx in front of the hub, configured by the recipe.

import { testsBehind } from './lib/behind.mjs';
import { startNginxWith } from './lib/nginx.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';

const recipe = await codeBlock('nginx', 'Complete configuration');
const path = await codeBlock('nginx', 'Beneath a path');

const UPSTREAM = '        proxy_pass http://127.0.0.1:4000;\n';

const VARIANTS = {
  impatient: (text) => adapted(text, { [UPSTREAM]: `${UPSTREAM}proxy_read_timeout 4s;` }),
  compressing: (text) => `gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;\n${text}`,
  beneath: (text) => adapted(text, { [UPSTREAM]: '', 'location / {': path.trimEnd().replace(/\}$/, '') }),
};

function start(t, hub, variant) {
  const text = (VARIANTS[variant] ?? ((text) => text))(recipe);
  return startNginxWith(t, (port) =>
    adapted(text, { '127.0.0.1:4000': hub, 'listen 80 default_server;': `listen 127.0.0.1:${port} default_server;`, 'listen 80;': `listen 127.0.0.1:${port};` }),
  );
}

testsBehind('nginx', start);
