/** @type {import('next').NextConfig} */
export default {
  output: 'standalone',
  outputFileTracingRoot: import.meta.dirname,
  // Where the base has it: links and scripts of a page are made with it.
  basePath: '/next',
};
