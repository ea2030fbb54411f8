// A hub on Node's own http module: a set of responses for each topic, and one write to each.

import { createServer } from 'node:http';

const [host, port] = (process.argv[2] ?? '').split(':');
/** @type {Map<string, Set<import('node:http').ServerResponse>>} */
const topics = new Map();
/** Silence after which a comment is sent, as the HTML standard's notes for authors have it. */
const HEARTBEAT_MS = 15_000;

const server = createServer((request, response) => {
  if (request.method === 'GET') subscribe(request.url, response);
  else publish(request, response);
});
// A load's publishers keep their connections.
server.keepAliveTimeout = 0;
server.listen({ host, port: Number(port), backlog: 4096 });

setInterval(() => topics.forEach((responses) => send(responses, ':\n\n')), HEARTBEAT_MS);

function subscribe(topic, response) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  response.flushHeaders();
  const responses = topics.get(topic) ?? new Set();
  topics.set(topic, responses.add(response));
  response.on('close', () => {
    responses.delete(response);
    if (responses.size === 0) topics.delete(topic);
  });
}

function publish(request, response) {
  let data = '';
  request.setEncoding('utf8');
  request.on('data', (chunk) => (data += chunk));
  request.on('end', () => {
    const text = data.replace(/^/gm, 'data: ');
    send(topics.get(request.url) ?? [], Buffer.from(`${text}\n\n`));
    response.writeHead(204).end();
  });
}

function send(responses, text) {
  for (const response of responses) response.write(text);
}
