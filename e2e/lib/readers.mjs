//! Readers of one topic's stream, each as its users write it: they come back until they are told that there is no more.

import { EventSource } from 'eventsource';

import { openPage } from './browser.mjs';
import { atEnd } from './cleanup.mjs';
import { startCurl } from './curl.mjs';
import { listen } from './listen.mjs';
import { startModule } from './node22.mjs';
import { startPython } from './python.mjs';
import { until } from './wait.mjs';

/**
 * Each starts to read `url` and resolves to its `data()`, the data of each event so far, and `away()`, which waits until
 * it has ended for good. A page is one of `origin`.
 */
export const READERS = {
  'an EventSource in Chromium': async (t, { url, origin, browser }) => {
    const { page } = await openPage(browser, origin);
    atEnd(t, () => page.context().close());
    const listener = await listen(page, url);
    return { data: () => listener.data(), away: () => listener.closed() };
  },

  "npm's eventsource": async (t, { url }) => {
    const source = new EventSource(url);
    atEnd(t, () => source.close());
    const data = [];
    source.onmessage = (event) => data.push(event.data);
    return { data: () => data, away: () => until('it to be closed', () => source.readyState === EventSource.CLOSED) };
  },

  curl: async (t, { url }) => {
    const data = [];
    const ended = comeBackWithCurl(t, url, (event) => data.push(event.data));
    ended.catch(() => {});
    return { data: () => data, away: () => ended };
  },

  "Python's httpx-sse": async (t, { url }) => reading(startPython(t, HTTPX_SSE, [url])),
};

/** Reads with one curl after the other, each from the place of the one before. */
async function comeBackWithCurl(t, url, onEvent) {
  const retry = ['--retry', '50', '--retry-delay', '1', '--retry-connrefused'];
  for (let place = ''; ; ) {
    const reader = startCurl(t, [...retry, ...(place ? ['-H', `Last-Event-ID: ${place}`] : []), url]);
    const { status } = await reader.head({ within: 60_000 });
    if (status !== 200) return status;
    for (let event; (event = await reader.event({ within: 60_000 })); ) {
      place = event.id ?? place;
      if (event.type === 'message') onEvent(event);
    }
  }
}

const HTTPX_SSE = `
import json, sys, time, httpx
from httpx_sse import connect_sse
place = {}
with httpx.Client(timeout=None) as client:
    while True:
        try:
            with connect_sse(client, "GET", sys.argv[1], headers=place) as source:
                if source.response.status_code != 200:
                    break
                for event in source.iter_sse():
                    if event.id:
                        place = {"Last-Event-ID": event.id}
                    if event.event == "message":
                        print(json.dumps(event.data))
        except httpx.TransportError:
            time.sleep(0.1)
`;

/** A program that prints the data of each event as a line of JSON, and ends with the stream. */
function reading(program) {
  return {
    data: () => program.stdout.split('\n').slice(0, -1).map((line) => JSON.parse(line)),
    async away() {
      const { code } = await program.ended;
      if (code !== 0) throw new Error(program.stderr);
    },
  };
}

/**
 * Reads a topic of JSON with the AI SDK's WorkflowChatTransport, from index `start` on. The hub's own URLs and headers
 * stand for those that the transport knows, and what is refused is asked again, as a server of its own would do.
 */
export function startWorkflow(t, url, start = 0) {
  return startModule(t, WORKFLOW, [url, start]);
}

const WORKFLOW = `
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowChatTransport } from '@ai-sdk/workflow/client';
const [topic, start] = process.argv.slice(1);
async function ask(url, options) {
  for (;;) {
    try {
      return await fetch(url, options);
    } catch {
      await sleep(100);
    }
  }
}
const transport = new WorkflowChatTransport({
  fetch: async (path, options) => {
    const index = new URL(path, topic).searchParams.get('startIndex');
    const url = new URL(topic);
    url.searchParams.append('gap', 'close');
    url.searchParams.append('start_index', index);
    const answer = await ask(url, options);
    const headers = new Headers(answer.headers);
    headers.set('x-workflow-stream-tail-index', headers.get('stream-tail-index'));
    return new Response(answer.body, { status: answer.status, headers });
  },
  maxConsecutiveErrors: 20,
});
const chunks = await transport.reconnectToStream({ chatId: '1', startIndex: Number(start) });
for await (const chunk of chunks) console.log(JSON.stringify(chunk));
`;
