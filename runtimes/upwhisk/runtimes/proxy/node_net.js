'use strict';
// Serving a TCP port, or an inherited socket of any kind.

const net = require('net');

function listen({ fd, port, host }, accept) {
  const server = net.createServer({ noDelay: true }, (socket) => {
    const connection = accept((text, last) => (last ? socket.end(text) : socket.write(text)));
    socket.on('data', (data) => connection.feed(data));
    socket.on('error', () => socket.destroy());
  });
  if (port === undefined) server.listen({ fd: Number(fd || 3) });
  else server.listen(Number(port), host || '0.0.0.0');
}

module.exports = { listen };
