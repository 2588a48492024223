import { readFile } from 'node:fs/promises';

import Router from '@koa/router';
import Koa from 'koa';

const { version } = JSON.parse(await readFile(new URL('package.json', import.meta.url), 'utf8'));
const router = new Router();

router.get('/version', (context) => {
  context.body = `v${version}`;
});
router.get('/greet/:name', (context) => {
  context.body = { greeting: `hello, ${context.params.name}` };
});

new Koa().use(router.routes()).use(router.allowedMethods()).listen(process.env.PORT ?? 3000);
