/**
 * Makes dist/: the program as one CommonJS file in which each command is evaluated only when it is called for
 * (bin/run.js keeps what V8 compiled of it, which needs one file), and the library as an ES module.
 * Everything that runs is inside; the installed package has no dependencies.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { fetchBuiltins, lateBuiltins } from './builtins.mjs';
import { namedWrappers } from './named-wrappers.mjs';
import { lazyOclif, RARE_PACKAGES } from './oclif-lazy.mjs';
import { thirdPartyNotices } from './third-party.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'dist');
const require = createRequire(import.meta.url);
const oclifCore = createRequire(require.resolve('@oclif/core'));

const commands = readdirSync(join(root, 'src/commands'), { recursive: true })
  .map((name) => String(name).replaceAll('\\', '/'))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length));

rmSync(out, { recursive: true, force: true });

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true, // names are kept: a stack trace of a user must be readable
  legalComments: 'none', // dist/THIRD-PARTY-NOTICES.txt holds them
  metafile: true,
  logLevel: 'warning',
};

/** proper-lockfile's file system: kb gives it its own, so the package that patches all of `fs` when it is loaded is left out. */
const plainFs = {
  name: 'plain-fs',
  setup: ({ onResolve }) => onResolve({ filter: /^graceful-fs$/ }, () => ({ path: 'fs', namespace: 'builtin' })),
};

/** proper-lockfile listens to 17 signals to remove its locks; kb's own exit and signal handlers do that. */
const noSignalHooks = {
  name: 'no-signal-hooks',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^signal-exit$/ }, ({ importer }) =>
      /[\\/]proper-lockfile[\\/]/.test(importer) ? { path: 'signal-exit', namespace: 'none' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'module.exports = () => () => undefined;' }));
  },
};

/** chalk finds out at its start what each stream can show, and loads modules for it; kb tells it (src/cli/paint.ts). */
const givenColours = {
  name: 'given-colours',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^#supports-color$/ }, ({ path }) => ({ path, namespace: 'given' }));
    onLoad({ filter: /.*/, namespace: 'given' }, () => ({
      contents: 'export default { stdout: false, stderr: false };',
    }));
  },
};

/** What only some runs need is a file of its own, so that the others need not even read it. */
const ON_DEMAND = ['ora'];
const onDemand = {
  name: 'on-demand',
  setup: ({ onResolve }) =>
    onResolve({ filter: new RegExp(`^(${ON_DEMAND.join('|')})$`) }, ({ path }) => ({
      path: `../vendor/on-demand/${path}.cjs`,
      external: true,
    })),
};

/** oclif's rare packages, from the file of the program. */
const requireFromPackage = {
  name: 'require-from-package',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^kb:require$/ }, () => ({ path: 'kb:require', namespace: 'kb' }));
    onLoad({ filter: /.*/, namespace: 'kb' }, () => ({
      contents: 'export const fromPackage = (path) => require(path);',
    }));
  },
};

/** Each of these commands by its name, to be imported when it is called for. */
const commandTable = (names) => ({
  name: 'command-table',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^kb:commands$/ }, () => ({ path: 'kb:commands', namespace: 'commands' }));
    onLoad({ filter: /.*/, namespace: 'commands' }, () => ({
      contents: `export const commands = {${names.map((name) => `${JSON.stringify(name.replaceAll('/', ':'))}: () => import('./src/commands/${name}.ts')`).join(',')}};`,
      resolveDir: root,
    }));
  },
});

// yaml as ES modules: of a CommonJS package that is imported when needed, splitting would leave a default export only
const alias = { yaml: join(root, 'node_modules/yaml/browser/index.js') };

/** Run by bin/run.js. */
const asScript = {
  format: 'cjs',
  supported: { 'dynamic-import': false }, // a script that is run by hand can only `require`
  // The function that bin/run.js calls it with, so that it need not copy the file to wrap it.
  banner: { js: '(function (exports, require, module, __filename, __dirname) {' },
  footer: { js: '})' },
};

/** Remotes that are never asked ahead. */
const onlyHttp = {
  name: 'only-http',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/(local|ssh)-remote\.js$/ }, ({ path }) => ({ path, external: true })),
};

