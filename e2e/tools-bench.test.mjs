//! `tidings bench` against the hub, a plain server, and faulty servers.

import assert from 'node:assert/strict';
import test from 'node:test';

import { startBroadcaster } from './lib/broadcaster.mjs';
import { runTidings, startHub, startTidings } from './lib/hub.mjs';

const NO_FAULTS = { lost: 0, doubled: 0, out_of_order: 0, misdelivered: 0, corrupt: 0, closed: 0 };

/** Runs `tidings bench` with `--json`, and returns how it ended and what it reported. */
async function bench(args) {
  const ended = await runTidings(['bench', ...args, '--json']);
  return { ...ended, report: ended.stdout === '' ? undefined : JSON.parse(ended.stdout) };
}

/** The same for a run without faults. */
async function fine(args) {
  const { code, stderr, report } = await bench(args);
  assert.deepEqual([code, stderr], [0, ''], args.join(' '));
  assert.deepEqual(report.faults, NO_FAULTS);
  return report;
}

test('every scenario runs against the hub and finds no fault', async (t) => {
  const hub = await startHub(t);
  const url = `${hub.origin}/topics/{topic}`;

  const idle = await fine(['idle', url, '--subscribers', '300', '--topics', '7', '--hold', '100ms']);
  assert.deepEqual([idle.scenario, idle.url, idle.connected, idle.topics], ['idle', url, 300, 7]);
  assert.ok(idle.seconds >= 0.1, `${idle.seconds}`);
  assert.equal(idle.deliveries, undefined);

  const one = await fine(['fan-out', url, '--subscribers', '50', '--events', '40']);
  assert.deepEqual([one.deliveries, one.under_way, one.bytes], [2000, 1, 100]);
  const many = await fine([
    'fan-out', url, '--subscribers', '120', '--topics', '40', '--events', '1000', '--under-way', '64', '--bytes', '56',
  ]);
  assert.equal(many.deliveries, 3000);
  for (const { latency_ms: { p50, p90, p99, p999, max } } of [one, many]) {
    assert.ok(0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= p999 && p999 <= max);
  }
  const large = await fine(['fan-out', url, '--subscribers', '3', '--events', '20', '--bytes', '300kB', '--under-way', '4']);
  assert.equal(large.deliveries, 60);

  const churn = await fine(['churn', url, '--connections', '300', '--under-way', '16']);
  assert.equal(churn.connected, 300);
  assert.ok(churn.connections_per_second > 0);

  const replay = await fine(['replay', url, '--events', '500', '--subscribers', '20']);
  assert.deepEqual([replay.connected, replay.deliveries], [20, 10_000]);

  const slow = await fine(['slow', url, '--subscribers', '10', '--stalled', '5', '--events', '50', '--rate', '500/s']);
  assert.equal(slow.deliveries, 1000);
  assert.ok(slow.without_stalled.p99 > 0 && slow.with_stalled.p99 > 0);

  for (const more of [['--connections', '8'], ['--connections', '2', '--pipelined', '16'], ['--batch', '7', '--topics', '3']]) {
    const publish = await fine(['publish', url, '--events', '500', ...more]);
    assert.ok(publish.events_per_second > 0 && publish.latency_ms.p50 > 0);
  }
  const published = (await (await fetch(hub.url('/topics'))).json()).topics.reduce((sum, { events }) => sum + events, 0);
  assert.equal(published, 40 + 1000 + 20 + 500 + 2 * 50 + 3 * 500);
});

test("the server's memory and CPU time are reported", async (t) => {
  const hub = await startHub(t);
  const url = `${hub.origin}/topics/{topic}`;
  const args = ['fan-out', url, '--subscribers', '100', '--events', '200', '--under-way', '8', '--server-pid', String(hub.pid)];
  const { server, load_cpu_seconds: load } = await fine(args);
  assert.ok(server.rss_before > 1e6 && server.rss_peak >= server.rss_connected && server.rss_after > 1e6);
  assert.ok(server.pss_connected > 0 && server.pss_connected <= server.rss_connected);
  assert.ok(server.cpu_seconds >= 0 && load >= 0);
  assert.equal(server.cpu_us_per_delivery, (server.cpu_seconds * 1e6) / 20_000);
  const halves = ['slow', url, '--subscribers', '4', '--stalled', '3', '--events', '200', '--bytes', '8192', '--rate', '500'];
  const { server: slow } = await fine([...halves, '--server-pid', String(hub.pid)]);
  // Each half is 1.6 MB of events, which the hub holds.
  assert.ok(slow.rss_without_stalled >= slow.rss_connected + 1e6, JSON.stringify(slow));
  assert.ok(slow.rss_with_stalled >= slow.rss_without_stalled + 1e6 && slow.rss_peak >= slow.rss_with_stalled);
  assert.ok(slow.tcp_memory_with_stalled >= 0 && slow.tcp_memory_without_stalled >= 0);
  const text = await runTidings(['bench', ...args]);
  assert.match(text.stdout, /^faults +none$/m);
  assert.match(text.stdout, /^deliveries +20,000 in .* \/s$/m);
  assert.match(text.stdout, /^server's memory +\d.* MB before, .* connected, .* peak, .* after$/m);
  const gone = await runTidings(['bench', 'idle', url, '--server-pid', '4194304']);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /^tidings: process 4194304: No such file or directory/);
});

