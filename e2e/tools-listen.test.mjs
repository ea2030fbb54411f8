//! `tidings listen` against real servers: our own hub behind nginx, a Node server, a Python server.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { atEnd } from './lib/cleanup.mjs';
import { runTidings, startHub, startTidings } from './lib/hub.mjs';
import { startNginx } from './lib/nginx.mjs';
import { Program, run } from './lib/program.mjs';
import { startPython } from './lib/python.mjs';
import { startRelay } from './lib/relay.mjs';
import { makeFolder, startListen } from './lib/tools.mjs';
import { startUpstream } from './lib/upstream.mjs';
import { until } from './lib/wait.mjs';

const TIDINGS = process.env.TIDINGS_BIN ?? path.resolve(import.meta.dirname, '../target/debug/tidings');

/** A hub, and an nginx in front of it with extra lines in its `location`. */
async function startBehindNginx(t, location = '') {
  const hub = await startHub(t, { args: ['--retry', '50ms'] });
  const relay = await startRelay(t, hub.port);
  const nginx = await startNginx(t, { location: `proxy_pass http://127.0.0.1:${relay.port}; ${location}` });
  return { hub, relay, nginx };
}

for (const how of ['reset', 'fin']) {
  test(`behind nginx, a stream cut by ${how} resumes after its last event`, async (t) => {
    const { hub, relay, nginx } = await startBehindNginx(t);
    const listening = startListen(t, [nginx.origin, '--topic', 'news']);
    await listening.line('open');
    for (let n = 1; n <= 5; n += 1) {
      await hub.publish('news', `live ${n}`);
      await listening.event(`live ${n}`);
      relay.refuse();
      relay.cut(how);
      await listening.line('retrying', n);
      await hub.publish('news', `missed ${n}`);
      await relay.accept();
      await listening.event(`missed ${n}`);
    }
    const expected = [1, 2, 3, 4, 5].flatMap((n) => [`live ${n}`, `missed ${n}`]);
    assert.deepEqual(listening.data, expected);
    assert.ok(listening.lines.every((line) => line.kind !== 'gap'));
  });
}

test('behind nginx that compresses, events arrive at once and streams are resumed', async (t) => {
  const { hub, relay, nginx } = await startBehindNginx(t, 'gzip on; gzip_types text/event-stream; gzip_min_length 0;');
  const listening = startListen(t, [`${nginx.origin}/topics/news`]);
  const open = await listening.line('open');
  assert.equal(open.headers['content-encoding'], 'gzip');
  for (const data of ['one', 'two']) {
    await hub.publish('news', data);
    await listening.event(data);
  }
  relay.cut();
  await listening.line('open', 2);
  await hub.publish('news', 'three');
  await listening.event('three');
  assert.deepEqual(listening.data, ['one', 'two', 'three']);
});

for (const stream of ['/events', '/br']) {
  test(`from a Node server, ${stream} dropped in mid-event loses and doubles nothing`, async (t) => {
    const node = await startUpstream(t);
    const listening = startListen(t, [`${node.origin}${stream}`]);
    const open = await listening.line('open');
    assert.equal(open.headers['content-encoding'], stream === '/br' ? 'br' : undefined);
    node.publish('one');
    const { id } = await listening.event('one');
    node.send('id: 99\ndata: half of an ev');
    await node.drop();
    node.publish('two');
    await listening.event('two');
    assert.deepEqual(listening.data, ['one', 'two']);
    assert.equal(id, '1');
    assert.equal(node.requests.at(-1).headers['last-event-id'], '1');
  });
}

test('a 204 ends it for good, with status 0', async (t) => {
  const node = await startUpstream(t);
  const listening = startListen(t, [`${node.origin}/events`]);
  await listening.line('open');
  node.answer('/events', (request, response) => response.writeHead(204).end());
  await node.drop();
  const closed = await listening.line('closed');
  assert.equal(closed.why, 'no_content');
  assert.deepEqual(await listening.ended, { code: 0, signal: null });
  assert.equal(node.requests.length, 2);
});

test('a refusal ends it with status 1 and one sentence with the reason', async (t) => {
  const hub = await startHub(t);
  const ended = await runTidings(['listen', hub.url('/topics/a//b')]);
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, /^tidings: the server refused the stream with 400 Bad Request: .+\n$/);
  assert.equal(ended.stderr.split('\n').length, 2);
});

