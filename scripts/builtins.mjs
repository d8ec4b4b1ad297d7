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

/** What the sources use of them by name, classes apart; all of it they may import by default. */
const LATE = {
  'node:crypto': { functions: ['createHash', 'createPrivateKey', 'createPublicKey', 'randomBytes', 'sign'] },
  'node:worker_threads': { functions: ['receiveMessageOnPort'], classes: ['MessageChannel', 'Worker'] },
  'node:zlib': { functions: ['createDeflate', 'createInflate', 'deflateSync', 'gzipSync', 'inflateSync'] },
};

/**
 * An esbuild plugin for a CommonJS program that loads modules of Node with the first call of one of their functions:
 * `node:crypto` takes 3 ms, the others 2 ms each, and a command can ask its remote before.
 */
export function lateBuiltins(...names) {
  return {
    name: 'late-builtins',
    setup(build) {
      build.onResolve({ filter: new RegExp(`^(${names.join('|')})$`) }, ({ path, namespace }) =>
        namespace === 'late' ? { path, external: true } : { path, namespace: 'late' },
      );
      build.onLoad({ filter: /.*/, namespace: 'late' }, ({ path }) => ({
        contents: `
          let loaded;
          const late = () => (loaded ??= require('${path}'));
          ${LATE[path].functions.map((name) => `export const ${name} = (...args) => late().${name}(...args);`).join('\n')}
          ${(LATE[path].classes ?? []).map((name) => `export const ${name} = function (...args) { return new (late().${name})(...args); };`).join('\n')}
          export const constants = new Proxy({}, { get: (_, name) => late().constants[name] });
          export default new Proxy({}, { get: (_, name) => late()[name] });
        `,
      }));
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
