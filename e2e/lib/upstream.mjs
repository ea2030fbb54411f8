//! A Node server of event streams that keeps its history: the upstream of tools under test. It can
//! drop connections anywhere, restart, redirect, compress, and answer 204.

import { once } from 'node:events';
import http from 'node:http';
import zlib from 'node:zlib';

import { atEnd } from './cleanup.mjs';
import { freePort } from './port.mjs';

/** Starts it on a free port of loopback; it is closed when the test `t` is over. */
export async function startUpstream(t) {
  const upstream = new Upstream();
  atEnd(t, () => upstream.stop());
  await upstream.start();
  return upstream;
}

class Upstream {
  /** All requests so far: `{ path, headers }`, oldest first. */
  requests = [];
  port = 0;

  #server = null;
  #history = [];
  #streams = new Set();
  #answers = new Map();

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** How many streams are open. */
  get open() {
    return this.#streams.size;
  }

  /** Listens; after `stop`, again on the same port with the same history. */
  async start() {
    this.port ||= await freePort();
    this.#server = http.createServer((request, response) => this.#answer(request, response));
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Stops, and drops every connection. */
  async stop() {
    if (!this.#server?.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** Answers requests for `path` with `handle(request, response)` instead of a stream. */
  answer(path, handle) {
    this.#answers.set(path, handle);
  }

  /** Adds an event to the history, and sends it to every stream. */
  publish(data, { id = String(this.#history.length + 1) } = {}) {
    const text = `${id === '' ? '' : `id: ${id}\n`}data: ${data}\n\n`;
    this.#history.push({ id, text });
    this.#streams.forEach((stream) => stream.send(text));
  }

  /** Sends text to every stream without adding it to the history. */
  send(text) {
    this.#streams.forEach((stream) => stream.send(text));
  }

  /** Drops every stream's connection, after the text already sent. */
  async drop() {
    const streams = [...this.#streams];
    const closed = streams.map((stream) => once(stream.response, 'close'));
    streams.forEach((stream) => stream.flushed().then(() => stream.response.socket?.destroySoon()));
    await Promise.all(closed);
  }

  #answer(request, response) {
    this.requests.push({ path: request.url, headers: request.headers });
    const handle = this.#answers.get(request.url);
    if (handle) return handle(request, response);
    const coding = request.url === '/br' ? { 'content-encoding': 'br' } : {};
    response.writeHead(200, { 'content-type': 'text/event-stream', ...coding });
    const stream = new Stream(response, request.url === '/br');
    this.#streams.add(stream);
    response.on('close', () => this.#streams.delete(stream));
    // Short, so that no test waits for the default of three seconds.
    stream.send('retry: 20\n');
    const place = request.headers['last-event-id'];
    const after = this.#history.findLastIndex((event) => event.id === place);
    if (place) this.#history.slice(after + 1).forEach((event) => stream.send(event.text));
  }
}

/** One stream, optionally compressed with Brotli; every text is flushed, so that it arrives at once. */
class Stream {
  #out;

  constructor(response, compressed) {
    this.response = response;
    this.#out = response;
    if (compressed) {
      this.#out = zlib.createBrotliCompress();
      this.#out.pipe(response);
    }
  }

  send(text) {
    this.#out.write(text);
    if (this.#out !== this.response) this.#out.flush();
    else this.response.flushHeaders();
  }

  /** Resolves when everything sent has reached the socket. */
  flushed() {
    return new Promise((resolve) => {
      if (this.#out === this.response) this.response.write('', resolve);
      else this.#out.flush(() => this.response.write('', resolve));
    });
  }
}
