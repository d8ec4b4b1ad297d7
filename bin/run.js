#!/usr/bin/env node

// Not `import`: for that Node would load everything that can be reached from `fs`, streams first of all.
const builtin = process.getBuiltinModule ?? (await import('node:module')).createRequire(import.meta.url);
const { readFileSync, statSync } = builtin('node:fs');
const { isAbsolute, join } = builtin('node:path');

const { version, engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const oldest = Number(/\d+/.exec(engines.node)[0]);
const argv = process.argv.slice(2);

if (Number.parseInt(process.versions.node, 10) < oldest) {
  process.stderr.write(`kb: Node ${process.versions.node} is too old; kb ${version} needs Node ${oldest} or newer.\n`);
  process.exitCode = 1;
} else if (argv[0] === '--version') {
  // Answered here, before anything else is loaded: prompts and scripts ask this most often.
  const facts = { version, node: process.versions.node, platform: process.platform, arch: process.arch };
  const text = `kb ${version} (node ${facts.node}, ${facts.platform} ${facts.arch})`;
  process.stdout.write(`${argv.includes('--json') ? JSON.stringify({ ok: true, ...facts }) : text}\n`);
} else {
  const cache = ownCacheDirectory();
  if (cache !== undefined) builtin('node:module').enableCompileCache?.(join(cache, 'kb', 'compiled'));
  const { start } = await import('../dist/cli/start.js');
  await start(new URL('..', import.meta.url));
}

/**
 * The code cache holds what is executed later. So it never lies in the shared temporary directory (Node's
 * default), nor in the home of another user, as under a `sudo` that keeps HOME.
 */
function ownCacheDirectory() {
  const { HOME, USERPROFILE, XDG_CACHE_HOME } = process.env;
  const home = HOME || USERPROFILE;
  const cache = XDG_CACHE_HOME || (home && join(home, '.cache'));
  try {
    const isOurs = process.getuid === undefined || statSync(cache).uid === process.getuid();
    return isAbsolute(cache) && isOurs ? cache : undefined;
  } catch {
    return undefined; // no home, or no cache in it: a start without one is 10 ms slower, nothing more
  }
}
