'use strict';

const http = require('node:http');
const { WebSocketServer } = require('ws');
const { version } = require('./package.json');

const server = http.createServer((request, response) => response.end(`v${version}`));
const sockets = new WebSocketServer({ server });

sockets.on('connection', (socket) => {
  socket.on('message', (text) => socket.send(`v${version}: ${text}`));
});

server.listen(process.env.PORT ?? 3000, () => console.log(`listening on ${server.address().port}`));