test('any server can be measured, whether its streams end by a last chunk or by closing', async (t) => {
  for (const chunked of [true, false]) {
    const { url } = await startBroadcaster(t, { chunked });
    await fine(['idle', url, '--subscribers', '20', '--topics', '20', '--hold', '50ms']);
    const report = await fine(['fan-out', url, '--subscribers', '20', '--topics', '4', '--events', '100', '--under-way', '8']);
    assert.deepEqual([report.deliveries, report.other_events], [500, 20]);
    await fine(['churn', url, '--connections', '40', '--under-way', '4']);
    assert.equal((await fine(['replay', url, '--events', '100', '--subscribers', '5'])).deliveries, 500);
    await fine(['slow', url, '--subscribers', '4', '--stalled', '2', '--events', '20', '--rate', '1000']);
    await fine(['publish', url, '--events', '100', '--connections', '4', '--pipelined', '4']);
  }
});

test('publishing works with a server that closes after every answer', async (t) => {
  const { url } = await startBroadcaster(t, {
    answer: (request, response) => {
      if (request.method === 'POST') response.setHeader('connection', 'close');
      return false;
    },
  });
  const report = await fine(['fan-out', url, '--subscribers', '2', '--events', '30', '--under-way', '8']);
  assert.equal(report.deliveries, 60);
});

test("a server's faults are found, counted and reported", async (t) => {
  const to = (n, wrong) => ({ data, nth, stream, ...more }) => (nth === 5 && stream === n ? wrong({ data, nth, ...more }) : [data]);
  const args = ['--subscribers', '3', '--events', '10', '--under-way', '4'];
  let held = [];
  const swap = ({ data, nth, stream }) => {
    if (stream !== 1) return [data];
    if (nth === 5) return (held = [data]), [];
    return [data, ...held.splice(0)];
  };
  for (const [what, deliver, faults, sentence, ...more] of [
    ['loses one', to(2, () => []), { lost: 1 }, /^tidings: 1 lost\n$/],
    ['loses the last', ({ data, nth, stream }) => (nth === 10 && stream === 3 ? [] : [data]), { lost: 1 },
      /^tidings: gave up: no progress within 5s; deliveries: 29 of 30\n$/, '--timeout', '5s'],
    ['doubles one', to(1, ({ data }) => [data, data]), { doubled: 1 }, /^tidings: 1 doubled\n$/],
    ['swaps two', swap, { out_of_order: 1 }, /^tidings: 1 out of order\n$/],
    ['alters one', to(3, ({ data }) => [data.replace(/.$/, '!')]), { corrupt: 1, lost: 1 }, /^tidings: 1 lost, 1 corrupt\n$/],
    ['closes one stream', to(1, ({ streams }) => (streams[0].destroy(), [])), { closed: 1 }, /lost, 1 stream closed\n$/],
  ]) {
    const { url } = await startBroadcaster(t, { deliver });
    const { code, stderr, report } = await bench(['fan-out', url, ...args, ...more]);
    assert.equal(code, 1, what);
    for (const [fault, count] of Object.entries(faults)) assert.equal(report.faults[fault], count, `${what}: ${fault}`);
    assert.match(stderr, sentence, what);
    if (more.length > 0) continue;
    const text = await runTidings(['bench', 'fan-out', url, ...args]);
    assert.match(text.stdout, /^FAULTS +\d/m, what);
  }
});

test('an event that arrives on another topic counts as misdelivered', async (t) => {
  const first = {};
  const { url } = await startBroadcaster(t, {
    deliver({ data, nth, path }) {
      first.path ??= path;
      if (path === first.path) return (first.data = data), [data];
      return nth === 5 ? [data, first.data] : [data];
    },
  });
  const { code, stderr, report } = await bench(['fan-out', url, '--subscribers', '2', '--topics', '2', '--events', '20']);
  assert.deepEqual([code, stderr], [1, 'tidings: 1 misdelivered\n']);
  assert.deepEqual(report.faults, { ...NO_FAULTS, misdelivered: 1 });
});

