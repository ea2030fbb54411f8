//! A plain Node server of event streams, as a backend may have one: a POST to a path is sent to every
//! stream of that path. It can be made faulty.

import { once } from 'node:events';
import http from 'node:http';

import { atEnd } from './cleanup.mjs';

/**
 * Starts it on a free port of loopback; it is closed when the test `t` is over.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context
 * @param {{
 *   chunked?: boolean,
 *   deliver?: (delivery: { data: string, nth: number, stream: number, path: string, streams: object[] }) => string[],
 *   answer?: (request: object, response: object) => boolean,
 * }} options `deliver` returns the chunks for stream number `stream` and the `nth` event, both
 *   counted from 1; `answer` returns whether it has handled the request itself
 */
export async function startBroadcaster(t, { chunked = true, deliver = ({ data }) => [data], answer = () => false } = {}) {
  const topics = new Map();
  const topic = (path) => {
    if (!topics.has(path)) topics.set(path, { history: [], streams: [] });
    return topics.get(path);
  };
  const server = http.createServer((request, response) => {
    if (answer(request, response)) return;
    const { history, streams } = topic(request.url);
    if (request.method === 'GET') {
      // Without chunked encoding, the stream ends with its connection.
      response.useChunkedEncodingByDefault = chunked;
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      response.write('event: hello\ndata: a server may say things of its own\n\n');
      if (request.headers['last-event-id'] === 'earliest') response.write(history.map(block).join(''));
      streams.push(response);
      return;
    }
    request.setEncoding('utf8').toArray().then((pieces) => {
      const data = pieces.join('');
      history.push(data);
      for (const [index, stream] of streams.entries()) {
        const sent = deliver({ data, nth: history.length, stream: index + 1, path: request.url, streams });
        stream.write(sent.map(block).join(''));
      }
      response.writeHead(204).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(t, () => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}/{topic}` };
}

const block = (data) => `data: ${data}\n\n`;
