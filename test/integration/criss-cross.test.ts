import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { asOid, type Oid } from '../../src/git/ids.js';
import { readCommit } from '../../src/git/objects/commit.js';
import { StagedObjects } from '../../src/git/objects/staged.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { integrate } from '../../src/kb/integrate.js';
import { mergeByLines } from '../../src/kb/merge-contents.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const COMMITTER = { name: 'Kb', email: 'kb@example.com', timestamp: 1_700_000_000, timezone: '+0000' };
const LINES = 15;

type Files = Readonly<Record<string, string>>;

/** Each side has merged the other one's first commit, and goes on from there. */
class CrissCross {
  readonly root = makeTemporaryDirectory();

  constructor() {
    git(this.root, ['init', '-q']);
    git(this.root, ['config', 'merge.renames', 'false']);
  }

  commit(files: Files, ...parents: readonly Oid[]): Oid {
    const entries = Object.entries(files).map(([name, text]) => {
      const blob = git(this.root, ['hash-object', '-w', '--stdin'], { input: text }).trim();
      return `100644 blob ${blob}\t${name}\n`;
    });
    const tree = git(this.root, ['mktree'], { input: entries.join('') }).trim();
    const from = parents.flatMap((parent) => ['-p', parent]);
    return asOid(git(this.root, ['commit-tree', ...from, '-m', 'state', tree]).trim());
  }

  /** The tree of native git's merge; undefined: it leaves conflicts. */
  native(ours: Oid, theirs: Oid): Oid | undefined {
    const merged = git(this.root, ['merge-tree', '--write-tree', '--no-messages', ours, theirs], {
      allowFailure: true,
    });
    return merged.trim().includes('\n') ? undefined : asOid(merged.trim());
  }

  textIn(tree: Oid, name = 'a.md'): string {
    return git(this.root, ['cat-file', 'blob', `${tree}:${name}`]);
  }

  async kb(local: Oid, remote: Oid): Promise<{ tree: Oid; files: (name?: string) => string }> {
    const objects = ObjectStore.open(nodeDisk, join(this.root, '.git'));
    try {
      const staged = new StagedObjects(objects);
      const request = { staged, shallow: new Set<Oid>(), committer: COMMITTER, merge: mergeByLines };
      const { tip } = await integrate({ ...request, local, remote, tracking: undefined });
      staged.persist();
      const { tree } = readCommit(staged, tip as Oid);
      return { tree, files: (name) => this.textIn(tree, name) };
    } finally {
      objects.close();
    }
  }
}

const lines = (changes: Readonly<Record<number, string>> = {}): string =>
  Array.from({ length: LINES }, (_, at) => `${changes[at] ?? `line ${at}`}\n`).join('');

describe.skipIf(!nativeGit.available)('histories that met more than once (needs native git)', () => {
  it.each([
    ['the first', 2],
    ['the second', 12],
  ])('what somebody took back of %s base stays taken back', async (_which, taken) => {
    const site = new CrissCross();
    const root = site.commit({ 'a.md': lines() });
    const [a, b] = [
      site.commit({ 'a.md': lines({ 2: 'A' }) }, root),
      site.commit({ 'a.md': lines({ 12: 'B' }) }, root),
    ];
    const both = { 2: 'A', 12: 'B' };
    const [x, y] = [site.commit({ 'a.md': lines(both) }, a, b), site.commit({ 'a.md': lines(both) }, b, a)];
    const local = site.commit({ 'a.md': lines({ ...both, 7: 'local' }) }, x);
    const remote = site.commit({ 'a.md': lines({ ...both, [taken]: `line ${taken}` }) }, y);
    const merged = await site.kb(local, remote);
    expect(merged.files()).toBe(lines({ ...both, 7: 'local', [taken]: `line ${taken}` }));
    expect(merged.tree).toBe(site.native(local, remote));
  });

  it('a file that somebody deleted after the merge does not come back', async () => {
    const site = new CrissCross();
    const root = site.commit({ 'a.md': lines() });
    const a = site.commit({ 'a.md': lines(), 'new.md': 'new\n' }, root);
    const b = site.commit({ 'a.md': lines({ 12: 'B' }) }, root);
    const both = { 'a.md': lines({ 12: 'B' }), 'new.md': 'new\n' };
    const [x, y] = [site.commit(both, a, b), site.commit(both, b, a)];
    const local = site.commit({ ...both, 'a.md': lines({ 7: 'local', 12: 'B' }) }, x);
    const remote = site.commit({ 'a.md': lines({ 12: 'B' }) }, y);
    expect((await site.kb(local, remote)).tree).toBe(site.native(local, remote));
    expect((await site.kb(remote, local)).tree).toBe(site.native(remote, local));
  });

  it('what the bases contradicted each other in, and the sides decided differently, is a conflict', async () => {
    const site = new CrissCross();
    const root = site.commit({ 'a.md': lines() });
    const [a, b] = [site.commit({ 'a.md': lines({ 7: 'A' }) }, root), site.commit({ 'a.md': lines({ 7: 'B' }) }, root)];
    const local = site.commit({ 'a.md': lines({ 7: 'A' }) }, a, b);
    const remote = site.commit({ 'a.md': lines({ 7: 'B' }) }, b, a);
    await expect(site.kb(local, remote)).rejects.toMatchObject({ code: 'E_CONFLICT' });
    expect(site.native(local, remote)).toBeUndefined();
  });

  it('as a new file of both bases', async () => {
    const site = new CrissCross();
    const root = site.commit({ 'a.md': lines() });
    const [a, b] = [
      site.commit({ 'a.md': lines(), 'n.md': 'it is A\n' }, root),
      site.commit({ 'a.md': lines(), 'n.md': 'it is B\n' }, root),
    ];
    const local = site.commit({ 'a.md': lines(), 'n.md': 'it is A\n' }, a, b);
    const remote = site.commit({ 'a.md': lines(), 'n.md': 'it is B\n' }, b, a);
    await expect(site.kb(local, remote)).rejects.toMatchObject({ code: 'E_CONFLICT' });
  });

  it('merges as native git does where it merges, whatever the sides did', async () => {
    const change = fc.dictionary(fc.nat(4).map(String), fc.constantFrom('red', 'blue'), { maxKeys: 2 });
    const state = (of: Readonly<Record<string, string>>): string =>
      lines(Object.fromEntries(Object.entries(of).map(([at, word]) => [Number(at) * 3, word])));
    const site = new CrissCross();
    await fc.assert(
      fc.asyncProperty(fc.tuple(change, change, change, change), async ([one, two, three, four]) => {
        const root = site.commit({ 'a.md': lines() });
        const [a, b] = [site.commit({ 'a.md': state(one) }, root), site.commit({ 'a.md': state(two) }, root)];
        const joined = site.native(a, b);
        fc.pre(joined !== undefined && a !== b && ![a, b].includes(root));
        const both = site.textIn(joined);
        const [x, y] = [site.commit({ 'a.md': both }, a, b), site.commit({ 'a.md': both }, b, a)];
        const edit = (of: Readonly<Record<string, string>>): string =>
          both
            .split('\n')
            .map((line, at) => (at % 3 === 0 ? (of[String(at / 3)] ?? line) : line))
            .join('\n');
        const local = site.commit({ 'a.md': edit(three) }, x);
        const remote = site.commit({ 'a.md': edit(four) }, y);
        const expected = site.native(local, remote);
        if (expected === undefined) await expect(site.kb(local, remote)).rejects.toMatchObject({ code: 'E_CONFLICT' });
        else expect((await site.kb(local, remote)).tree).toBe(expected);
      }),
      { numRuns: 25 },
    );
  });
});
