//! Ports of loopback that nobody else takes, also while nothing listens there: between a look and its use, and while a
//! server is down that will come back.

import { readFileSync } from 'node:fs';
import net from 'node:net';

/** The first of our ports, and the number that one process of the tests has to itself. */
const [FIRST, EACH] = [10_000, 100];

/**
 * The first port that the system hands out by itself, to clients and to servers that ask for port 0. Beneath it, a client
 * that tries a port where nothing listens cannot be given that very port, and be connected to itself, either.
 */
const SYSTEM_FIRST = systemFirst();

/** The listener that makes a range of ports this process's own, and holds until it ends. */
let claim;
let taken = 0;

/** Finds a port that is free, and that no other file of tests is given. */
export async function freePort() {
  claim ??= claimRange();
  const first = (await claim).address().port;
  for (let tries = 1; tries < EACH; tries += 1) {
    taken += 1;
    const port = first + 1 + (taken % (EACH - 1));
    if (await isFree(port)) return port;
  }
  throw new Error(`no port is free from ${first} to ${first + EACH - 1}`);
}

/** Takes the first range whose first port is free. */
async function claimRange() {
  const ranges = Math.floor((SYSTEM_FIRST - FIRST) / EACH);
  for (let n = 0; n < ranges; n += 1) {
    const listener = await listen(FIRST + ((process.pid + n) % ranges) * EACH);
    if (listener) return listener.unref();
  }
  throw new Error('no range of ports is free');
}

async function isFree(port) {
  const listener = await listen(port);
  if (!listener) return false;
  await new Promise((closed) => listener.close(closed));
  return true;
}

/** Listens on a port; resolves to nothing if that is in use. */
function listen(port) {
  return new Promise((resolve, reject) => {
    const listener = net.createServer((socket) => socket.destroy());
    listener.on('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    listener.listen(port, '127.0.0.1', () => resolve(listener));
  });
}

function systemFirst() {
  const otherwise = 32_768;
  try {
    const first = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0]);
    // A system may hand out nearly all ports.
    return first >= FIRST + 10 * EACH ? first : otherwise;
  } catch {
    return otherwise;
  }
}
