import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

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
        if (/[\\/]lib[\\/]index\.js$/.test(path)) contents = trimIndex(contents);
        if (/[\\/]lib[\\/]cache\.js$/.test(path)) contents = await inlineVersion(contents, path);
        if (contents !== source) changed += 1;
        return { contents, loader: 'js', resolveDir: dirname(path) };
      });
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
