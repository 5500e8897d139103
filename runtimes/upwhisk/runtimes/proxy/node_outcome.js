'use strict';
// What a promise was rejected with, as JSON.

const MAX_DEPTH = 20;

function serialiseError(error) {
  if (typeof error === 'function') return `[Function: ${error.name || 'anonymous'}]`;
  return error !== null && typeof error === 'object' ? plain(error, [], 0) : error;
}

function plain(value, above, depth) {
  if (depth > MAX_DEPTH) return '[Too deep]';
  const result = Array.isArray(value) ? [] : {};
  above.push(value);
  for (const [name, item] of Object.entries(value)) {
    if (typeof item === 'function') continue;
    if (Buffer.isBuffer(item)) result[name] = '[object Buffer]';
    else if (item === null || typeof item !== 'object') result[name] = typeof item === 'bigint' ? String(item) : item;
    else result[name] = above.includes(item) ? '[Circular]' : plain(item, above, depth + 1);
  }
  above.pop();
  for (const name of ['name', 'message', 'stack', 'code']) {
    if (typeof value[name] === 'string') result[name] = value[name];
  }
  return result;
}

module.exports = { serialiseError };
