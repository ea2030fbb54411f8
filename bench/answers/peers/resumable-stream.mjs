//! A server on the package resumable-stream: a POST to a path begins the stream of its body, which is also its
//! answer, and a GET resumes it.

import { createServer } from 'node:http';
import { Readable } from 'node:stream';

import { createResumableStreamContext } from 'resumable-stream';

const [port, redis] = process.argv.slice(2);
process.env.REDIS_URL = `redis://127.0.0.1:${redis}`;
const streams = createResumableStreamContext({ waitUntil: null });

createServer(async (request, response) => {
  const body = () => Readable.toWeb(request).pipeThrough(new TextDecoderStream());
  const stream =
    request.method === 'POST'
      ? await streams.createNewResumableStream(request.url, body)
      : await streams.resumeExistingStream(request.url);
  response.writeHead(stream ? 200 : 204, { 'Content-Type': 'text/event-stream' });
  if (!stream) return response.end();
  response.flushHeaders();
  Readable.fromWeb(stream.pipeThrough(new TextEncoderStream())).on('error', () => {}).pipe(response);
}).listen(port, '127.0.0.1', () => console.log('listening'));
