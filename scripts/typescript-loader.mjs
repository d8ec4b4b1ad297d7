// Module hooks: `./x.js` beside an `x.ts` is that file, and TypeScript is transformed by esbuild as it is imported.
import { readFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';

export function resolve(specifier, context, next) {
  const isOurs = /^\.{1,2}\/.*\.js$/.test(specifier) && context.parentURL?.endsWith('.ts') === true;
  return next(isOurs ? specifier.replace(/\.js$/, '.ts') : specifier, context);
}

export function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context);
  const sourcefile = fileURLToPath(url);
  const options = { loader: 'ts', format: 'esm', target: 'node20', sourcefile, sourcemap: 'inline' };
  return {
    format: 'module',
    source: transformSync(readFileSync(sourcefile, 'utf8'), options).code,
    shortCircuit: true,
  };
}

/** Node 20 takes hooks only as a module for its loader thread; newer ones want the functions. */
export function registerTypeScript() {
  if (nodeModule.registerHooks === undefined) nodeModule.register(import.meta.url);
  else nodeModule.registerHooks({ resolve, load });
}
