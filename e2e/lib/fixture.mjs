//! A tiny server of event streams for the tests of the helpers themselves. All other tests use the hub.

import { once } from 'node:events';
import http from 'node:http';

import { atEnd } from './cleanup.mjs';

/**
 * Starts it on a free port of loopback; it is closed when `t` is over. A GET of `/stream` is
 * answered by a stream that stays open, any other request by an empty page.
 */
export async function startFixture(t, { headers = {} } = {}) {
  const fixture = new Fixture(headers);
  atEnd(t, () => fixture.close());
  await fixture.listen();
  return fixture;
}

class Fixture {
  /** The requests for a stream, oldest first. */
  requests = [];

  #server;
  #streams = new Set();

  constructor(headers) {
    this.#server = http.createServer((request, response) => {
      if (request.url !== '/stream') {
        response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>-</title>');
        return;
      }
      this.requests.push(request);
      this.#streams.add(response);
      response.on('close', () => this.#streams.delete(response));
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', ...headers });
      // Short, so that no test waits for the browser's default.
      response.write('retry:50\n');
    });
  }

  async listen() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = this.#server.address().port;
    this.origin = `http://127.0.0.1:${this.port}`;
  }

  /** How many streams are open. */
  get open() {
    return this.#streams.size;
  }

  /** Writes `text` to every open stream. */
  send(text) {
    this.#streams.forEach((stream) => stream.write(text));
  }

  /** Ends every open stream, as the protocol ends one. */
  end() {
    this.#streams.forEach((stream) => stream.end());
  }

  close() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
