// Runs modules as threads of this process: a worker for each, which speaks with the supervisor by a line of its own.
'use strict';

const net = require('node:net');
const path = require('node:path');
const { inspect } = require('node:util');
const { Worker } = require('node:worker_threads');

const { open } = require('./line.cjs');

/** @type {Map<number, Worker>} */
const workers = new Map();

const control = /** @type {string} */ (process.env.NODEJSLET_CONTROL);
delete process.env.NODEJSLET_CONTROL;
const line = open(control, (message) => {
  if (message.start) start(message.start);
  else if (message.terminate) workers.get(message.terminate)?.terminate();
});

/** @param {{key: number, folder: string, heapMib: number}} wanted */
function start({ key, folder, heapMib }) {
  const worker = new Worker(path.join(__dirname, 'module.cjs'), {
    workerData: { control: path.join(folder, 'control') },
    argv: [],
    env: {},
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: heapMib },
  });
  workers.set(key, worker);
  const connect = (/** @type {string} */ name) => net.connect(path.join(folder, name)).on('error', () => {});
  const stderr = connect('stderr');
  worker.stdout.pipe(connect('stdout'));
  worker.stderr.pipe(stderr);
  let thrown = '';
  worker.on('error', (/** @type {any} */ error) => {
    // In a process of its own, node would have written it there.
    stderr.write(`${inspect(error)}\n`);
    thrown = `, ${error?.code ?? error?.name ?? 'thrown'}: ${error?.message ?? error}`;
  });
  worker.on('exit', (code) => {
    workers.delete(key);
    line.tell({ ended: key, how: `exit code ${code}${thrown}` });
  });
}
