'use strict';
// Standard output and error of a Node guest: written at once, never closed.

const { Writable } = require('stream');

function makeStream(fd, output) {
  class GuestStream extends Writable {
    // Not through the queue of Writable: a line must be written in the context of the code that prints it.
    write(chunk, encoding, callback) {
      const done = typeof encoding === 'function' ? encoding : callback;
      const known = typeof encoding === 'string' ? encoding : 'utf8';
      output.write(fd, typeof chunk === 'string' ? Buffer.from(chunk, known) : chunk);
      if (typeof done === 'function') process.nextTick(done);
      return true;
    }

    _write(chunk, encoding, callback) {
      output.write(fd, chunk);
      callback();
    }

    _destroy(error, callback) { // like Node's own standard streams
      callback(error);
    }
  }
  return Object.assign(new GuestStream(), { fd });
}

module.exports = { makeStream };
