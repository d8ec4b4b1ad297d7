import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listBranches } from '../../src/kb/branch.js';
import { readLog, type LogRequest, type LogResult } from '../../src/kb/log.js';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import {
  addTo,
  appendTo,
  cloneOf,
  errorOf,
  outcomeOf,
  serveSites,
  withSite,
  type QueueSite,
} from '../support/queue-site.js';

const NAMES = ['a.md', 'b.md', 'notes/c.md', 'notes/deep/d.md', 'e.md'];

/** One commit of a random history: what it changes, and how far back its second parent is (0: none). */
interface Step {
  readonly writes: readonly { readonly name: string; readonly text: string | null }[];
  readonly back: number;
  readonly seconds: number;
}

const step = fc.record<Step>({
  writes: fc.array(
    fc.record({
      name: fc.constantFrom(...NAMES),
      text: fc.option(fc.constantFrom('one\n', 'two\n', 'three\n'), { freq: 4 }),
    }),
    { maxLength: 3 },
  ),
  back: fc.integer({ min: 0, max: 4 }),
  seconds: fc.integer({ min: -3, max: 20 }),
});

/** With wrong clocks, two commits in one second, and merges that take one side's files as they are. */
function grow(root: string, steps: readonly Step[]): void {
  git(root, ['init', '-q']);
  let date = 1_700_000_000;
  const stream = steps.map(({ writes, back, seconds }, at) => {
    date += seconds;
    const from = at === 0 ? '' : `from :${at}\n${back > 0 && at - back >= 1 ? `merge :${at - back}\n` : ''}`;
    // No two names ever hold the same: a file that was renamed is told of under its former name, too.
    const files = writes.map(({ name, text }) =>
      text === null ? `D ${name}\n` : `M 644 inline ${name}\ndata ${name.length + text.length}\n${name}${text}\n`,
    );
    // Two lines of work: every other commit goes on from the one before the last.
    const parent = at > 1 && at % 3 === 0 ? from.replace(`from :${at}`, `from :${at - 1}`) : from;
    return `commit refs/heads/main\nmark :${at + 1}\ncommitter A <a@b> ${date} +0000\ndata 5\nstep\n${parent}${files.join('')}\n`;
  });
  git(root, ['fast-import', '--quiet', '--force'], { input: stream.join('') });
  git(root, ['reset', '-q', '--hard', 'main']);
}

const at = (root: string): QueueSite => ({ root, remote: root, url: root, kb: root });
const log = (site: QueueSite, over: Partial<LogRequest> = {}): Promise<LogResult> =>
  withSite(site, {}, (kb) => readLog(kb, { limit: 1000, ...over }));
const idsOf = ({ commits }: LogResult): string[] => commits.map(({ commit }) => commit);
const nativeIds = (root: string, ...args: string[]): string[] =>
  git(root, ['log', '--format=%H', ...args])
    .split('\n')
    .filter((line) => line !== '');

