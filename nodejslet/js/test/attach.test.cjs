'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');

const attach = path.join(__dirname, '..', 'attach.cjs');

/**
 * `node --require attach.cjs` with a script.
 * @param {string} script
 * @param {Record<string, string>} environment
 */
function run(script, environment = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--require', attach, '-e', script], {
    env: environment,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('where there is no addon the application goes on, and is told', () => {
  const { status, stdout, stderr } = run(`require(${JSON.stringify(attach)}).end().then(() => console.log('ended'))`);
  assert.deepEqual([status, stdout], [0, 'ended\n']);
  assert.match(stderr, /^nodejslet: there is no base, the application goes on without: Cannot find module '.\/nodejslet.node'/);
});

test('what a base has started makes no base', () => {
  const script = `const { env } = process; console.log(env.NODEJSLET_BASE)`;
  assert.deepEqual(run(script, { NODEJSLET_BASE: '7' }), { status: 0, stdout: '7\n', stderr: '' });
});
