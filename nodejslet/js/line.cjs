// The line to the supervisor: a Unix socket, a JSON document a line, both ways.
'use strict';

const net = require('node:net');

/**
 * Opens the line. Whoever has lost it ends: without a supervisor nobody reaches what runs here.
 * @param {string} path the socket
 * @param {(message: any) => void} hear is given what the supervisor says
 * @returns {{tell: (message: object) => void, unref: () => void}}
 */
function open(path, hear) {
  const socket = net.connect(path);
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = /** @type {string} */ (lines.pop());
    for (const line of lines) hear(JSON.parse(line));
  });
  socket.on('close', () => process.exit(1));
  socket.on('error', () => process.exit(1));
  return {
    tell: (message) => void socket.write(`${JSON.stringify(message)}\n`),
    unref: () => void socket.unref(),
  };
}

module.exports = { open };
