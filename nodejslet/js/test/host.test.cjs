'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');

const { Line, start, waiting } = require('./supervisor.cjs');

/**
 * Has the host start a worker.
 * @param {Line} host
 * @param {number} key
 */
async function worker(host, key) {
  const { folder, server } = await waiting();
  let written = '';
  for (const name of ['stdout', 'stderr']) {
    net
      .createServer((socket) =>
        socket.on('data', (text) => {
          written += text;
        }),
      )
      .listen(path.join(folder, name))
      .unref();
  }
  host.say({ start: { key, folder, heapMib: 48 } });
  const [socket] = await once(server, 'connection');
  server.close();
  return { line: new Line(folder, socket), written: () => written };
}

test('workers run modules beside one another, with an environment and folder of their own, and end alone', async () => {
  const { child, line: host } = await start('host.cjs');
  const [one, two] = [await worker(host, 1), await worker(host, 2)];
  const app = `
    console.log('written');
    const answer = () => JSON.stringify([process.env.GREETING, process.cwd(), process.argv.length]);
    require('http').createServer((_, response) => response.end(answer())).listen(80);`;
  for (const { line } of [one, two]) {
    line.run(app);
    await line.hear('listening');
    assert.deepEqual(JSON.parse(await line.answer()), ['hi', line.folder, 3]);
  }
  assert.equal(one.written(), 'written\n');
  host.say({ terminate: 1 });
  assert.deepEqual(await host.hear('ended'), { ended: 1, how: 'exit code 1' });
  assert.ok(await two.line.answer());
  child.kill();
});

test('a loop is terminated, what was thrown is written and told, and SIGTERM reaches its listeners', async () => {
  const { child, line: host } = await start('host.cjs');
  const [loops, throws, listens] = [await worker(host, 1), await worker(host, 2), await worker(host, 3)];
  loops.line.run('for (;;);');
  throws.line.run(`throw Object.assign(new TypeError('on purpose'), { code: 'E_ON_PURPOSE' })`);
  assert.deepEqual(await host.hear('ended'), { ended: 2, how: 'exit code 1, E_ON_PURPOSE: on purpose' });
  host.say({ terminate: 1 });
  assert.equal((await host.hear('ended')).ended, 1);
  listens.line.run(`process.on('SIGTERM', () => process.exit(9)); setInterval(() => {}, 1000); require('net').createServer().listen(1)`);
  await listens.line.hear('listening');
  listens.line.say({ term: true });
  assert.deepEqual(await host.hear('ended'), { ended: 3, how: 'exit code 9' });
  child.kill();
});

test('a worker that fills its heap ends, and another one goes on', async () => {
  const { child, line: host } = await start('host.cjs');
  const [fills, other] = [await worker(host, 1), await worker(host, 2)];
  other.line.run(`require('http').createServer((_, response) => response.end('on')).listen(0)`);
  await other.line.hear('listening');
  fills.line.run('const kept = []; for (;;) kept.push(new Array(10_000).fill({}).map((_, at) => ({ at })))');
  assert.match((await host.hear('ended')).how, /ERR_WORKER_OUT_OF_MEMORY/);
  assert.equal(await other.line.answer(), 'on');
  child.kill();
});