test('a redirect to another origin is followed without secrets, anew on each reconnection', async (t) => {
  const [first, second] = [await startUpstream(t), await startUpstream(t)];
  first.answer('/old', (request, response) => {
    response.writeHead(307, { location: `${second.origin}/events` }).end();
  });
  const secret = ['-H', 'Authorization: Bearer s3cret', '-H', 'X-Own: s3cret'];
  const listening = startListen(t, [`${first.origin}/old`, ...secret]);
  assert.equal((await listening.line('open')).url, `${second.origin}/events`);
  second.publish('one');
  await listening.event('one');
  await second.drop();
  second.publish('two');
  await listening.event('two');

  assert.deepEqual(listening.data, ['one', 'two']);
  assert.deepEqual(first.requests.map(({ headers }) => headers.authorization), ['Bearer s3cret', 'Bearer s3cret']);
  for (const { headers } of second.requests) assert.ok(!JSON.stringify(headers).includes('s3cret'));
  assert.equal(second.requests[1].headers['last-event-id'], '1');
});

/**
 * A Python server that does things differently: lines end with CRLF, the stream is compressed with
 * gzip, an event is cut off, and the third request is answered 204.
 */
const PYTHON_SERVER = `
import http.server, zlib

class Handler(http.server.BaseHTTPRequestHandler):
    count = 0

    def do_GET(self):
        if self.path == '/moved':
            self.send_response(301)
            self.send_header('Location', '/stream')
            self.end_headers()
            return
        Handler.count += 1
        place = self.headers.get('Last-Event-ID')
        if Handler.count == 3:
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header('Content-Type', 'text/event-stream; charset=utf-8')
        self.send_header('Content-Encoding', 'gzip')
        self.end_headers()
        coder = zlib.compressobj(wbits=31)
        def send(text):
            self.wfile.write(coder.compress(text.encode()) + coder.flush(zlib.Z_SYNC_FLUSH))
        send('retry: 20\\r\\n')
        if place is None:
            send('id: p-1\\r\\ndata: erste\\r\\n\\r\\n')
            send('event: t\\r\\ndata: ohne ID\\r\\n\\r\\n')
            send('id: p-9\\r\\ndata: abgeschn')
        else:
            send('id: p-2\\r\\ndata: nach ' + place + '\\r\\n\\r\\n')

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print('port', server.server_address[1], flush=True)
server.serve_forever()
`;

test('from a Python server that compresses, redirects, cuts events off and ends by 204', async (t) => {
  const python = startPython(t, PYTHON_SERVER);
  const [, port] = await python.printed(/port (\d+)\n/);
  const listening = startListen(t, [`http://127.0.0.1:${port}/moved`]);
  assert.deepEqual(await listening.ended, { code: 0, signal: null });
  assert.deepEqual(listening.events, [
    { kind: 'event', type: 'message', data: 'erste', id: 'p-1' },
    { kind: 'event', type: 't', data: 'ohne ID', id: 'p-1' },
    { kind: 'event', type: 'message', data: 'nach p-1', id: 'p-2' },
  ]);
  assert.equal(listening.lines.at(-1).why, 'no_content');
});

test('with a state file, the next run resumes where the last one was killed', async (t) => {
  const hub = await startHub(t);
  const state = path.join(await makeFolder(t), 'state');
  const args = [hub.origin, '--match', 'news/*', '--state', state];
  await hub.publish('news/a', 'before');

  const first = startListen(t, args);
  await first.line('open');
  // The place is in the file before the first event, because the hub sends it.
  await until('a place in the file', async () => (await readFile(state, 'utf8')).includes('urn:uuid:'));
  await first.stop({ signal: 'SIGKILL' });
  await hub.publish('news/a', 'one');

  const second = startListen(t, args);
  const { id } = await second.event('one');
  await until('its ID in the file', async () => (await readFile(state, 'utf8')).includes(id));
  await second.stop({ signal: 'SIGKILL' });
  await hub.publish('news/b', 'two');

  const third = startListen(t, args);
  await third.event('two');
  assert.deepEqual([first.data, second.data, third.data], [[], ['one'], ['two']]);
  assert.deepEqual(await third.stop({ signal: 'SIGINT' }), { code: 0, signal: null });
  assert.equal(third.lines.at(-1).why, 'by_caller');

  const other = await runTidings(['listen', hub.url('/topics/other'), '--state', state]);
  assert.equal(other.code, 2);
  assert.match(other.stderr, /belongs to another stream/);
});

