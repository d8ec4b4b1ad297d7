// node scripts/run-typescript.mjs FILE.ts [ARG…]: runs a TypeScript program of this project without building it.
import { register } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

register('./typescript-loader.mjs', import.meta.url);
const [file] = process.argv.splice(2, 1);
await import(pathToFileURL(resolve(file)).href);
