import { builtinModules } from 'node:module';

/**
 * An esbuild plugin that fetches Node's own modules with `process.getBuiltinModule` where the source imports
 * them. An `import` of one makes Node build a module record that reads every export, and reading some loads
 * more (`fs.ReadStream` all streams, `crypto.webcrypto` all of Web Crypto): 4 ms of each start for nothing.
 * Node before 20.16 does not have that function; there `require` does the same.
 */
export function fetchBuiltins() {
  const names = new RegExp(`^(node:)?(${builtinModules.join('|')})$`);
  return {
    name: 'fetch-builtins',
    setup(build) {
      build.onResolve({ filter: names }, ({ path, importer }) =>
        path === 'node:module' && importer.endsWith('kb:require')
          ? { path, external: true }
          : { path: path.replace(/^node:/, ''), namespace: 'builtin' },
      );
      build.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
        contents: `module.exports = require('kb:require').builtin('node:${path}');`,
        resolveDir: '/',
      }));
      build.onResolve({ filter: /^kb:require$/ }, () => ({ path: 'kb:require', namespace: 'kb' }));
      build.onLoad({ filter: /^kb:require$/, namespace: 'kb' }, () => ({ contents: REQUIRE, resolveDir: '/' }));
    },
  };
}

const REQUIRE = `
import { createRequire } from 'node:module';
let requireFile;
/** A file of the package, its path seen from a folder of dist/. */
export const fromPackage = (path) => (requireFile ??= createRequire(import.meta.url))(path);
export const builtin = process.getBuiltinModule ?? fromPackage;
`;