test('refusals are reported with their reason and number', async (t) => {
  let answers = 0;
  const refuse = (method, status, headers = {}) => (request, response) => {
    if (request.method !== method || (answers += 1) <= 2) return false;
    return response.writeHead(status, headers).end('no'), true;
  };
  for (const [scenario, answer, count, cause] of [
    ['idle --subscribers 5', refuse('GET', 429), 3, 'refused with 429 Too Many Requests'],
    ['idle --subscribers 1000', refuse('GET', 503), 100, 'refused with 503 Service Unavailable'],
    ['churn --connections 7', refuse('GET', 200, { 'content-type': 'text/html' }), 5, 'the response is "text/html", not text/event-stream'],
    ['fan-out --subscribers 2 --events 6', refuse('POST', 401), 4, 'refused with 401 Unauthorized'],
    ['publish --events 6 --connections 2', refuse('POST', 413), 4, 'refused with 413 Payload Too Large'],
    ['replay --events 6', refuse('POST', 403), 4, 'refused with 403 Forbidden'],
  ]) {
    answers = 0;
    const { url } = await startBroadcaster(t, { answer });
    const [name, ...args] = scenario.split(' ');
    const { code, stderr, report } = await bench([name, url, ...args]);
    assert.equal(code, 1, scenario);
    assert.ok(report.refused[cause] >= count, `${scenario}: ${JSON.stringify(report.refused)}`);
    assert.match(stderr, /^tidings: (gave up: )?\d+ connections or publishes failed/, scenario);
    assert.equal(report.faults.lost, 0, scenario);
  }
  const unreachable = await runTidings(['bench', 'idle', 'http://127.0.0.1:1/']);
  assert.deepEqual([unreachable.code, unreachable.stdout], [1, '']);
  assert.match(unreachable.stderr, /^tidings: cannot connect to 127\.0\.0\.1:1: Connection refused/);
});

test('a server cannot control the terminal through the report', async (t) => {
  const { url } = await startBroadcaster(t, {
    answer({ method }, response) {
      if (method !== 'GET') return false;
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: \u001b[2J\n\n');
      return true;
    },
  });
  const { code, stdout } = await runTidings(['bench', 'idle', url, '--subscribers', '1', '--hold', '100ms']);
  assert.equal(code, 0);
  assert.match(stdout, /^foreign events +1 event, the first: message: \ufffd\[2J$/m);
});

test('the run ends if the server does not answer', async (t) => {
  const { url } = await startBroadcaster(t, { answer: ({ method }) => method === 'GET' });
  const { code, stderr } = await bench(['idle', url, '--subscribers', '3', '--timeout', '200ms']);
  assert.deepEqual([code, stderr], [1, 'tidings: gave up: no progress within 200ms; streams opened: 0 of 3\n']);
});

test('a signal ends a run early, and its results are reported', async (t) => {
  const hub = await startHub(t);
  const url = `${hub.origin}/topics/{topic}`;
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) {
    const run = startTidings(t, ['bench', 'slow', url, '--events', '100000', '--json', '--progress']);
    // So many that some have been delivered.
    await run.printed(/^events published, without stalled readers: (?:[1-9]\d\d|\d+,)/m);
    run.signal(signal);
    assert.deepEqual(await run.ended, { code, signal: null });
    const report = JSON.parse(run.stdout);
    assert.ok(report.deliveries > 0 && report.without_stalled.p50 > 0, run.stdout);
    assert.deepEqual(report.faults, NO_FAULTS);
    assert.match(run.stderr, new RegExp(`^tidings: interrupted by ${signal}; these are the results so far$`, 'm'));
  }
});

test('invalid arguments are refused before any connection is made', async () => {
  const url = 'http://127.0.0.1:1/{topic}';
  for (const [args, ...sentences] of [
    [[], /Usage: tidings bench/],
    [['fanout', url], /unrecognized subcommand 'fanout'/],
    [['idle'], /<URL>/],
    [['idle', 'nowhere'], /^tidings: nowhere: not an absolute http or https URL/],
    [['idle', url, '--subscribers', '0', '--hold', 'x'], /--subscribers 0: must be a whole number/, /--hold x: must be a time with its unit/],
    [['idle', 'http://127.0.0.1:1/', '--topics', '2'], /put \{topic\} where/],
    [['fan-out', url, '--bytes', '55'], /--bytes 55: must be at least 56/],
    [['slow', url, '--rate', 'fast'], /--rate fast/],
    [['replay', url, '--start', 'x', '--no-start'], /cannot be used with/],
    [['publish', url, '--batch-url', url], /--batch-url/],
    [['churn', url, '-H', 'Authorization'], /--header: must be 'Name: value'/],
  ]) {
    const { code, stdout, stderr } = await runTidings(['bench', ...args]);
    assert.deepEqual([code, stdout], [2, ''], args.join(' '));
    for (const sentence of sentences) assert.match(stderr, sentence);
  }
});

test('the man page and completions list every scenario', async () => {
  const page = await runTidings(['man', 'bench']);
  const { stdout: script } = await runTidings(['completions', 'bash']);
  for (const scenario of ['idle', 'fan-out', 'churn', 'replay', 'slow', 'publish']) {
    assert.ok(page.stdout.includes(`tidings\\-bench\\-${scenario.replace('-', '\\-')}(1)`), scenario);
    assert.match((await runTidings(['man', `bench-${scenario}`])).stdout, /\n\\fB\\-\\-server\\-pid/);
    assert.ok(script.includes(`bench,${scenario}`), scenario);
  }
});
