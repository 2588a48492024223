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
 * Where a server of this machine is reached from it; nowhere for a socket without a name among files.
 * @param {http.Server} server
 */
function reached(server) {
  const address = server.address();
  if (address === null) return undefined;
  if (typeof address === 'string') return address.startsWith('\0') ? undefined : path.resolve(address);
  const { family, port } = address;
  const host = ['0.0.0.0', '::'].includes(address.address) ? '127.0.0.1' : address.address;
  return family === 'IPv6' && host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

const base = isMainThread && process.env.NODEJSLET_BASE === undefined ? attach() : undefined;

if (base) {
  /** Those that have begun to listen, in that order. @type {Set<http.Server>} */
  const servers = new Set();
  /** What answers what no module does: the first that listens. */
  const tell = () => {
    const own = [...servers].find((server) => server.listening);
    try {
      base.listens(own && reached(own));
    } catch (problem) {
      process.stderr.write(`nodejslet: the gateway does not reach the application: ${/** @type {Error} */ (problem).message}\n`);
    }
  };
  subscribe('tracing:net.server.listen:asyncEnd', (message) => {
    const { server } = /** @type {{server: unknown}} */ (message);
    if (!(server instanceof http.Server)) return;
    servers.add(server);
    tell();
    server.once('close', () => {
      servers.delete(server);
      tell();
    });
  });
  process.once('exit', () => base.leave());
}

/** @type {Promise<void> | undefined} */
let ended;

// Written so that `import { end }` finds it.
exports.end = () => {
  ended ??= Promise.resolve(base?.end());
  return ended;
};
