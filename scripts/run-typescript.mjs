// node scripts/run-typescript.mjs FILE.ts [ARG…]: runs a TypeScript program of this project without building it.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { registerTypeScript } from './typescript-loader.mjs';

registerTypeScript();
const [file] = process.argv.splice(2, 1);
await import(pathToFileURL(resolve(file)).href);
