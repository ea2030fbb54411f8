//! The recipe of a cluster: its files, with other addresses, run three hubs, three servers of NATS and nginx.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { atEnd, makeFolder } from './lib/cleanup.mjs';
import { startCurl } from './lib/curl.mjs';
import { TIDINGS, runTidings, startHub, startTidings } from './lib/hub.mjs';
import { NATS } from './lib/nats.mjs';
import { startNginxWith } from './lib/nginx.mjs';
import { Program, run } from './lib/program.mjs';
import { freePort } from './lib/proxy.mjs';
import { runPython, startPython } from './lib/python.mjs';
import { adapted, codeBlock } from './lib/recipe.mjs';
import { until } from './lib/wait.mjs';

const NUMBERS = [1, 2, 3];
const SECRETS = { NATS_PASSWORD: 'change-me', NEWS_SECRET: 'a-secret-of-at-least-thirty-two-bytes' };

const natsConf = await codeBlock('cluster', 'NATS');
const tidingsToml = await codeBlock('cluster', 'Hubs');
const environment = await codeBlock('cluster', 'Hubs', 1);
const upstream = await codeBlock('cluster', 'Load balancer');
const location = await codeBlock('cluster', 'Load balancer', 1);
const compose = await codeBlock('cluster', 'As containers', 1);
const nginx = await codeBlock('nginx', 'Complete configuration');

async function folder(t) {
  const folder = await makeFolder(t);
  return folder;
}

/** Puts an address of loopback in the place of each name of a machine, and values in those of variables. */
function local(text, ports) {
  for (const [address, port] of Object.entries(ports)) text = text.replaceAll(address, `127.0.0.1:${port}`);
  return text.replace(/\$\{(\w+)\}/g, (_, name) => SECRETS[name] ?? assert.fail(`${name} is not said`));
}

/** Runs a service of the containers as a process: its command, with its environment and its files. */
function start(t, { program, service, files, ports }) {
  const args = service.command.map((arg) => files[arg] ?? arg);
  const env = Object.fromEntries(Object.entries(service.environment).map(([name, value]) => [name, local(value, ports)]));
  const process = new Program(program, args, { env });
  atEnd(t, () => process.stop());
  return process;
}

async function parsed(yaml) {
  const read = await runPython('import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))', [yaml]);
  assert.equal(read.code, 0, read.stderr);
  return JSON.parse(read.stdout);
}

/** A token that may publish to all topics. */
function token() {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const text = `${part({ alg: 'HS256' })}.${part({ sub: 'backend', exp: Date.now() / 1000 + 600, tidings: { publish: ['**'] } })}`;
  return `${text}.${createHmac('sha256', SECRETS.NEWS_SECRET).update(text).digest('base64url')}`;
}

/** Starts everything that the containers are, and returns the processes and nginx. */
async function startAll(t) {
  const { services } = await parsed(compose);
  const where = await folder(t);
  const ports = {};
  for (const n of NUMBERS) {
    for (const address of [`nats-${n}:4222`, `nats-${n}:6222`, `hub-${n}:4000`]) ports[address] = await freePort();
  }
  const running = {};
  for (const n of NUMBERS) {
    const file = path.join(where, `nats-${n}.conf`);
    await writeFile(file, local(adapted(natsConf, {
      'listen: 0.0.0.0:4222': `listen: nats-${n}:4222`,
      'http: 127.0.0.1:8222': '',
      '/var/lib/nats': `${where}/nats-${n}`,
      'listen: 0.0.0.0:6222': `listen: nats-${n}:6222`,
    }), ports));
    const service = services[`nats-${n}`];
    running[`nats-${n}`] = start(t, { program: NATS, service, files: { '/etc/tidings/nats.conf': file }, ports });
  }
  for (const n of NUMBERS) {
    const file = path.join(where, `tidings-${n}.toml`);
    // The balancer's address is one of loopback here.
    const changes = { '0.0.0.0:4000': `127.0.0.1:${ports[`hub-${n}:4000`]}`, '10.0.0.0/24': '127.0.0.0/8' };
    await writeFile(file, adapted(tidingsToml, changes));
    const service = services[`hub-${n}`];
    running[`hub-${n}`] = start(t, { program: TIDINGS, service, files: { '/etc/tidings/tidings.toml': file }, ports });
  }
  return { running, ports, proxy: await startBalancer(t, ports) };
}

/** Starts the nginx of the recipe before hubs at these ports. */
function startBalancer(t, ports) {
  return startNginxWith(t, (port) => local(upstream, ports) + adapted(nginx, {
    'listen 80 default_server;': `listen 127.0.0.1:${port} default_server;`,
    'listen 80;': `listen 127.0.0.1:${port};`,
    '        proxy_pass http://127.0.0.1:4000;\n': location,
  }));
}

