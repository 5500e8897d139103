'use strict';
// The proxy of Node guests: serves OpenWhisk's /init and /run. Node 20 and later, no packages.
//
//   node node_proxy.js [--fd 3 | --birth SOCKET | --port 8080 [--host 0.0.0.0]]
//
// A start is part of the first call's latency: this file alone serves a plain run and loads nothing that such a run
// does not need. Flags of V8 are not given on the command line, for they make Node drop its built-in code cache.

const fs = require('fs');

const SENTINEL = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX';
const ONCE = 'Cannot initialize the action more than once.';
const MAX_HEAD = 64 * 1024;
const MAX_BODY = 256 * 1024 * 1024;
const REASONS = {
  200: 'OK', 400: 'Bad Request', 403: 'Forbidden', 404: 'Not Found', 405: 'Method Not Allowed',
  411: 'Length Required', 413: 'Payload Too Large', 431: 'Request Header Fields Too Large',
  500: 'Internal Server Error', 502: 'Bad Gateway',
};

// ---- standard output and error

const lineOpen = { 1: false, 2: false };

function writeAll(fd, data) {
  let left = typeof data === 'string' ? Buffer.from(data, 'utf8') : data;
  while (left.length > 0) {
    try {
      left = left.subarray(fs.writeSync(fd, left));
    } catch (error) {
      if (error.code !== 'EAGAIN') return; // the platform no longer reads
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function writePlain(fd, data) {
  if (data.length === 0) return;
  lineOpen[fd] = data[data.length - 1] !== 10;
  writeAll(fd, data);
}

function endRun() {
  for (const fd of [1, 2]) {
    writeAll(fd, `${lineOpen[fd] ? '\n' : ''}${SENTINEL}\n`);
    lineOpen[fd] = false;
  }
}

// What takes the bytes of the streams; concurrency puts another function here.
const output = { SENTINEL, write: writePlain, writeAll };

// Made at their first use: most runs never print, and none before the first answer.
function defineLazily(target, name, make) {
  let value;
  Object.defineProperty(target, name, {
    configurable: true,
    enumerable: target === process,
    get() {
      if (value === undefined) value = make();
      return value;
    },
    set(other) { value = other; },
  });
}

function prepareGlobals() {
  defineLazily(process, 'stdout', () => require('./node_stream.js').makeStream(1, output));
  defineLazily(process, 'stderr', () => require('./node_stream.js').makeStream(2, output));
  defineLazily(globalThis, 'gc', () => {
    require('v8').setFlagsFromString('--expose-gc');
    return require('vm').runInNewContext('gc');
  });
}

// ---- /init and /run

// 'ready' and no handler: waits for /init. 'stopped': init failed or the code threw; the platform drops the guest.
let status = 'ready';
let handler;
let concurrent = null;
const lastFields = Object.create(null);

function failure(code, text) {
  return [code, JSON.stringify({ error: text })];
}

function refuse(text) {
  console.error('Internal system error:', text);
  return failure(403, text);
}

function setVariable(name, value) {
  let text = value;
  if (value === null || value === undefined) text = '';
  else if (typeof value === 'object') text = JSON.stringify(value);
  try {
    process.env[name] = text;
  } catch { /* a name that no environment can hold */ }
}

function init(message, answer) {
  if (handler !== undefined) return answer(...refuse(ONCE));
  if (status !== 'ready') return answer(...refuse(`System not ready, status is ${status}.`));
  const value = message.value && typeof message.value === 'object' ? message.value : {};
  if (typeof value.code !== 'string' || value.code === '') {
    return answer(...failure(403, 'Missing main/no code to execute.'));
  }
  status = 'starting';
  for (const [name, item] of Object.entries(value.env || {})) setVariable(name, item);
  const main = typeof value.main === 'string' && value.main !== '' ? value.main : 'main';
  return load(value, main).then((loaded) => {
    handler = loaded;
    status = 'ready';
    if (process.env.__OW_ALLOW_CONCURRENT === 'true') {
      concurrent = require('./node_concurrent.js');
      concurrent.install(output);
    }
    answer(200, `{"OK":true,"concurrent":${concurrent !== null}}`);
  }).catch((error) => {
    status = 'stopped';
    endRun();
    answer(...failure(502, `Initialization has failed due to: ${error && error.stack ? error.stack : error}`));
  });
}

async function load(value, main) {
  const code = require('./node_code.js');
  const loaded = value.binary ? await code.loadArchive(value.code, main) : code.loadSource(value.code, main);
  if (typeof loaded === 'function') return loaded;
  throw `Action entrypoint '${main}' is not a function.`; // the stock proxy has no stack here either
}

function run(message, answer) {
  if (status !== 'ready') return answer(...refuse(`System not ready, status is ${status}.`));
  if (handler === undefined) return answer(...refuse('System not initialized.'));
  for (const name in message) {
    if (name === 'value' || lastFields[name] === message[name]) continue;
    lastFields[name] = message[name];
    setVariable(`__OW_${name.toUpperCase()}`, message[name]);
  }
  if (concurrent !== null) return concurrent.run(message, (done) => call(message, done), answer);
  status = 'running';
  return call(message, (code, body) => {
    if (status === 'running') status = 'ready';
    endRun();
    answer(code, body);
  });
}

function call(message, done) {
  let result;
  try {
    result = handler(message.value === undefined ? {} : message.value);
  } catch (error) {
    status = 'stopped';
    console.error(error);
    return done(...failure(502, `An error has occurred: ${textOf(error)}`));
  }
  if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
    return Promise.resolve(result).then(
      (value) => done(...encode(value)),
      (error) => done(...encode({ error: error ? require('./node_outcome.js').serialiseError(error) : {} })),
    );
  }
  return done(...encode(result));
}

function textOf(error) {
  try {
    return String(error);
  } catch {
    return 'an object that has no text';
  }
}

function encode(value) {
  const result = value === undefined ? {} : value;
  if (typeof result !== 'object') {
    console.error(`Result must be of type object but has type "${typeof result}":`, result);
    return failure(502, 'The action did not return a dictionary.');
  }
  try {
    const body = JSON.stringify(result);
    if (typeof body === 'string') return [200, body];
  } catch (error) {
    console.error(error);
  }
  return failure(500, 'Internal error.');
}

function dispatch(method, target, body, answer) {
  const route = target === '/run' ? run : target === '/init' ? init : null;
  if (route === null) return answer(...failure(404, 'There are /init and /run.'));
  if (method !== 'POST') return answer(...failure(405, 'Only POST is served here.'));
  let message;
  try {
    message = body.length === 0 ? {} : JSON.parse(body.utf8Slice(0, body.length));
  } catch {
    return answer(...failure(500, 'Bad request.'));
  }
  return route(message === null || typeof message !== 'object' ? {} : message, answer);
}

// ---- HTTP

// One connection: whole requests are taken from what has come so far and answered one after the other. `write` takes
// the text of an answer and whether it is the last one.
class Connection {
  constructor(write) {
    this.write = write;
    this.buffer = Buffer.alloc(0);
    this.chunks = [];
    this.size = 0;
    this.head = null;
    this.busy = false;
  }

  feed(data) {
    this.size += data.length;
    this.chunks.push(data);
    this.next();
  }

  next() {
    if (this.busy || (this.head === null && !this.takeHead()) || this.size < this.head.length) return;
    const { method, target, length, keep } = this.head;
    const body = this.take(length);
    this.head = null;
    this.busy = true;
    dispatch(method, target, body, (code, answer) => {
      this.busy = false;
      this.send(code, answer, keep);
      if (keep && this.size > 0) this.next();
    });
  }

  // All that has come and was not taken, as one buffer.
  joined() {
    if (this.chunks.length > 0) {
      this.buffer = this.buffer.length === 0 && this.chunks.length === 1
        ? this.chunks[0] : Buffer.concat([this.buffer, ...this.chunks], this.size);
      this.chunks = [];
    }
    return this.buffer;
  }

  take(count) {
    const buffer = this.joined();
    this.buffer = buffer.subarray(count);
    this.size -= count;
    return buffer.subarray(0, count);
  }

  takeHead() {
    const end = this.joined().indexOf('\r\n\r\n');
    if (end < 0) return this.size > MAX_HEAD ? this.reject(431, 'The head of the request is too long.') : false;
    const head = this.take(end + 4).latin1Slice(0, end + 2);
    const first = /^([A-Z]+) (\S+) HTTP\/1\.([01])\r\n/.exec(head);
    if (first === null) return this.reject(400, 'This is no HTTP/1.1 request.');
    const found = /\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n/i.exec(head);
    if (found === null && /\r\ntransfer-encoding:/i.test(head)) return this.reject(411, 'A Content-Length is required.');
    const length = found === null ? 0 : Number(found[1]);
    if (length > MAX_BODY) return this.reject(413, 'The body of the request is too large.');
    const keep = first[3] === '1' && !/\r\nconnection:[^\r]*\bclose\b/i.test(head);
    this.head = { method: first[1], target: first[2], length, keep };
    if (length > this.size && /\r\nexpect:[ \t]*100-continue/i.test(head)) {
      this.write('HTTP/1.1 100 Continue\r\n\r\n', false);
    }
    return true;
  }

  reject(code, why) {
    this.busy = true;
    this.send(code, JSON.stringify({ error: why }), false);
    return false;
  }

  send(code, body, keep) {
    const head = `HTTP/1.1 ${code} ${REASONS[code]}\r\nContent-Type: application/json\r\nContent-Length: `;
    this.write(`${head}${Buffer.byteLength(body)}\r\n\r\n${body}`, !keep);
  }
}

function main() {
  const given = {};
  const words = process.argv.splice(1);
  for (let at = 1; at + 1 < words.length; at += 2) given[words[at].slice(2)] = words[at + 1];
  prepareGlobals();
  const accept = (write) => new Connection(write);
  if (given.birth !== undefined) return require('./node_pipe.js').receive(given.birth, accept);
  if (given.port === undefined && require('./node_pipe.js').listen(Number(given.fd || 3), accept)) return;
  require('./node_net.js').listen(given, accept);
}

main();
