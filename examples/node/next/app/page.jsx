import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const dynamic = 'force-dynamic';

export default async function Page() {
  const { version } = JSON.parse(await readFile(join(process.cwd(), 'package.json'), 'utf8'));
  return <p>rendered by v{version}</p>;
}
