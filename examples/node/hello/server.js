'use strict';

const http = require('node:http');
const { version } = require('./package.json');

const server = http.createServer((request, response) => {
  response.setHeader('content-type', 'text/plain');
  if (request.url === '/version') {
    response.end(`v${version}`);
  } else if (request.url === '/echo') {
    request.pipe(response);
  } else {
    response.end(`hello, ${request.url}\n`);
  }
});

process.once('SIGTERM', () => console.log('bye'));

server.listen(process.env.PORT ?? 3000, () => console.log(`listening on ${server.address().port}`));
