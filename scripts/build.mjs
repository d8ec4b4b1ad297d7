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
import { lazyOclif } from './oclif-lazy.mjs';
import { thirdPartyNotices } from './third-party.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'dist');

const commands = readdirSync(join(root, 'src/commands'), { recursive: true })
  .map((name) => String(name).replaceAll('\\', '/'))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length));

rmSync(out, { recursive: true, force: true });

const result = await build({
  absWorkingDir: root,
  entryPoints: {
    index: 'src/index.ts',
    'cli/start': 'src/cli/start.ts',
    ...Object.fromEntries(commands.map((name) => [`commands/${name}`, `src/commands/${name}.ts`])),
  },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  chunkNames: 'chunks/[name]-[hash]',
  minifySyntax: true,
  minifyWhitespace: true, // names are kept: a stack trace of a user must be readable
  legalComments: 'none', // dist/THIRD-PARTY-NOTICES.txt holds them
  metafile: true,
  alias: { 'graceful-fs': 'node:fs' }, // it patches all of fs at load time, for a lock that needs six calls
  define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' },
  external: ['typescript'], // oclif would transpile a plugin's sources with it; kb has no plugins
  banner: {
    js: "import{createRequire as createRequireForBundle}from'node:module';const require=createRequireForBundle(import.meta.url);",
  },
  plugins: [lazyOclif()],
  logLevel: 'warning',
});

checkWhatStartsLoad(result.metafile);
writeFileSync(join(out, 'THIRD-PARTY-NOTICES.txt'), thirdPartyNotices(result.metafile, root));

if (process.argv.includes('--meta')) writeFileSync(join(out, 'meta.json'), JSON.stringify(result.metafile));

// Types for the library only: what src/index.ts reaches.
const typescript = createRequire(import.meta.url).resolve('typescript/bin/tsc');
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
