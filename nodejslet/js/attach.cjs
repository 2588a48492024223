// Makes the process that loads it a base: `node --import nodejslet app.js`. The application stays as it is: it listens where it wants, and
// ends when it wants.
'use strict';

const { subscribe } = require('node:diagnostics_channel');
const http = require('node:http');
const path = require('node:path');
const { isMainThread } = require('node:worker_threads');

/** @typedef {{attach(launcher: string, node: string): void, listens(address?: string): void, end(): Promise<void>, leave(): void}} Addon */

/** @returns {Addon | undefined} */
function attach() {
  // Whatever this process starts is no base, but in one.
  process.env.NODEJSLET_BASE = `${process.pid}`;
  try {
    // @ts-ignore it is packed with this
    const addon = /** @type {Addon} */ (require('./nodejslet.node'));
    addon.attach(path.join(__dirname, 'bin', 'nodejslet'), process.execPath);
    return addon;
  } catch (problem) {
    const { message } = /** @type {Error} */ (problem);
    process.stderr.write(`nodejslet: there is no base, the application goes on without: ${message}\n`);
    return undefined;
  }
}

/**
 * Where a server of this machine is reached from it.
 * @param {http.Server} server
 */
function reached(server) {
  const address = server.address();
  if (address === null || typeof address === 'string') return address ?? undefined;
  const { family, port } = address;
  const host = ['0.0.0.0', '::'].includes(address.address) ? '127.0.0.1' : address.address;
  return family === 'IPv6' && host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

const base = isMainThread && process.env.NODEJSLET_BASE === undefined ? attach() : undefined;

if (base) {
  /** What answers what no module does: the first that listens. @type {http.Server | undefined} */
  let own;
  subscribe('tracing:net.server.listen:asyncEnd', (message) => {
    const { server } = /** @type {{server: unknown}} */ (message);
    if (own !== undefined || !(server instanceof http.Server)) return;
    own = server;
    base.listens(reached(server));
    server.once('close', () => {
      own = undefined;
      base.listens();
    });
  });
  process.once('exit', () => base.leave());
}

// Written so that `import { end }` finds it.
exports.end = async () => {
  await base?.end();
};
