//! A network between a client and a server that can be partitioned: either direction, both, or slow.
//!
//! Bytes of a direction that is held arrive once it is released, as those of a TCP connection do after a
//! partition, unless the connections were cut meanwhile.

import { once } from 'node:events';
import net from 'node:net';

import { atEnd } from './cleanup.mjs';
import { later } from './wait.mjs';

/** The directions. */
export const TO_SERVER = 'to the server';
export const TO_CLIENT = 'to the client';

/**
 * Starts one on a free port of loopback in front of `port`. It is closed when `t` is over.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 */
export async function startPartition(t, port) {
  const partition = new Partition(port);
  atEnd(t, () => partition.close());
  await partition.listen();
  return partition;
}

class Partition {
  port = 0;

  #target;
  #listener;
  #sockets = new Set();
  /** For each direction that is held, the promise that it is released, and how to keep that. */
  #held = new Map();
  #delayMs = 0;

  constructor(target) {
    this.#target = target;
  }

  get url() {
    return `nats://127.0.0.1:${this.port}`;
  }

  async listen() {
    this.#listener = net.createServer({ allowHalfOpen: true }, (client) => this.#connect(client));
    this.#listener.listen(0, '127.0.0.1');
    await once(this.#listener, 'listening');
    this.port = this.#listener.address().port;
  }

  /** Holds what goes in some directions from now on. */
  hold(...ways) {
    for (const way of ways) {
      let release;
      const released = new Promise((resolve) => (release = resolve));
      this.#held.set(way, { released, release });
    }
  }

  /** Releases everything that is held. */
  heal() {
    for (const { release } of this.#held.values()) release();
    this.#held.clear();
  }

  /** Delays each piece by so long, one after the other, which makes the network narrow as well. */
  slow(delayMs) {
    this.#delayMs = delayMs;
  }

  /** Resets all connections. What is held is lost. */
  cut() {
    for (const socket of this.#sockets) {
      // Node never releases a socket that is reset while its own end is being sent, and then spins
      // instead of exiting.
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
    this.#sockets.clear();
  }

  close() {
    this.#listener.close();
    this.cut();
    this.heal();
  }

  #connect(client) {
    const server = net.connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true });
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    void this.#pass(client, server, TO_SERVER);
    void this.#pass(server, client, TO_CLIENT);
  }

  /** Passes bytes on to the end of a direction. */
  async #pass(from, to, way) {
    try {
      for await (const bytes of from) {
        if (this.#delayMs > 0) await later(this.#delayMs);
        await this.#held.get(way)?.released;
        if (to.destroyed) return;
        if (!to.write(bytes)) await once(to, 'drain');
      }
      to.end();
    } catch {
      // The connection is broken, and both ends are closed.
      to.destroy();
    }
  }
}
