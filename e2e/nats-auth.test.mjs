//! How hubs show NATS who they are, and how NATS shows them: real servers that ask for it, about 15 s.

import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { makeFolder } from './lib/cleanup.mjs';
import { data, startNode } from './lib/cluster.mjs';
import { startTidings } from './lib/hub.mjs';
import { startNats } from './lib/nats.mjs';
import { run } from './lib/program.mjs';

async function folder(t) {
  const dir = await makeFolder(t);
  return dir;
}

/** A hub at these servers works. */
async function checkWorks(t, servers, args = []) {
  const hub = await startNode(t, servers, { args });
  await hub.publish('news', 'it works');
  assert.equal((await data(hub, 'news')).at(-1), 'it works');
  await hub.stop();
}

/** A hub at these servers goes on trying, and says why. */
async function checkRefused(t, servers, args, why) {
  const hub = startTidings(t, ['serve', '--listen', '127.0.0.1:0', '--nats', servers, ...args]);
  await hub.printed(why);
  await hub.stop();
}

const NOT_ACCEPTED = /NATS is away.*does not accept who this hub is: check the file of --nats-creds/;

test('a user and a password, or a token, in the address', async (t) => {
  const named = await startNats(t, { config: 'authorization { user: hub, password: "p@ss/word" }' });
  const at = (who) => `nats://${who}127.0.0.1:${named.port}`;
  await checkWorks(t, at('hub:p%40ss%2Fword@'));
  for (const who of ['', 'hub:wrong@']) await checkRefused(t, at(who), [], NOT_ACCEPTED);
  const byToken = await startNats(t, { config: 'authorization { token: "s3cr3t" }' });
  await checkWorks(t, `nats://s3cr3t@127.0.0.1:${byToken.port}`);
  await checkRefused(t, `nats://other@127.0.0.1:${byToken.port}`, [], NOT_ACCEPTED);
});

/** Base32 without padding, as NKeys are written. */
function base32(bytes) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return bits.match(/.{1,5}/g).map((part) => letters[Number.parseInt(part.padEnd(5, '0'), 2)]).join('');
}

/** Bytes with the checksum of NKeys: CRC-16 with the polynomial of XMODEM. */
function summed(bytes) {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 0x8000 ? ((sum << 1) ^ 0x1021) & 0xffff : (sum << 1) & 0xffff;
  }
  return Buffer.concat([bytes, Buffer.from([sum & 0xff, sum >> 8])]);
}

const PREFIXES = { operator: 14 << 3, account: 0, user: 20 << 3 };
const SEED = 18 << 3;

/** A pair of keys of a kind: what signs with it, its name, and its seed. */
function nkey(kind) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = (key, format) => key.export({ type: format, format: 'der' }).subarray(-32);
  const prefix = PREFIXES[kind];
  const name = base32(summed(Buffer.concat([Buffer.from([prefix]), raw(publicKey, 'spki')])));
  const head = Buffer.from([SEED | (prefix >> 5), (prefix & 31) << 3]);
  const seed = base32(summed(Buffer.concat([head, raw(privateKey, 'pkcs8')])));
  return { name, seed, privateKey };
}

/** A claim about `subject`, signed by `issuer`. */
function claim(issuer, subject, nats) {
  const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const claims = { jti: 'e2e', iat: 1_700_000_000, iss: issuer.name, sub: subject.name, name: 'e2e', nats };
  const text = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`;
  return `${text}.${sign(null, Buffer.from(text), issuer.privateKey).toString('base64url')}`;
}

test('an NKey, whose seed is in a file', async (t) => {
  const dir = await folder(t);
  const [known, unknown] = [nkey('user'), nkey('user')];
  const nats = await startNats(t, { config: `authorization { users: [ { nkey: ${known.name} } ] }` });
  for (const [name, key] of [['known', known], ['unknown', unknown]]) await writeFile(path.join(dir, name), `${key.seed}\n`);
  await checkWorks(t, nats.url, ['--nats-creds', path.join(dir, 'known')]);
  await checkRefused(t, nats.url, ['--nats-creds', path.join(dir, 'unknown')], NOT_ACCEPTED);
});

test('a file of credentials, with a claim that an account has signed', async (t) => {
  const dir = await folder(t);
  const [operator, user, account, other, system] = ['operator', 'user', 'account', 'account', 'account'].map(nkey);
  const all = { subs: -1, data: -1, payload: -1 };
  const limits = { ...all, conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true };
  const streams = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const accountClaim = claim(operator, account, { type: 'account', version: 2, limits: { ...limits, ...streams } });
  const operatorClaim = claim(operator, operator, { type: 'operator', version: 2 });
  const systemClaim = claim(operator, system, { type: 'account', version: 2, limits });
  const accounts = `{ ${account.name}: ${accountClaim}, ${system.name}: ${systemClaim} }`;
  const config = `operator: ${operatorClaim}\nsystem_account: ${system.name}\nresolver: MEMORY\nresolver_preload: ${accounts}`;
  const nats = await startNats(t, { config });
  const write = async (name, issuer) => {
    const token = claim(issuer, user, { type: 'user', version: 2, ...all, pub: {}, sub: {} });
    const begin = (what) => `-----BEGIN ${what}-----\n`;
    const end = (what) => `\n------END ${what}------\n\n`;
    const file = path.join(dir, name);
    await writeFile(file, [
      `${begin('NATS USER JWT')}${token}${end('NATS USER JWT')}`,
      `${begin('USER NKEY SEED')}${user.seed}${end('USER NKEY SEED')}`,
    ].join(''));
    return file;
  };
  await checkWorks(t, nats.url, ['--nats-creds', await write('hub.creds', account)]);
  await checkRefused(t, nats.url, ['--nats-creds', await write('other.creds', other)], NOT_ACCEPTED);
});

test('TLS, with an authority of its own', async (t) => {
  const dir = await folder(t);
  const file = (name) => path.join(dir, name);
  const made = await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=nats', '-addext', 'subjectAltName=IP:127.0.0.1', '-addext', 'basicConstraints=critical,CA:FALSE', '-keyout', file('key.pem'), '-out', file('cert.pem'),
  ]);
  assert.equal(made.code, 0, made.stderr);
  const tls = `tls { cert_file: "${file('cert.pem')}", key_file: "${file('key.pem')}" }`;
  const nats = await startNats(t, { config: `${tls}\nauthorization { user: hub, password: secret }` });
  const ca = ['--nats-ca', file('cert.pem')];
  await checkWorks(t, `tls://hub:secret@127.0.0.1:${nats.port}`, ca);
  // A server that speaks TLS says so, whatever the address does.
  await checkWorks(t, `nats://hub:secret@127.0.0.1:${nats.port}`, ca);
  const untrusted = /NATS is away.*there is no TLS with the server: its certificate must be for the host/;
  await checkRefused(t, `tls://hub:secret@127.0.0.1:${nats.port}`, [], untrusted);
  await checkRefused(t, `tls://hub:secret@localhost:${nats.port}`, ca, untrusted);
  const clear = await startNats(t);
  await checkRefused(t, `tls://127.0.0.1:${clear.port}`, ca, /NATS is away.*TLS/);
});
