'use strict';
// Serving a Unix socket on the handles that Node's own `net` is made of.
//
// `net` costs 5 ms of a start that takes 25. The handles have been the same from Node 10 to 24; where they are not
// to be had, or the socket is none of theirs, `listen` returns false and `net` is used.

function listen(fd, accept) {
  let server;
  let wrap;
  try {
    const { Pipe, constants } = process.binding('pipe_wrap');
    wrap = process.binding('stream_wrap');
    if (typeof wrap.WriteWrap !== 'function' || wrap.streamBaseState === undefined) return false;
    server = new Pipe(constants.SERVER);
    if (server.open(fd) < 0 || server.listen(511) !== 0) return false;
  } catch {
    return false;
  }
  server.onconnection = (error, handle) => {
    if (handle) serve(handle, wrap, accept);
  };
  return true;
}

function serve(handle, wrap, accept) {
  const { WriteWrap, streamBaseState, kReadBytesOrError, kArrayBufferOffset } = wrap;
  let open = true;
  const close = () => {
    if (open) handle.close();
    open = false;
  };
  const connection = accept((text, last) => {
    if (!open) return;
    const request = new WriteWrap();
    request.handle = handle;
    request.oncomplete = (status) => {
      if (last || status < 0) close();
    };
    const failed = handle.writeUtf8String(request, text) !== 0;
    // What was written at once completes without a call.
    if (failed || (last && !streamBaseState[wrap.kLastWriteWasAsync])) close();
  });
  handle.onread = (data) => {
    const count = streamBaseState[kReadBytesOrError];
    if (count > 0) connection.feed(Buffer.from(data, streamBaseState[kArrayBufferOffset], count));
    else if (count < 0) close();
  };
  handle.readStart();
}

// In a container that an engine made nothing can be inherited: the platform hands the listening socket over the socket
// at `path`. It comes as a handle of the kind above, which Node's public interface gives to children of Node alone.
function receive(path, accept) {
  const { Pipe, PipeConnectWrap, constants } = process.binding('pipe_wrap');
  const wrap = process.binding('stream_wrap');
  const channel = new Pipe(constants.IPC);
  const request = new PipeConnectWrap();
  request.oncomplete = (status) => {
    if (status < 0) throw new Error(`the platform's socket ${path} is out of reach: ${status}`);
    channel.onread = () => {
      const server = channel.pendingHandle;
      if (!server || server.listen(511) !== 0) throw new Error('the platform gave no socket');
      server.onconnection = (error, handle) => {
        if (handle) serve(handle, wrap, accept);
      };
      channel.close();
    };
    channel.readStart();
  };
  if (channel.connect(request, path) < 0) throw new Error(`no socket ${path}`);
}

module.exports = { listen, receive };
