import { readFile, writeFile } from 'node:fs/promises';

/**
 * An esbuild plugin for bundles of many modules that are evaluated one by one. esbuild wraps each in an object with one
 * method, named for the module's file, so that stack traces show it. Objects with different names are of different
 * shapes to V8, and to make 600 shapes takes 0.7 ms of each start. Here all have the same member, and the name is the
 * function's own: `__esm({"src/cli/start.ts"(){` becomes `__esm({at:function src$cli$start_ts(){`.
 */
export function namedWrappers() {
  return {
    name: 'named-wrappers',
    setup(build) {
      build.onEnd(async ({ errors, metafile }) => {
        if (errors.length > 0) return;
        for (const file of Object.keys(metafile.outputs)) {
          const text = await readFile(file, 'utf8');
          let count = 0;
          const named = text.replace(/\b(__esm|__commonJS)\(\{"([^"]+)"\(/g, (_, wrap, path) => {
            count += 1;
            return `${wrap}({at:function ${nameOf(path)}(`;
          });
          if (count < 20) throw new Error(`${file}: esbuild wraps modules in another way now`);
          await writeFile(file, named);
        }
      });
    },
  };
}

/** An identifier from which the path can be read. */
function nameOf(path) {
  return path
    .replaceAll('-', '$_')
    .replaceAll('@', '$a')
    .replaceAll('/', '$')
    .replace(/[^\w$]/g, '_');
}