test('a command gets each event on standard input, one at a time, and its failure is reported', async (t) => {
  const hub = await startHub(t);
  const script = 'test "$TIDINGS_EVENT_ID" != 2 && echo "$TIDINGS_EVENT_TYPE $TIDINGS_EVENT_ID [$(cat)]"';
  const url = hub.url('/topics/news', { last_event_id: 'earliest' });
  for (const id of ['1', '2', '3']) await hub.publish('news', `data\n${id}`, { query: { id, type: 't' } });
  const program = startTidings(t, ['listen', url, '--exec', script]);
  await until('the last event', () => program.stdout.includes('t 3'));
  assert.equal(program.stdout, 't 1 [data\n1]\nt 3 [data\n3]\n');
  assert.match(program.stderr, /^tidings: the command failed for the event with the ID "2": exit status: 1\n$/);
  assert.deepEqual(await program.stop({ signal: 'SIGINT' }), { code: 0, signal: null });
});

test('a command that fails is run again or ends the program, as it is asked', async (t) => {
  const hub = await startHub(t);
  const folder = await makeFolder(t);
  const state = path.join(folder, 'state');
  for (const id of ['1', '2', '3']) await hub.publish('news', id, { query: { id } });
  const args = ['listen', hub.url('/topics/news'), '--last-event-id', 'earliest', '--state', state];

  const once = `data=$(cat); echo "$data"; test "$data" != 2 || test -e ${folder}/tried || ! touch ${folder}/tried`;
  const stopped = await runTidings([...args, '--exec', once, '--on-failure', 'stop']);
  assert.deepEqual([stopped.code, stopped.stdout], [1, '1\n2\n']);
  assert.match(stopped.stderr, /^tidings: the command failed for the event with the ID "2": exit status: 1\n$/);
  const program = startTidings(t, [...args, '--exec', once.replaceAll('/tried', '/again'), '--on-failure', 'retry']);
  await until('the last event', () => program.stdout.endsWith('3\n'));
  // The next run starts with the event that failed.
  assert.equal(program.stdout, '2\n2\n3\n');
  assert.match(program.stderr, /^tidings: the command failed .*; running it again in 1 s\n$/);
});

test('a type and an ID too long for an environment do not stop a command', async (t) => {
  const node = await startUpstream(t);
  const [type, id] = ['t'.repeat(200_000), 'i'.repeat(300_000)];
  const size = `cat >/dev/null; echo "[\${TIDINGS_EVENT_TYPE-unset} \${TIDINGS_EVENT_ID-unset}]"`;
  const program = startTidings(t, ['listen', `${node.origin}/events`, '--exec', size]);
  const json = startTidings(t, ['listen', `${node.origin}/events`, '--json', '--exec', 'wc -c']);
  await until('both to listen', () => node.open === 2);
  node.send(`event: ${type}\nid: ${id}\ndata: large\n\n`);
  node.send('event: u\nid: 2\ndata: small\n\n');
  await until('both events', () => program.stdout.split('\n').length === 3);
  assert.equal(program.stdout, '[unset unset]\n[u 2]\n');
  assert.match(program.stderr, /TIDINGS_EVENT_TYPE is not set: its 200000 bytes are too many.*--json/);
  assert.match(program.stderr, /TIDINGS_EVENT_ID is not set: its 300000 bytes are too many/);
  await until('the size of the first', () => json.stdout.includes('\n'));
  assert.ok(Number(json.stdout.split('\n')[0]) > 500_000, json.stdout);
});

test('a topic alone is that of the hub in the environment', async (t) => {
  const hub = await startHub(t);
  const env = { TIDINGS_HUB: `:${hub.port}` };
  const published = await runTidings(['publish', 'news', 'hi'], { env });
  assert.deepEqual([published.code, published.stderr], [0, '']);
  for (const args of [['news'], ['--topic', 'news'], [`:${hub.port}/topics/news`], ['*']]) {
    const program = startTidings(t, ['listen', ...args, '--last-event-id', 'earliest'], { env });
    await until('the event', () => program.stdout === 'hi\n');
    await program.stop();
  }
});

