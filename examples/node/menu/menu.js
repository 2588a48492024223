import { readFile } from 'node:fs/promises';

import Fastify from 'fastify';

const { version } = JSON.parse(await readFile(new URL('package.json', import.meta.url), 'utf8'));
const server = Fastify();

server.get('/', async () => ({ dishes: ['soup', 'bread'] }));
server.get('/version', async () => `v${version}`);

await server.listen({ port: 0, host: '127.0.0.1' });
