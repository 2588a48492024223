export const dynamic = 'force-dynamic';

export const GET = async () => Response.json({ time: Date.now() });