const main = await build({
  ...common,
  entryPoints: { index: 'src/index.ts' },
  outdir: 'dist',
  splitting: true,
  format: 'esm',
  chunkNames: 'chunks/[name]-[hash]',
  alias,
  plugins: [plainFs, noSignalHooks, fetchBuiltins()],
});

/** @param name of the file, without its ending */
const buildProgram = (name, names) =>
  build({
    ...common,
    stdin: {
      contents: `import { start as startWith } from './src/cli/start.ts';
      import { commands } from 'kb:commands';
      export const start = (root, question) => startWith(root, { commands, question });
      export const hasCommand = (name) => Object.hasOwn(commands, name);`,
      resolveDir: root,
    },
    outfile: `dist/program/${name}.cjs`,
    ...asScript,
    external: ['typescript'], // oclif would transpile a plugin's sources with it; kb has no plugins
    alias: { ...alias, 'graceful-fs': 'node:fs' }, // as plainFs
    plugins: [
      lateBuiltins('node:crypto', 'node:worker_threads'),
      ...[noSignalHooks, givenColours, onDemand, requireFromPackage, commandTable(names), lazyOclif(), namedWrappers()],
    ],
  });

const program = await buildProgram('kb', commands);
// The command that is started most often, and waited for: what other commands are made of costs its start 2 ms.
const note = await buildProgram('note', ['note']);
const question = await build({
  ...common,
  entryPoints: ['src/cli/ask-first.ts'],
  outfile: 'dist/program/ask.cjs',
  ...asScript,
  alias,
  plugins: [lateBuiltins('node:crypto', 'node:zlib'), onlyHttp, namedWrappers()],
});

const vendor = await build({
  ...common,
  entryPoints: {
    ...Object.fromEntries(RARE_PACKAGES.map((name) => [name, oclifCore.resolve(name)])),
    ...Object.fromEntries(ON_DEMAND.map((name) => [`on-demand/${name}`, name])),
  },
  outdir: 'dist/vendor',
  outExtension: { '.js': '.cjs' },
  format: 'cjs',
});

const metafiles = [main, program, note, question, vendor].map(({ metafile }) => metafile);
checkNothingIsMissing(main.metafile);
checkWhatStartsLoad(program.metafile);
writeFileSync(join(out, 'THIRD-PARTY-NOTICES.txt'), thirdPartyNotices(metafiles, root));

if (process.argv.includes('--meta')) writeFileSync(join(out, 'meta.json'), JSON.stringify(metafiles));

// Types for the library only: what src/index.ts reaches.
const typescript = require.resolve('typescript/bin/tsc');
execFileSync(process.execPath, [typescript, '-p', join(root, 'tsconfig.types.json')], { stdio: 'inherit' });
if (!existsSync(join(out, 'types/index.d.ts'))) throw new Error('no types were emitted for the library');

/**
 * A command must not evaluate at its start what only some of its runs need: these packages are imported with
 * `await import()` where they are used. One careless static import would cost every command 10 to 40 ms.
 */
function checkWhatStartsLoad({ inputs }) {
  const lazy = /(node_modules|on-demand)\/(isomorphic-git|ora|yaml)\b/;
  for (const entry of ['src/cli/start.ts', ...commands.map((name) => `src/commands/${name}.ts`)]) {
    const seen = new Set([entry]);
    for (const file of seen) {
      for (const { path, kind } of inputs[file]?.imports ?? []) {
        if (kind === 'dynamic-import') continue;
        if (lazy.test(path)) throw new Error(`${entry} loads ${path} at its start, by ${file}; use await import()`);
        seen.add(path);
      }
    }
    if (seen.size < 5) throw new Error(`${entry} imports next to nothing: what it loads was not looked at`);
  }
}

/** An external `require` in an ES module fails when it is reached, which no test may do. oclif tries these two in vain. */
function checkNothingIsMissing({ outputs }) {
  for (const [name, { imports }] of Object.entries(outputs)) {
    const missing = imports.find(
      ({ external, kind, path }) => external && kind === 'require-call' && !/^(typescript|pnpapi)$/.test(path),
    );
    if (missing !== undefined) throw new Error(`${name} requires ${missing.path}, which is not in the bundle`);
  }
}