/** An address that answers nobody, as that of a machine without power: its queue of connections is full. */
const DEAD_MACHINE = `
import signal, socket
listener = socket.create_server(("127.0.0.1", 0), backlog=0)
waiting = socket.create_connection(listener.getsockname())
print(listener.getsockname()[1])
signal.pause()
`;

test('the files of the recipe are a cluster in which one of each may die', async (t) => {
  const { running, ports, proxy } = await startAll(t);
  for (const n of NUMBERS) {
    const ready = `http://127.0.0.1:${ports[`hub-${n}:4000`]}/readyz`;
    await until(`hub ${n}`, () => fetch(ready).then(({ ok }) => ok, () => false), { within: 60_000 })
      .catch((error) => assert.fail(`${error.message}: ${running[`hub-${n}`].output} ${running[`nats-${n}`].output}`));
    assert.match(running[`hub-${n}`].output, /durability: replicated/);
  }
  const host = ['-H', 'Host: news.example'];
  const reader = startCurl(t, [...host, `${proxy.origin}/topics/public/news`]);
  assert.equal((await reader.head()).status, 200);
  const publish = async (data) => {
    const args = [...host, '-H', `Authorization: Bearer ${token()}`, '-H', `Idempotency-Key: ${data}`, '-d', data];
    return run('curl', ['--silent', '--fail', ...args, `${proxy.origin}/topics/public/news`]);
  };
  const published = (data) => until(`${data} to be published`, async () => (await publish(data)).code === 0, { within: 60_000 });
  await published('before');
  const { id } = await reader.event();
  await running['hub-1'].stop({ signal: 'SIGKILL' });
  await running['nats-1'].stop({ signal: 'SIGKILL' });
  await published('after');
  // The reader comes back, to one of the other hubs.
  const back = startCurl(t, [...host, '-H', `Last-Event-ID: ${id}`, `${proxy.origin}/topics/public/news`]);
  assert.equal((await back.head()).status, 200);
  assert.equal((await back.event()).data, 'after', 'its place holds there, and no gap comes first');
});

test('the balancer goes on to another hub where a machine does not answer', async (t) => {
  const dead = startPython(t, DEAD_MACHINE);
  const [, port] = await dead.printed(/^(\d+)\n/);
  const hub = await startHub(t, { args: ['--allow-host', 'news.example'] });
  const ports = { 'hub-1:4000': port, 'hub-2:4000': hub.port, 'hub-3:4000': hub.port };
  const proxy = await startBalancer(t, ports);
  // nginx would wait for a minute by itself.
  const args = ['--silent', '--fail', '--max-time', '30', '-H', 'Host: news.example'];
  for (const data of ['one', 'two', 'three']) {
    const published = await run('curl', [...args, '-d', data, `${proxy.origin}/topics/public/news`]);
    assert.equal(published.code, 0, `${data}: ${published.stderr}`);
  }
});

test('the hub takes the file and the environment of the recipe', async (t) => {
  const file = path.join(await folder(t), 'tidings.toml');
  await writeFile(file, tidingsToml);
  const env = Object.fromEntries(environment.trim().split('\n').map((line) => line.split(/=(.*)/s)));
  assert.equal(env.NEWS_SECRET, SECRETS.NEWS_SECRET);
  const checked = await runTidings(['check', '--config', file], { env });
  assert.equal(checked.code, 0, checked.stderr);
  assert.doesNotMatch(checked.stdout, /change-me/);
  assert.match(checked.stdout, /nats-3:4222/);
});

test('the units of the recipe are sound, and run what the containers run', async (t) => {
  const where = await folder(t);
  const { services } = await parsed(compose);
  const units = [
    { unit: 'nats', installed: '/usr/local/bin/nats-server', program: NATS, service: 'nats-1' },
    { unit: 'tidings', installed: '/usr/local/bin/tidings', program: TIDINGS, service: 'hub-1' },
  ];
  for (const [at, { unit, installed, program, service }] of units.entries()) {
    const text = await codeBlock('cluster', 'As systemd units', at);
    const command = `${installed} ${services[service].command.join(' ')}`;
    assert.ok(text.includes(`ExecStart=${command.replace('nats-1', '%H')}\n`), text);
    const file = path.join(where, `${unit}.service`);
    await writeFile(file, adapted(text, { [installed]: path.resolve(program) }));
    const verified = await run('systemd-analyze', ['verify', file]);
    // It also tells of the machine's other units, so its status says nothing of this one.
    assert.doesNotMatch(verified.stderr, new RegExp(`${unit}\\.service`), verified.stderr);
  }
});
