//! A network to tamper with: a TCP relay in front of a server that can cut, stall and refuse connections
//! while the server keeps running, and that records request heads.

import { once } from 'node:events';
import net from 'node:net';

import { atEnd } from './cleanup.mjs';
import { freePort } from './port.mjs';

/** Longer heads are not recorded: no server under test accepts one. */
const HEAD_BYTES_MAX = 64 * 1024;

/**
 * Starts a relay on a free port of loopback in front of `port`. It is closed when `t` is over.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 */
export async function startRelay(t, port) {
  const relay = new Relay(port);
  atEnd(t, () => relay.close());
  await relay.accept();
  return relay;
}

class Relay {
  /**
   * The recorded request heads, oldest first, each without its blank line, one character per
   * byte: `Buffer.from(head, 'latin1')` gives the bytes.
   */
  heads = [];
  /** The number of connections accepted so far. */
  accepted = 0;
  /** The relay's own port, constant for its lifetime. */
  port = 0;

  #target;
  #listener = null;
  #pairs = new Set();
  #stalled = false;
  #cutAfter = { bytes: Infinity, how: 'reset' };

  constructor(target) {
    this.#target = target;
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** How many connections are open. */
  get open() {
    return this.#pairs.size;
  }

  /** Listens, again after `refuse`. */
  async accept() {
    if (this.#listener) return;
    this.port ||= await freePort();
    this.#listener = net.createServer({ allowHalfOpen: true }, (client) => this.#connect(client));
    this.#listener.listen(this.port, '127.0.0.1');
    await once(this.#listener, 'listening');
  }

  /** Stops listening: new connections are refused, open ones stay. */
  refuse() {
    this.#listener?.close();
    this.#listener = null;
  }

  /**
   * Ends every open connection on both sides.
   *
   * @param {'reset' | 'fin'} how a reset, or an orderly end in mid-stream
   */
  cut(how = 'reset') {
    for (const { client, server } of this.#pairs) {
      // Node never releases a socket that is reset while its own end is being sent, and then spins
      // instead of exiting.
      if (how === 'reset' && !client.writableEnded) {
        client.resetAndDestroy();
      } else {
        client.destroySoon();
      }
      server.destroy();
    }
    this.#pairs.clear();
  }

  /** Cuts once, after servers have sent `bytes` more; nothing behind them passes. */
  cutAfter(bytes, how = 'reset') {
    this.#cutAfter = { bytes, how };
  }

  /** Stops reading from servers, as a stalled reader does. */
  pause() {
    this.#stalled = true;
    for (const { server } of this.#pairs) server.pause();
  }

  /** Reads on. */
  resume() {
    this.#stalled = false;
    for (const { server } of this.#pairs) server.resume();
  }

  close() {
    this.refuse();
    this.cut();
  }

  #connect(client) {
    this.accepted += 1;
    const server = net.connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { client, server };
    this.#pairs.add(pair);
    const recorder = new HeadRecorder(this.heads);
    client.on('data', (bytes) => recorder.feed(bytes));
    client.pipe(server);
    server.on('data', (bytes) => this.#pass(bytes, pair));
    server.on('end', () => client.end());
    client.on('drain', () => this.#stalled || server.resume());
    if (this.#stalled) server.pause();
    for (const [socket, other] of [[client, server], [server, client]]) {
      // An error on one side is repeated on the other; an orderly end passes through the pipes.
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        if (socket === client) other.destroy();
        if (client.destroyed && server.destroyed) this.#pairs.delete(pair);
      });
    }
  }

  /** Passes on bytes from a server, up to the cut. */
  #pass(bytes, { client, server }) {
    if (client.destroyed) return;
    const { bytes: left, how } = this.#cutAfter;
    if (bytes.length < left) {
      this.#cutAfter.bytes -= bytes.length;
      // A slow reader makes the server wait, as it would without the relay.
      if (!client.write(bytes)) server.pause();
      return;
    }
    client.write(bytes.subarray(0, left));
    this.#cutAfter.bytes = Infinity;
    this.cut(how);
  }
}

/** Extracts the request heads from the bytes of one client connection. */
class HeadRecorder {
  #heads;
  #pending = '';
  #bodyLeft = 0;

  constructor(heads) {
    this.#heads = heads;
  }

  feed(bytes) {
    this.#pending += bytes.toString('latin1');
    for (;;) {
      const skipped = Math.min(this.#bodyLeft, this.#pending.length);
      this.#bodyLeft -= skipped;
      this.#pending = this.#pending.slice(skipped);
      const end = this.#pending.indexOf('\r\n\r\n');
      if (this.#bodyLeft > 0 || end < 0) break;
      const head = this.#pending.slice(0, end);
      this.#heads.push(head);
      this.#pending = this.#pending.slice(end + 4);
      // The end of a body without a length is unknown, so nothing after it is taken for a head.
      this.#bodyLeft = /^transfer-encoding:/im.test(head)
        ? Infinity
        : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    }
    if (this.#bodyLeft === Infinity) this.#pending = '';
    this.#pending = this.#pending.slice(0, HEAD_BYTES_MAX);
  }
}

/** The value of the header `name` in a recorded head, or `undefined`; one character per byte. */
export function header(head, name) {
  const lines = head.split('\r\n').slice(1);
  const line = lines.find((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`));
  return line?.slice(name.length + 1).trim();
}
