import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * What oclif needs for help and errors, each as a CommonJS file of its own in dist/vendor/: parsing them is a
 * third of the cost of loading oclif, and an ordinary run uses none of them.
 */
export const RARE_PACKAGES = [
  'ansi-escapes',
  'ansis',
  'clean-stack',
  'cli-spinners',
  'debug',
  'ejs',
  'indent-string',
  'lilconfig',
  'minimatch',
  'semver',
  'string-width',
  'supports-color',
  'tinyglobby',
  'widest-line',
  'wordwrap',
  'wrap-ansi',
];

/**
 * An esbuild plugin that makes @oclif/core load a part of itself only when that part is first used. The
 * package is CommonJS as TypeScript emits it, with every `require` at the top: starting any command would
 * evaluate the help renderer, the glob library, the template engine and the rest. Here each top-level
 * `const x_1 = require("x")` becomes a function that requires on its first call, and each use of `x_1` a
 * call of it. That is text replacement; the emitted form is regular enough for it, the build fails when
 * hardly any line has that form any more, and test/e2e/package.test.ts runs the result.
 */
export function lazyOclif() {
  let changed = 0;
  return {
    name: 'lazy-oclif',
    setup(build) {
      build.onStart(() => {
        changed = 0;
      });
      build.onLoad({ filter: /[\\/]@oclif[\\/]core[\\/]lib[\\/].*\.js$/ }, async ({ path }) => {
        const source = await readFile(path, 'utf8');
        let contents = makeRequiresLazy(source);
        const part = /[\\/]lib[\\/](.*)\.js$/.exec(path)[1].replaceAll('\\', '/');
        if (part === 'index') contents = trimIndex(contents);
        if (part === 'cache') contents = await inlineVersion(contents, path);
        for (const [from, to] of REPLACEMENTS[part] ?? []) contents = replaceOnce(contents, from, to, part);
        if (contents !== source) changed += 1;
        return { contents, loader: 'js', resolveDir: dirname(path) };
      });
      const rare = new RegExp(`^(${RARE_PACKAGES.join('|')})$`);
      build.onResolve({ filter: rare }, ({ path, importer }) =>
        /[\\/]@oclif[\\/]core[\\/]lib[\\/]/.test(importer) ? { path, namespace: 'rare' } : undefined,
      );
      build.onLoad({ filter: /.*/, namespace: 'rare' }, ({ path }) => ({
        contents: `module.exports = require('kb:require').fromPackage('../vendor/${path}.cjs');`,
        resolveDir: '/',
      }));
      // It looks for WSL in the file system at every start; for oclif that is only a label.
      build.onResolve({ filter: /^wsl-utils$/ }, () => ({ path: 'wsl-utils', namespace: 'stub' }));
      build.onLoad({ filter: /^wsl-utils$/, namespace: 'stub' }, () => ({
        contents: 'export const isWsl = false; export const powerShellPath = async () => "powershell.exe";',
      }));
      build.onEnd((result) => {
        if (result.errors.length > 0 || changed >= 20) return undefined;
        return {
          errors: [{ text: `only ${changed} files of @oclif/core could be made lazy: see scripts/oclif-lazy.mjs` }],
        };
      });
    },
  };
}

/** Single steps of a start that cost a millisecond or more and do nothing for kb. */
const REPLACEMENTS = {
  // A configuration that is already loaded would be loaded once more for the command.
  'config/config': [['if (isConfig(opts)) {', 'if (isConfig(opts)) { if (opts instanceof Config) return opts;']],
  // A logger is made, and the library `debug` loaded for it, although kb's own is set.
  logger: [
    [
      '    else {\n        set(makeLogger(OCLIF_NS));',
      "    else if (!cachedLoggers.has('root')) {\n        set(makeLogger(OCLIF_NS));",
    ],
  ],
  // The thread pool for two small files.
  'util/fs': [['await (0, (promises_1$get()).readFile)(path,', '(0, (node_fs_1$get()).readFileSync)(path,']],
};

function replaceOnce(source, from, to, part) {
  if (source.split(from).length !== 2)
    throw new Error(`@oclif/core/lib/${part}.js has changed: see scripts/oclif-lazy.mjs`);
  return source.replace(from, () => to);
}

const TOP_LEVEL_REQUIRE = /^(?:const|var) (\w+_\d+) = ((?:__import\w+\()?require\(["'][^"']+["']\)\)?);$/gm;

function makeRequiresLazy(source) {
  const names = [...source.matchAll(TOP_LEVEL_REQUIRE)].map((match) => match[1]);
  if (names.length === 0) return source;
  const uses = new RegExp(`\\b(${names.join('|')})\\b(?!\\$)`, 'g');
  return (
    source
      .replace(TOP_LEVEL_REQUIRE, 'let $1$$value; const $1$$get = () => $1$$value ??= $2;')
      // In brackets, because `new x_1$get().default()` would construct the getter.
      .replace(uses, '($1$$get())')
  );
}

/** index.js checks the Node version with `semver` (bin/run.js does that) and loads every part to export it. */
function trimIndex(source) {
  return source
    .replace(/^check(CWD|NodeVersion)\(\);$/gm, '')
    .replace(
      /^exports\.(\w+) = (__importStar\(require\("[^"]+"\)\));$/gm,
      'let $1$$value; Object.defineProperty(exports, "$1", { enumerable: true, get: () => $1$$value ??= $2 });',
    );
}

/** oclif reads its own version from a package.json that is not there in a bundle. */
async function inlineVersion(source, path) {
  const { version } = JSON.parse(await readFile(join(dirname(path), '..', 'package.json'), 'utf8'));
  return source.replace("require('@oclif/core/package.json').version", JSON.stringify(version));
}
