/**
 * The two files that oclif's own tool makes from the command classes: `manifest`
 * (oclif.manifest.json), `readme` (the command reference between the markers in README.md), and `check`,
 * which makes both in a temporary directory and fails when the project's differ.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const oclif = join(dirname(createRequire(import.meta.url).resolve('oclif/package.json')), 'bin/run.js');
const FILES = { manifest: 'oclif.manifest.json', readme: 'README.md' };

/**
 * Makes both in a copy, so that a failure leaves the project as it was, and with nothing of this user or
 * machine in the environment: defaults of flags must not get into the files.
 */
function generate(use) {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'kb-generated-')));
  try {
    for (const name of ['package.json', 'README.md']) copyFileSync(join(root, name), join(directory, name));
    buildCommands(join(directory, 'dist'));
    run(directory, ['manifest', directory]);
    // Without --no-source-links the reference would name files that the installed package does not have.
    run(directory, ['readme', '--plugin-directory', directory, '--no-source-links']);
    return use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** A module a command, for oclif's tool to load. The installed program holds them all in one file. */
function buildCommands(outdir) {
  const folder = join(root, 'src/commands');
  buildSync({
    entryPoints: readdirSync(folder).map((name) => join(folder, name)),
    outdir,
    outbase: join(root, 'src'),
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['typescript'],
    define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' },
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    logLevel: 'warning',
  });
}

function run(directory, args) {
  const environment = {
    PATH: process.env.PATH,
    HOME: directory,
    OCLIF_SKIP_NEW_VERSION_CHECK: 'true',
    CI: 'true',
    NO_COLOR: '1',
  };
  const result = spawnSync(process.execPath, [oclif, ...args], { cwd: directory, env: environment, encoding: 'utf8' });
  if (result.status !== 0) fail(`oclif ${args.join(' ')} failed:\n${result.stdout}${result.stderr}`);
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

const job = process.argv[2];
if (job === 'check') {
  const stale = generate((directory) =>
    Object.entries(FILES).filter(([, name]) => {
      const [now, wanted] = [join(root, name), join(directory, name)].map((path) =>
        existsSync(path) ? readFileSync(path, 'utf8') : '',
      );
      return now !== wanted;
    }),
  );
  if (stale.length > 0) {
    fail(
      `out of date: ${stale.map(([, name]) => name).join(', ')}; renew with: npm run build && ${stale.map(([kind]) => `npm run ${kind}`).join(' && ')}`,
    );
  }
  process.stdout.write('oclif.manifest.json and README.md are up to date\n');
} else if (Object.hasOwn(FILES, job)) {
  generate((directory) => copyFileSync(join(directory, FILES[job]), join(root, FILES[job])));
  process.stdout.write(`${FILES[job]} written\n`);
} else {
  fail('usage: generated.mjs manifest|readme|check');
}