test('a proxy of the environment is used, but never for loopback', async (t) => {
  const hub = await startHub(t);
  const proxy = await startUpstream(t);
  const env = { HTTP_PROXY: proxy.origin, http_proxy: proxy.origin, NO_PROXY: '', no_proxy: '' };
  const published = await runTidings(['publish', 'news', 'hi', '--hub', hub.origin], { env });
  assert.equal(published.code, 0, published.stderr);
  assert.equal(proxy.requests.length, 0);
  const listening = startListen(t, ['http://news.example/events'], { env });
  await listening.line('open');
  assert.equal(proxy.requests[0].path, 'http://news.example/events');
});

test('a state file that is a mount of its own is written in place', async (t) => {
  const hub = await startHub(t);
  const folder = await makeFolder(t);
  const [state, real] = [path.join(folder, 'state'), path.join(folder, 'real')];
  const script =
    `touch "$2" "$3" && mount --bind "$3" "$2" && exec "$0" listen "$1" --last-event-id earliest --state "$2"`;
  const args = ['-m', 'sh', '-c', script, TIDINGS, hub.url('/topics/news'), state, real];
  await hub.publish('news', 'one', { query: { id: 'own-1' } });
  // Where mounting is not allowed, the file is an ordinary one.
  const mayMount = (await run('unshare', ['-m', 'true'])).code === 0;
  const program = mayMount
    ? new Program('unshare', args)
    : startTidings(t, ['listen', hub.url('/topics/news'), '--last-event-id', 'earliest', '--state', state]);
  atEnd(t, () => program.stop());
  await until('the event', () => program.stdout === 'one\n');
  const file = mayMount ? real : state;
  await until('its ID in the file', async () => (await readFile(file, 'utf8')).includes('own-1'));
  assert.equal(program.stderr, '');
});

test('a server that never answers is left after the idle timeout, which is told in a pipe', async (t) => {
  const node = await startUpstream(t);
  node.answer('/silent', () => {});
  const program = startTidings(t, ['listen', `${node.origin}/silent`, '--idle-timeout', '100ms']);
  await program.printed(/^tidings: no response within 100ms; retrying in [0-9.]+ s\n/);
});

test('a pipe gets the data and nothing else', async (t) => {
  const hub = await startHub(t);
  await hub.publish('news', 'one');
  const url = hub.url('/topics/news', { last_event_id: 'earliest' });
  const program = startTidings(t, ['listen', url]);
  await until('the event', () => program.stdout !== '');
  await program.stop();
  assert.equal(program.output, 'one\n');
});

test('a closed pipe ends it with status 0, also on a quiet topic', async (t) => {
  const hub = await startHub(t);
  const script = '"$0" listen "$1" | head -n 1; echo "status ${PIPESTATUS[0]}"';
  const pipeline = new Program('bash', ['-c', script, TIDINGS, hub.url('/topics/news', { last_event_id: 'earliest' })]);
  atEnd(t, () => pipeline.stop());
  // One event and no more: the program notices although it has nothing to write.
  await hub.publish('news', 'one');
  await pipeline.ended;
  assert.equal(pipeline.output, 'one\nstatus 0\n');
});

test('a terminal gets colors, and no control characters from the stream', async (t) => {
  const hub = await startHub(t);
  await hub.publish('news', 'a\u001b[2Jb', { query: { type: 't' } });
  const url = hub.url('/topics/news', { last_event_id: 'earliest' });
  const terminal = (env) =>
    startPython(t, `import os, pty, sys; os.environ.update(${env}); pty.spawn([sys.argv[1], 'listen', sys.argv[2]])`, [TIDINGS, url]);
  const [, painted] = await terminal('{}').printed(/(.*\[2J.*)\r?\n/);
  assert.match(painted, /^\u001b\[36mt\u001b\[0m {2}a\uFFFD\[2Jb {2}\u001b\[2murn:uuid:/);
  const [, plain] = await terminal("{'NO_COLOR': '1'}").printed(/(.*\[2J.*)\r?\n/);
  assert.match(plain, /^t {2}a\uFFFD\[2Jb {2}urn:uuid:/);
});
