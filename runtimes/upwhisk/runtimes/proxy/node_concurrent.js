'use strict';
// Several activations at once in one Node guest: each line of output says whose it is.
//
// `\x01<activation id> <text>` in one system call; after a run the sentinel with the id behind it on both output.

const { AsyncLocalStorage } = require('async_hooks');

const storage = new AsyncLocalStorage();
const nobody = makeRun(undefined);
let output;

function makeRun(message) {
  const id = message === undefined ? undefined : message.activation_id;
  const known = typeof id === 'string' && /^[0-9a-f]{32}$/.test(id);
  return { message: message || {}, prefix: known ? `\x01${id} ` : '', suffix: known ? ` ${id}` : '', partial: { 1: '', 2: '' } };
}

// Bytes are kept as latin1 text, which holds them as they are.
function writeLines(fd, data) {
  const run = storage.getStore() || nobody;
  const lines = (run.partial[fd] + Buffer.from(data).latin1Slice()).split('\n');
  run.partial[fd] = lines.pop();
  for (const line of lines) output.writeAll(fd, Buffer.from(`${run.prefix}${line}\n`, 'latin1'));
}

function endRun(run) {
  for (const fd of [1, 2]) {
    const rest = run.partial[fd];
    run.partial[fd] = '';
    const line = rest === '' ? '' : `${run.prefix}${rest}\n`;
    output.writeAll(fd, Buffer.from(`${line}${output.SENTINEL}${run.suffix}\n`, 'latin1'));
  }
}

function install(ours) {
  output = ours;
  output.write = writeLines;
  require('./node_helper.js').provide(() => (storage.getStore() || nobody).message);
}

function run(message, call, answer) {
  const mine = makeRun(message);
  return storage.run(mine, () => call((code, body) => {
    endRun(mine);
    answer(code, body);
  }));
}

module.exports = { install, run };
