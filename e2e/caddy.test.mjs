//! A real Caddy in front of the hub, configured by the recipe.

import assert from 'node:assert/strict';
import net from 'node:net';
import test from 'node:test';

import { NAME, testsBehind } from './lib/behind.mjs';
import { atEnd } from './lib/cleanup.mjs';
import { startCurl } from './lib/curl.mjs';
import { startHub } from './lib/hub.mjs';
import { startProxy } from './lib/proxy.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';
import { startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';

const recipe = await codeBlock('caddy', 'The Caddyfile');
const path = await codeBlock('caddy', 'Beneath a path');

const UPSTREAM = '\treverse_proxy 127.0.0.1:4000\n';

const VARIANTS = {
  compressing: (text) => adapted(text, { [UPSTREAM]: `${UPSTREAM}\tencode gzip\n` }),
  beneath: (text) => adapted(text, { [UPSTREAM]: path }),
  h2c: (text) => adapted(text, { [UPSTREAM]: UPSTREAM.replace('127', 'h2c://127') }),
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

/**
 * A proxy answers HTTP/2's PINGs and takes nothing for a reader that takes nothing: the hub resets that
 * reader's stream alone.
 */
test('where Caddy speaks HTTP/2 to the hub, a reader that takes nothing is closed, and its neighbor goes on', async (t) => {
  const hub = await startHub(t, { args: ['--allow-host', NAME, '--stall-timeout', '1s'] });
  const between = await startRelay(t, hub.port);
  const proxy = await start(t, `127.0.0.1:${between.port}`, 'h2c');
  const neighbor = startCurl(t, ['-H', `Host: ${NAME}`, `${proxy.origin}/topics/news`]);
  await neighbor.head();
  const stalled = net.connect(proxy.port, '127.0.0.1');
  atEnd(t, () => stalled.destroy());
  stalled.pause();
  stalled.write(`GET /topics/fat HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`);
  await until('both streams', async () => (await hub.metric('tidings_streams')) === 2);
  assert.equal(between.accepted, 1, 'both streams are on one connection');
  assert.match(between.heads[0], /^PRI \* HTTP\/2\.0/);
  // More than the buffers on the way hold.
  for (let n = 0; n < 32; n += 1) await hub.publish('fat', 'x'.repeat(1_000_000));
  const reset = 'tidings_streams_ended_total{reason="client-stalled"}';
  await until('its end', async () => (await hub.metric(reset)) === 1);
  await hub.publish('news', 'still here');
  assert.equal((await neighbor.event()).data, 'still here');
  assert.equal(await hub.metric('tidings_streams'), 1);
});
