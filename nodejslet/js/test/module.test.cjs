'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { test } = require('node:test');

const { start } = require('./supervisor.cjs');

test('an application sees its arguments, environment, folder and port, and answers at the socket', async () => {
  const { child, line } = await start('module.cjs');
  line.run(`
    const server = require('http').createServer((request, response) => response.end(JSON.stringify({
      url: request.url, argv: process.argv.slice(2), env: process.env, cwd: process.cwd(), main: require.main === module,
      address: server.address(), keepAliveTimeout: server.keepAliveTimeout,
    })));
    server.listen(8123, 'localhost');`);
  assert.deepEqual(await line.hear('listening'), { listening: 0, port: 8123, tls: false });
  assert.deepEqual(JSON.parse(await line.answer()), {
    url: '/a?b',
    argv: ['--a'],
    env: { GREETING: 'hi' },
    cwd: line.folder,
    main: true,
    address: { address: 'localhost', family: 'IPv4', port: 8123 },
    keepAliveTimeout: 0,
  });
  line.socket.destroy();
  assert.deepEqual(await once(child, 'exit'), [1, null], 'without a supervisor it ends');
});

test('each server that listens is told of, on port 0 too, and one on a socket of its own is left alone', async () => {
  const { child, line } = await start('module.cjs');
  line.run(`
    const { createServer } = require('http');
    const answer = (text) => createServer((_, response) => response.end(text));
    answer('zero').listen(0, () => answer('one').listen({ port: '81' }, () => answer('own').listen(__dirname + '/own')));`);
  const { port } = await line.hear('listening');
  assert.ok(port >= 49152);
  assert.deepEqual(await line.hear('listening'), { listening: 1, port: 81, tls: false });
  assert.deepEqual(await line.hear('aside'), { aside: `${line.folder}/own` });
  assert.deepEqual([await line.answer(0), await line.answer(1)], ['zero', 'one']);
  child.kill();
});

test('a server over TLS is told from others', async () => {
  const { child, line } = await start('module.cjs');
  line.run(`require('https').createServer({}).listen(443)`);
  assert.deepEqual(await line.hear('listening'), { listening: 0, port: 443, tls: true });
  child.kill();
});

test('a handler that is exported serves', async () => {
  const { child, line } = await start('module.cjs');
  line.run(`export default { fetch: (request) => new Response(request.method + ' ' + new URL(request.url).search) }`, 'app.mjs');
  await line.hear('listening');
  assert.equal(await line.answer(), 'GET ?b');
  child.kill();
});

test('an application without server and handler is silent, and TypeScript is refused where types stay', async () => {
  const silent = await start('module.cjs');
  silent.line.run('1');
  await silent.line.hear('silent');
  silent.child.kill();
  if (/** @type {any} */ (process.features).typescript) return;
  const typed = await start('module.cjs');
  typed.line.run('const a: number = 1', 'app.ts');
  assert.match((await typed.line.hear('refused')).refused, /app\.ts is TypeScript/);
  typed.child.kill();
});

test('it says how it is, and drains: the last request ends, and no other begins', async () => {
  const { child, line } = await start('module.cjs');
  line.run(`
    setInterval(() => {}, 1000);
    process.on('SIGTERM', () => process.exit(7));
    require('http').createServer((_, response) => { console.log('asked'); setTimeout(() => response.end('late'), 200); }).listen(0);`);
  await line.hear('listening');
  const answer = line.answer();
  await once(/** @type {import('node:stream').Readable} */ (child.stdout), 'data');
  line.say({ ping: true });
  const { delayMs, engineBytes, handles } = await line.hear('pong');
  assert.ok(delayMs >= 0 && engineBytes > 1e6 && handles > 0);
  line.say({ drain: true });
  await assert.rejects(line.answer());
  assert.equal(await answer, 'late');
  assert.ok(Array.isArray((await line.hear('drained')).handles));
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [7, null]);
});
