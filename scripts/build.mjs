/**
 * Makes dist/: one small file a command and one for the library, over shared chunks, so that starting a
 * command reads and evaluates only what it uses. Everything that runs is inside; the installed package has
 * no dependencies. ES modules, because only they can be split: as CommonJS the start of one bundle is about
 * 4 ms faster, but each command would carry its own copy of everything shared.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { fetchBuiltins } from './builtins.mjs';
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

const main = await build({
  ...common,
  entryPoints: {
    index: 'src/index.ts',
    'cli/start': 'src/cli/start.ts',
    ...Object.fromEntries(commands.map((name) => [`commands/${name}`, `src/commands/${name}.ts`])),
  },
  outdir: 'dist',
  splitting: true,
  format: 'esm',
  chunkNames: 'chunks/[name]-[hash]',
  define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' },
  external: ['typescript'], // oclif would transpile a plugin's sources with it; kb has no plugins
  // its ES modules: a CommonJS package that is imported when needed would have a default export only
  alias: { yaml: join(root, 'node_modules/yaml/browser/index.js') },
  plugins: [plainFs, fetchBuiltins(), lazyOclif()],
});

const vendor = await build({
  ...common,
  entryPoints: Object.fromEntries(RARE_PACKAGES.map((name) => [name, oclifCore.resolve(name)])),
  outdir: 'dist/vendor',
  outExtension: { '.js': '.cjs' },
  format: 'cjs',
});

checkNothingIsMissing(main.metafile);
checkWhatStartsLoad(main.metafile);
writeFileSync(join(out, 'THIRD-PARTY-NOTICES.txt'), thirdPartyNotices([main.metafile, vendor.metafile], root));

if (process.argv.includes('--meta')) writeFileSync(join(out, 'meta.json'), JSON.stringify(main.metafile));

// Types for the library only: what src/index.ts reaches.
const typescript = require.resolve('typescript/bin/tsc');
execFileSync(process.execPath, [typescript, '-p', join(root, 'tsconfig.types.json')], { stdio: 'inherit' });
if (!existsSync(join(out, 'types/index.d.ts'))) throw new Error('no types were emitted for the library');

/**
 * A command must not evaluate at its start what only some of its runs need: these packages are imported with
 * `await import()` where they are used. One careless static import would cost every command 10 to 40 ms.
 */
function checkWhatStartsLoad({ outputs }) {
  const lazy = /node_modules\/(isomorphic-git|ora|yaml)\//;
  for (const [name, output] of Object.entries(outputs)) {
    if (output.entryPoint === undefined || !/^dist\/(cli|commands|index)/.test(name)) continue;
    const seen = new Set([name]);
    for (const file of seen) {
      const guilty = Object.keys(outputs[file].inputs).find((input) => lazy.test(input));
      if (guilty !== undefined)
        throw new Error(`${output.entryPoint} loads ${guilty} at its start; use await import()`);
      for (const { path, kind } of outputs[file].imports)
        if (kind === 'import-statement' && path in outputs) seen.add(path);
    }
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
