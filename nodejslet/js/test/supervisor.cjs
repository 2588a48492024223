// A supervisor for tests: starts a script as nodejslet does, and speaks with it.
'use strict';

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

/** A script of ours that was started, and the line to it. */
class Line {
  /** @type {any[]} */
  #told = [];
  /** @type {(() => void) | undefined} */
  #heard;

  /**
   * @param {string} folder where its sockets are
   * @param {net.Socket} socket
   */
  constructor(folder, socket) {
    this.folder = folder;
    this.socket = socket;
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = /** @type {string} */ (lines.pop());
      this.#told.push(...lines.map((line) => JSON.parse(line)));
      this.#heard?.();
    });
  }

  /** @param {object} order */
  say(order) {
    this.socket.write(`${JSON.stringify(order)}\n`);
  }

  /**
   * What is told next that has this member.
   * @param {string} member
   * @returns {Promise<any>}
   */
  async hear(member) {
    for (;;) {
      const at = this.#told.findIndex((told) => member in told);
      if (at >= 0) return this.#told.splice(at, 1)[0];
      await new Promise((resolve) => {
        this.#heard = () => resolve(undefined);
      });
    }
  }

  /**
   * Runs a file of this text.
   * @param {string} text
   * @param {string} name
   */
  run(text, name = 'app.cjs') {
    const main = path.join(this.folder, name);
    fs.writeFileSync(main, text);
    this.say({ run: { main, arguments: ['--a'], cwd: this.folder, environment: { GREETING: 'hi' } }, sockets: this.folder });
  }

  /**
   * What its server of this number answers.
   * @param {number} number
   * @returns {Promise<string>}
   */
  async answer(number = 0) {
    const request = http.get({ socketPath: path.join(this.folder, `${number}`), path: '/a?b', agent: false });
    const [response] = await once(request, 'response');
    let body = '';
    for await (const piece of response) body += piece;
    return body;
  }
}

/** @param {string} [name] the socket to wait at */
async function waiting(name = 'control') {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nodejslet-test-'));
  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  const server = net.createServer();
  server.listen(path.join(folder, name));
  await once(server, 'listening');
  return { folder, server };
}

/**
 * Starts a script in a process.
 * @param {string} script
 */
async function start(script) {
  const { folder, server } = await waiting();
  const env = { ...process.env, NODEJSLET_CONTROL: path.join(folder, 'control') };
  const child = spawn(process.execPath, [path.join(__dirname, '..', script)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [socket] = await once(server, 'connection');
  server.close();
  return { child, line: new Line(folder, socket) };
}

module.exports = { Line, start, waiting };
