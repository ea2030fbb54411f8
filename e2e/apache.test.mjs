//! A real Apache in front of the hub, configured by the recipe.

import { testsBehind } from './lib/behind.mjs';
import { startProxy } from './lib/proxy.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';

const recipe = await codeBlock('apache', 'The configuration');
const away = await codeBlock('apache', 'The configuration', 1);
const path = await codeBlock('apache', 'Beneath a path');

const UPSTREAM = '    ProxyPass / http://127.0.0.1:4000/ retry=0\n';

const VARIANTS = {
  impatient: (text) => adapted(text, { [UPSTREAM]: `    ProxyTimeout 4\n${UPSTREAM}` }),
  compressing: (text) => adapted(text, { [UPSTREAM]: `    SetOutputFilter DEFLATE\n${UPSTREAM}` }),
  beneath: (text) => adapted(text, { [UPSTREAM]: path }),
};

/** Where Debian keeps what the configuration of the system loads. */
const MODULES = '/usr/lib/apache2/modules';

/** The server around the virtual host, as Debian configures it, in a folder of its own. */
const server = (port, folder) => `
ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${folder}/pid
ErrorLog "|/bin/cat"
Mutex file:${folder} default
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
${['mpm_event', 'authz_core', 'alias', 'filter', 'deflate', 'proxy', 'proxy_http', 'asis']
  .map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`)
  .join('\n')}
Listen 127.0.0.1:${port}
ServerName localhost
<VirtualHost *:${port}>
    ServerName localhost
</VirtualHost>
`;

function start(t, hub, variant) {
  const text = (VARIANTS[variant] ?? ((text) => text))(recipe);
  return startProxy(t, {
    program: 'apache2',
    args: (folder) => ['-f', `${folder}/apache2.conf`, '-DFOREGROUND'],
    files: (port, folder) => ({
      'apache2.conf':
        server(port, folder) +
        adapted(text, { '127.0.0.1:4000': hub, '*:80>': `*:${port}>`, '/etc/apache2/': `${folder}/` }),
      'hub-is-away.asis': away,
    }),
  });
}

testsBehind('Apache', start);
