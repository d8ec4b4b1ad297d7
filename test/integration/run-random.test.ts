import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectSound } from '../support/agree.js';
import { syncOnce, worldOf, write, type Site } from '../support/crash-site.js';
import { git, gitEnvironment, nativeGit } from '../support/native-git.js';
import { leftByRun, makeRunSite, runFailing, runScript, stateOf } from '../support/run-site.js';

const RUNS = Number(process.env['KB_RUN_RUNS'] ?? 25);

const FILES = ['a.md', 'd/b.md', 'd/e/c.md', 'n.md', 'd/n.md', 'x.ign', 'd/y.ign'];
/** What is a file in one state may be a folder in another. */
const PATHS = [...FILES, 'd', 'd/e', 'n.md/in.md', '.gitignore', 'd/.gitignore'];

/** One thing that a person or a command does, as a line of shell. */
const action = fc.oneof(
  fc
    .tuple(fc.constantFrom(...FILES, 'n.md/in.md'), fc.constantFrom('red', 'green', 'blue'))
    .map(([path, word]) => `rm -rf '${path}'; mkdir -p "$(dirname '${path}')" 2>/dev/null; echo ${word} > '${path}'`),
  fc.constantFrom(...FILES).map((path) => `[ -f '${path}' ] && echo more >> '${path}'`),
  fc.constantFrom(...FILES).map((path) => `[ -f '${path}' ] && sed -i '1s/^/top /' '${path}'`),
  fc.constantFrom(...PATHS).map((path) => `rm -rf '${path}'`),
  fc.constantFrom('a.md', 'd/b.md', 'n.md').map((path) => `[ -f '${path}' ] && chmod +x '${path}'`),
  fc
    .constantFrom('a.md', 'd', 'd/e/c.md')
    .map((path) => `rm -rf '${path}'; mkdir -p "$(dirname '${path}')" 2>/dev/null; ln -s inbox '${path}'`),
  fc.constantFrom(...PATHS).map((path) => `git add -A -- '${path}' 2>/dev/null`),
  fc.constantFrom('*.ign', 'n.md', 'd/', '').map((rule) => `echo '${rule}' > .gitignore`),
  fc.constantFrom('b.md', '').map((rule) => `[ -d d ] && echo '${rule}' > d/.gitignore`),
  fc.constantFrom('a.md', 'd/b.md').map((path) => `mv '${path}' "moved-$(basename '${path}')" 2>/dev/null`),
);
const actions = fc.array(action, { maxLength: 6 });

async function makeSite(): Promise<Site> {
  const site = await makeRunSite();
  write(site.kb, { 'a.md': 'a\nb\nc\nd\ne\nf\n', 'd/b.md': 'b\n', 'd/e/c.md': 'c\n', '.gitignore': '*.ign\n' });
  await syncOnce(worldOf(site));
  write(site.kb, { 'x.ign': 'ignored\n', 'd/y.ign': 'ignored\n' });
  return site;
}

function act(site: Site, lines: readonly string[]): void {
  execFileSync('sh', ['-c', `${lines.join('\n')}\ntrue`], { cwd: site.kb, env: gitEnvironment(), stdio: 'ignore' });
}

/** What is at a path on disk. */
function contentOf(site: Site, path: string): string {
  const file = join(site.kb, path);
  let stats: Stats;
  try {
    stats = lstatSync(file);
  } catch {
    return 'nothing';
  }
  if (stats.isSymbolicLink()) return `→ ${readlinkSync(file)}`;
  return stats.isDirectory() ? 'folder' : `${(stats.mode & 0o100) === 0 ? '' : 'x '}${readFileSync(file, 'utf8')}`;
}

describe.skipIf(!nativeGit.available)('kb run, whatever people and command do (needs native git)', () => {
  it('a failed command leaves exactly what was there before it', async () => {
    await fc.assert(
      fc.asyncProperty(actions, actions, fc.constantFrom('stash', 'discard'), async (before, during, onFailure) => {
        const site = await makeSite();
        act(site, before);
        const state = stateOf(site);
        await runFailing(site, `${during.join('\n')}\nexit 1`, { onFailure, env: gitEnvironment() });
        expect(stateOf(site)).toBe(state);
        expect(leftByRun(site)).toEqual([]);
        expectSound(site.kb);
      }),
      { numRuns: RUNS },
    );
  });

  it('one that ends well changes nothing itself, and lands all that it did and nothing that it did not touch', async () => {
    await fc.assert(
      fc.asyncProperty(actions, actions, async (before, during) => {
        const site = await makeSite();
        act(site, before);
        const listed = [...PATHS, 'moved-a.md', 'moved-b.md'];
        const [old, oldState] = [listed.map((path) => contentOf(site, path)), dirtyPaths(site)];
        await runScript(site, `${during.join('\n')}\ntrue`, { env: gitEnvironment() });
        const now = listed.map((path) => contentOf(site, path));
        const dirty = dirtyPaths(site);
        const committed = git(site.kb, ['ls-tree', '-r', '--name-only', 'HEAD']).split('\n');
        for (const [at, path] of listed.entries()) {
          // A deletion that was not committed goes along where the command put something into the folder's place.
          if (
            listed.some(
              (above, other) => path.startsWith(`${above}/`) && !['folder', 'nothing'].includes(now[other] ?? ''),
            )
          )
            continue;
          // Whatever the command did not touch is as committed, or uncommitted, as it was.
          if (old[at] === now[at] && oldState.get(path) === '??')
            expect([path, committed.includes(path)]).toEqual([path, false]);
          else if (old[at] === now[at] && oldState.has(path))
            expect([path, dirty.get(path)]).toEqual([path, oldState.get(path)]);
          // Whatever it changed where nobody had uncommitted edits is in the commit, and so on the remote.
          if (old[at] !== now[at] && !oldState.has(path) && now[at] !== 'folder')
            expect([path, dirty.get(path)]).toEqual([path, undefined]);
        }
        expect(git(site.kb, ['rev-parse', 'main'])).toBe(git(site.remote, ['rev-parse', 'main']));
        expect(leftByRun(site)).toEqual([]);
        expectSound(site.kb);
        expectSound(site.remote);
      }),
      { numRuns: RUNS },
    );
  });
});

/** Uncommitted paths, with what native git says of them. */
function dirtyPaths({ kb }: Site): Map<string, string> {
  const lines = git(kb, ['status', '--porcelain', '--untracked-files=all', '--no-renames']).split('\n');
  return new Map(lines.filter((line) => line !== '').map((line) => [line.slice(3), line.slice(0, 2)]));
}