describe.skipIf(!nativeGit.available)('kb log (needs native git)', () => {
  it('tells what git log tells, of all and of each path, in random histories', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 16 }), async (steps) => {
        const root = makeTemporaryDirectory();
        grow(root, steps);
        expect(idsOf(await log(at(root)))).toEqual(nativeIds(root));
        for (const path of [...NAMES, 'notes', 'notes/deep']) {
          const native = nativeIds(root, '--', path);
          const told = await outcomeOf(log(at(root), { path }));
          expect(told.status === 'fulfilled' ? idsOf(told.value) : []).toEqual(native);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('follows a file to its former names, as git log --follow', async () => {
    const root = makeTemporaryDirectory();
    const text = Array.from({ length: 12 }, (_, line) => `line ${line}\n`).join('');
    const states = [
      { 'first.md': text, 'other.md': 'other\n' },
      { 'first.md': `${text}more\n`, 'other.md': 'other\n' },
      { 'notes/second.md': `${text}more\nand more\n`, 'other.md': 'other\n' },
      { 'notes/second.md': `${text}more\nand more\n`, 'other.md': 'changed\n' },
      { 'third.md': `${text}more\nand more\n`, 'other.md': 'changed\n' },
      { 'third.md': `${text}last\n`, 'other.md': 'changed\n' },
    ];
    git(root, ['init', '-q']);
    const stream = states.map((files, n) => {
      const body = Object.entries(files).map(([name, data]) => `M 644 inline ${name}\ndata ${data.length}\n${data}\n`);
      return `commit refs/heads/main\ncommitter A <a@b> ${1_700_000_000 + n} +0000\ndata 5\nstep\ndeleteall\n${body.join('')}\n`;
    });
    git(root, ['fast-import', '--quiet'], { input: stream.join('') });
    git(root, ['reset', '-q', '--hard', 'main']);
    const { commits } = await log(at(root), { path: 'third.md' });
    expect(commits.map(({ commit }) => commit)).toEqual(nativeIds(root, '--follow', '--', 'third.md'));
    expect(commits.map(({ path, from }) => [path, from])).toEqual([
      ['third.md', undefined],
      ['third.md', 'notes/second.md'],
      ['notes/second.md', 'first.md'],
      ['first.md', undefined],
      ['first.md', undefined],
    ]);
    // One that is gone is found under the name that it had.
    expect((await log(at(root), { path: 'first.md' })).commits).toHaveLength(3);
    expect(errorOf(await outcomeOf(log(at(root), { path: 'never.md' })))).toMatchObject({ code: 'E_USAGE' });
    writeFileSync(join(root, 'new.md'), 'not committed\n');
    expect(await log(at(root), { path: 'new.md' })).toMatchObject({ commits: [], more: false });
  });

  it('a commit from a year that no calendar has stops nobody', async () => {
    const root = makeTemporaryDirectory();
    git(root, ['init', '-q']);
    const stream = `commit refs/heads/main\ncommitter A <a@b> 99999999999999 +0000\ndata 5\nstep\nM 644 inline a.md\ndata 2\na\n\n`;
    git(root, ['fast-import', '--quiet', '--date-format=raw-permissive'], { input: stream });
    git(root, ['reset', '-q', '--hard', 'main']);
    const [commit] = (await log(at(root))).commits;
    expect(commit).toMatchObject({ committedAt: null, authoredAt: null, subject: 'step' });
    const { branches } = await withSite(at(root), {}, (kb) => Promise.resolve(listBranches(kb)));
    expect(branches).toMatchObject([{ name: 'main', committedAt: null }]);
  });
});

describe.skipIf(!hasGitHttpBackend())('kb log of a shared KB (needs native git with http-backend)', () => {
  const served = serveSites();

  function growRemote(count: number): void {
    const { remote } = served.site;
    const start = git(remote, ['rev-parse', 'main']).trim();
    const stream = Array.from({ length: count }, (_, n) => {
      const from = n === 0 ? `from ${start}\n` : '';
      return `commit refs/heads/main\ncommitter A <a@b> ${1_800_000_000 + n} +0000\ndata 6\nGrown\n${from}M 644 inline grown.md\ndata 4\n${String(n).padStart(4)}\n`;
    });
    git(remote, ['fast-import', '--quiet', '--force'], { input: stream.join('') });
  }

  async function shallowKb(): Promise<QueueSite> {
    const kb = { ...served.site, kb: join(served.site.root, 'shallow') };
    await cloneOf(kb, kb.kb, 1);
    served.server.reset();
    return kb;
  }

  it('says which commits are on the remote, and what each changed', async () => {
    const { site } = served;
    await addTo(site, { ...appendTo('diary.md', 'local.'), push: false, pull: false });
    const { commits, branch } = await log(site, { files: true });
    expect(branch).toBe('main');
    expect(commits).toMatchObject([
      { landed: false, author: 'Ann', changes: [{ path: 'diary.md', kind: 'modified' }] },
      { landed: true, subject: 'Start', changes: [{ kind: 'added' }, { kind: 'added' }] },
    ]);
  });

  it('fetches as much of the history as it shows', async () => {
    growRemote(300);
    const kb = await shallowKb();
    expect(idsOf(await log(kb, { limit: 1 }))).toHaveLength(1);
    expect(served.server.requests).toEqual([]);
    const newest = await log(kb, { limit: 20 });
    expect(idsOf(newest)).toEqual(nativeIds(served.site.remote, '-n', '20'));
    expect(newest.more).toBe(true);
    expect(Number(git(kb.kb, ['rev-list', '--count', 'HEAD']))).toBe(21);
    // The first commit of the file is the first of all: everything has to be looked at.
    expect(idsOf(await log(kb, { path: 'diary.md' }))).toEqual(nativeIds(served.site.remote, '--', 'diary.md'));
    expect((await log(kb)).commits).toHaveLength(301);
    git(kb.kb, ['fsck', '--strict']);
  });

  it('where history ends, does not take what was there for new', async () => {
    growRemote(3000);
    const kb = await shallowKb();
    const { commits, more } = await log(kb, { path: 'diary.md', limit: 5, fetch: false });
    expect([commits, more]).toEqual([[], true]);
    expect(served.server.requests).toEqual([]);
  });

  it('tells what is here where the remote cannot be reached', async () => {
    growRemote(30);
    const kb = await shallowKb();
    git(kb.kb, ['remote', 'set-url', 'origin', 'http://127.0.0.1:1/kb.git']);
    const warnings: string[] = [];
    const over = {
      report: (event: { kind: string; text?: string }) => void warnings.push(`${event.kind}: ${event.text}`),
    };
    const result = await withSite(kb, { over }, (opened) => readLog(opened, { limit: 20 }));
    expect(result.commits).toHaveLength(1);
    expect(result.more).toBe(true);
    expect(warnings.join('\n')).toContain('warning: older history is not here');
  });
});
