// Runs one module, in a process of its own or in a worker: waits for what to run, has its servers listen where the supervisor reaches
// them, and ends it gracefully. Everything else of the module stays as Node.js has it.
'use strict';

const net = require('node:net');
const path = require('node:path');
const { monitorEventLoopDelay } = require('node:perf_hooks');
const { pathToFileURL } = require('node:url');
const { getHeapStatistics } = require('node:v8');
const { isMainThread, workerData } = require('node:worker_threads');

const { open } = require('./line.cjs');

/** @typedef {{main: string, arguments: string[], cwd: string, environment: Record<string, string>}} Run what to run */

/** @type {Set<net.Server>} */
const servers = new Set();
let listened = 0;
/** @type {Run | undefined} */
let run;
/** The folder of the sockets by which the supervisor reaches servers. */
let sockets = '';

const control = isMainThread ? /** @type {string} */ (process.env.NODEJSLET_CONTROL) : workerData.control;
delete process.env.NODEJSLET_CONTROL;
const line = open(control, (message) => {
  if (message.run) begin(message.run, message.sockets);
  else if (message.drain) drain();
  else if (message.term) end();
  else if (message.ping) pong();
});

const delay = monitorEventLoopDelay({ resolution: 20 });

function pong() {
  const { total_heap_size, external_memory } = getHeapStatistics();
  line.tell({
    pong: true,
    delayMs: delay.max / 1e6,
    handles: process.getActiveResourcesInfo().length,
    engineBytes: total_heap_size + external_memory,
  });
  delay.reset();
}

/**
 * A worker has no folder of its own; one is had by all that asks for it. Relative paths of the file system stay those of the process.
 * @param {string} folder
 */
function workIn(folder) {
  process.cwd = () => folder;
  process.chdir = (to) => {
    folder = path.resolve(folder, to);
  };
}

/** What a process does on `SIGTERM`, in a worker, which gets no signals. */
function end() {
  if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(0);
}

/**
 * @param {Run} wanted
 * @param {string} folder
 */
function begin(wanted, folder) {
  run = wanted;
  sockets = folder;
  // @ts-ignore older versions have no word for it
  if (/\.[cm]?ts$/.test(run.main) && !process.features.typescript) {
    const refused = `${path.basename(run.main)} is TypeScript, and Node.js ${process.version} does not take types off; build it to JavaScript, or start the base with --node and one that does (22.18 or later)`;
    line.tell({ refused });
    return;
  }
  if (isMainThread) process.chdir(run.cwd);
  else workIn(run.cwd);
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, run.environment);
  process.argv = [process.execPath, run.main, ...run.arguments];
  delay.enable();
  line.unref();
  process.once('beforeExit', serveExported);
  // What node itself does with a file on its command line, for both kinds of modules.
  require('node:module').runMain(run.main);
}

const listen = net.Server.prototype.listen;

/**
 * A server that would listen on a port listens on a socket of the supervisor's instead; it is not told.
 * @this {net.Server}
 * @param {any[]} args
 */
net.Server.prototype.listen = function (...args) {
  const first = args[0];
  const callback = typeof args[args.length - 1] === 'function' ? args.pop() : undefined;
  const options = first !== null && typeof first === 'object' ? first : undefined;
  const isPath = typeof first === 'string' && Number.isNaN(Number(first));
  if (run === undefined || isPath || (options && (options.path !== undefined || options.fd !== undefined || options._handle))) {
    if (run !== undefined && (isPath || options?.path !== undefined)) line.tell({ aside: String(isPath ? first : options.path) });
    if (callback) args.push(callback);
    return Reflect.apply(listen, this, args);
  }
  const asked = Number(options ? options.port : first) || 0;
  const number = listened++;
  const socket = path.join(sockets, `${number}`);
  const port = asked || 49152 + ((process.pid + number) % 16384);
  const host = (options ? options.host : typeof args[1] === 'string' ? args[1] : undefined) ?? '127.0.0.1';
  servers.add(this);
  this.address = () => ({ address: host, family: net.isIPv6(host) ? 'IPv6' : 'IPv4', port });
  // A connection of the supervisor's rests for as long as that wants.
  if ('keepAliveTimeout' in this) this.keepAliveTimeout = 0;
  this.once('listening', () => line.tell({ listening: number, port, tls: 'setSecureContext' in this }));
  this.once('close', () => servers.delete(this));
  if (callback) this.once('listening', callback);
  return Reflect.apply(listen, this, [{ path: socket }]);
};

/** A module that ended without a server may have a handler of requests: `export default { fetch }`, or `export function fetch`. */
async function serveExported() {
  const { main } = /** @type {Run} */ (run);
  const exported = await import(pathToFileURL(main).href);
  const handler = [exported, exported.default].map((from) => from?.fetch).find((fetch) => typeof fetch === 'function');
  if (listened > 0) return;
  if (!handler) {
    line.tell({ silent: true });
    return;
  }
  serveFetch((request) => Reflect.apply(handler, exported.default ?? exported, [request]));
}

/** @param {(request: Request) => Promise<Response> | Response} handler */
function serveFetch(handler) {
  const { Readable } = require('node:stream');
  const { pipeline } = require('node:stream/promises');
  const server = require('node:http').createServer(async (incoming, outgoing) => {
    try {
      const url = new URL(incoming.url ?? '/', `http://${incoming.headers.host ?? 'localhost'}`);
      const headers = new Headers();
      for (let at = 0; at < incoming.rawHeaders.length; at += 2) headers.append(incoming.rawHeaders[at], incoming.rawHeaders[at + 1]);
      const hasBody = incoming.method !== 'GET' && incoming.method !== 'HEAD';
      const body = hasBody ? Readable.toWeb(incoming) : undefined;
      const gone = new AbortController();
      outgoing.once('close', () => gone.abort());
      const request = new Request(
        url,
        /** @type {any} */ ({ method: incoming.method, headers, body, duplex: 'half', signal: gone.signal }),
      );
      const response = await handler(request);
      const cookies = response.headers.getSetCookie();
      outgoing.writeHead(response.status, [
        ...[...response.headers].filter(([name]) => name !== 'set-cookie').flat(),
        ...cookies.flatMap((cookie) => ['set-cookie', cookie]),
      ]);
      if (response.body) await pipeline(Readable.fromWeb(/** @type {any} */ (response.body)), outgoing);
      else outgoing.end();
    } catch (problem) {
      console.error(problem);
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(500).end();
    }
  });
  server.listen(0);
}

/** No more connections; those that rest are closed, those at work go on to their end. */
function drain() {
  const still = [...servers];
  let left = still.length;
  const done = () => line.tell({ drained: true, handles: process.getActiveResourcesInfo() });
  if (left === 0) return done();
  for (const server of still) {
    server.close(() => {
      if (--left === 0) done();
    });
    /** @type {any} */ (server).closeIdleConnections?.();
  }
}
