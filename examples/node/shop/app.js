'use strict';

const express = require('express');
const { version } = require('./package.json');

const app = express();
app.use(express.json());

const items = new Map([['TEA-1', { sku: 'TEA-1', title: 'Tea' }]]);

app.get('/version', (_, response) => response.type('text/plain').send(`v${version}`));
app.get('/items', (_, response) => response.json([...items.values()]));
app.post('/items', (request, response) => {
  const { sku, title } = request.body ?? {};
  if (typeof sku !== 'string' || typeof title !== 'string') {
    response.status(400).json({ problem: 'an item has a sku and a title' });
    return;
  }
  items.set(sku, { sku, title });
  response.status(201).location(`${request.get('x-forwarded-prefix') ?? ''}/items/${sku}`).json(items.get(sku));
});
app.get('/where', (request, response) =>
  response.json({
    argv: process.argv.slice(2),
    cwd: process.cwd(),
    main: require.main === module,
    env: Object.keys(process.env).sort(),
    greeting: process.env.GREETING,
    prefix: request.get('x-forwarded-prefix'),
  }),
);
app.get('/slow', (request, response) => setTimeout(() => response.send('slow'), Number(request.query.ms ?? 30)));

app.listen(process.env.PORT ?? 8090, () => console.log('the shop is open'));
