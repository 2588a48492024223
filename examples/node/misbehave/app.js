'use strict';

const fs = require('node:fs');
const http = require('node:http');

const how = process.env.MISBEHAVE;
if (how === 'exit') process.exit(4);
if (how === 'throw') throw new Error('it does not start');
if (how === 'end') return;
// A file, as long as which is there it does not come up.
if (how === 'never' || (how && fs.existsSync(how))) {
  setInterval(() => {}, 1_000);
  return;
}

const kept = [];
const faults = {
  '/exit': () => process.exit(3),
  '/throw': () => setImmediate(() => {
    throw new Error('thrown by nobody who catches');
  }),
  '/reject': () => void Promise.reject(new Error('rejected')),
  '/loop': () => {
    for (;;);
  },
  '/heap': () => {
    for (;;) kept.push(new Array(10_000).fill({}).map((_, at) => ({ at })));
  },
  '/stall': () => {
    for (const end = Date.now() + 400; Date.now() < end; );
  },
  '/flood': () => {
    for (;;) kept.push(Buffer.alloc(16 << 20, 1));
  },
  '/buffers': () => setInterval(() => kept.push(Buffer.alloc(4 << 20, 1)), 50),
  '/abort': () => process.abort(),
  '/kill': () => process.kill(process.pid, 'SIGKILL'),
};

http
  .createServer((request, response) => {
    const fault = faults[request.url];
    if (fault) fault();
    else response.end('ok');
  })
  .listen(0);
