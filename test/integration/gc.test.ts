import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { isKbError, type KbError } from '../../src/errors.js';
import type { Oid } from '../../src/git/ids.js';
import { leadsToDropped, planRepack, removeDoubles, removeDropped, writePacks } from '../../src/git/repack/repack.js';
import { findRoots } from '../../src/git/repack/roots.js';
import { StoredObjects } from '../../src/git/repack/stored-objects.js';
import { lockForGc } from '../../src/kb/gc-lock.js';
import {
  age,
  everything,
  fsck,
  gc,
  has,
  LONG_AGO,
  loosePath,
  makeManyPacks,
  objectFiles,
  packNames,
  strayBlob,
  withKbAt,
} from '../support/gc-site.js';
import { git, gitBuffer, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const TWO_WEEKS_AGO = Date.now() / 1000 - 14 * 24 * 3600;

async function failure(work: Promise<unknown>): Promise<KbError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isKbError(error)) throw new Error(`no KbError: ${String(error)}`);
  return error;
}

describe.skipIf(!nativeGit.available)('kb gc (needs native git)', () => {
  it('puts packs and loose objects into one pack, with what was there and nothing else', async () => {
    const root = makeManyPacks();
    const before = everything(root);
    expect(packNames(root, '.pack')).toHaveLength(3);
    const result = await gc(root);
    expect(result).toMatchObject({ before: { packs: 3 }, after: { packs: 1, looseObjects: 0 }, prunedObjects: 0 });
    expect(result.before.looseObjects).toBeGreaterThan(10);
    expect(result.after.bytes).toBeLessThan(result.before.bytes);
    expect(everything(root)).toEqual(before);
    expect(fsck(root)).toBe('');
    expect(git(root, ['status', '--porcelain'])).toBe('');
  });

  it("makes a pack that git's index-pack and verify-pack take, with the same index byte for byte", async () => {
    const root = makeManyPacks();
    const deltasIn = (name: string): number =>
      git(root, ['verify-pack', '-v', join(root, '.git/objects/pack', name)]).match(/ [0-9a-f]{40}$/gm)?.length ?? 0;
    const deltasBefore = packNames(root, '.pack').reduce((sum, pack) => sum + deltasIn(pack), 0);
    await gc(root);
    const [name = ''] = packNames(root, '.pack');
    const pack = join(root, '.git/objects/pack', name);
    const copy = join(makeTemporaryDirectory(), 'copy.pack');
    writeFileSync(copy, readFileSync(pack));
    git(root, ['index-pack', '--strict', copy]);
    expect(readFileSync(copy.replace('.pack', '.idx'))).toEqual(readFileSync(pack.replace('.pack', '.idx')));
    // Those of the three packs, and new ones for what was loose.
    expect(deltasBefore).toBeGreaterThan(20);
    expect(deltasIn(name)).toBeGreaterThan(deltasBefore + 10);
    git(root, ['repack', '-a', '-d', '-q', '-F']);
    const best = statSync(join(root, '.git/objects/pack', packNames(root, '.pack')[0] ?? '')).size;
    expect(readFileSync(copy).length).toBeLessThan(best * 1.5);
  });

  it('changes nothing when it has just been done', async () => {
    const root = makeManyPacks();
    await gc(root);
    const files = objectFiles(root);
    const times = packNames(root, '').map((name) => statSync(join(root, '.git/objects/pack', name)).mtimeMs);
    expect(await gc(root)).toMatchObject({ before: { packs: 1 }, after: { packs: 1 } });
    expect(objectFiles(root)).toEqual(files);
    expect(packNames(root, '').map((name) => statSync(join(root, '.git/objects/pack', name)).mtimeMs)).toEqual(times);
  });

  it('takes only new objects along the next time, and keeps the chains short enough for git', async () => {
    const root = makeManyPacks();
    for (let round = 0; round < 4; round += 1) {
      writeFileSync(join(root, 'notes/log.md'), 'a line\n'.repeat(100 + round));
      git(root, ['add', '-A']);
      git(root, ['commit', '-q', '-m', `round ${round}`]);
      await gc(root);
    }
    expect(fsck(root)).toBe('');
    expect(packNames(root, '.pack')).toHaveLength(1);
  });

  it('keeps whatever could be referred to', async () => {
    const root = makeManyPacks();
    const gitDir = join(root, '.git');
    const named = new Map<string, string>();
    const stray = (where: string): string => {
      const oid = strayBlob(root, `only in ${where}`, LONG_AGO);
      named.set(where, oid);
      return oid;
    };
    const write = (name: string, text: (oid: string) => string): void => {
      mkdirSync(join(gitDir, name, '..'), { recursive: true });
      writeFileSync(join(gitDir, name), text(stray(name)));
    };
    git(root, ['update-ref', 'refs/kb/anything', stray('refs/kb/anything')]);
    git(root, ['update-ref', 'refs/packed/one', stray('refs/packed/one')]);
    git(root, ['pack-refs', '--all']);
    git(root, ['update-index', '--add', '--cacheinfo', `100644,${stray('the index')},staged.md`]);
    const line = (oid: string): string => `${oid}\n`;
    for (const name of ['MERGE_HEAD', 'ORIG_HEAD', 'AUTO_MERGE', 'rebase-merge/onto', 'sequencer/todo'])
      write(name, line);
    for (const name of ['logs/refs/heads/gone', 'worktrees/other/logs/HEAD', 'worktrees/other/HEAD'])
      write(name, (oid) => `${'0'.repeat(40)} ${oid} A <a@b> 1 +0000\tx\n`);
    for (const name of ['kb/advance.json', 'kb/queue/0123.plan', 'kb/run-abc.json'])
      write(name, (oid) => `{"to":"${oid}"}`);
    const saved = stray('kb/saved/COMMIT.json');
    mkdirSync(join(gitDir, 'kb/saved'), { recursive: true });
    writeFileSync(join(gitDir, `kb/saved/${saved}.json`), '{}');
    const other = join(makeTemporaryDirectory(), 'worktree');
    git(root, ['worktree', 'add', '-q', '--detach', other]);
    git(other, ['update-index', '--add', '--index-version', '4']);
    git(other, ['update-index', '--add', '--cacheinfo', `100644,${stray("a worktree's index")},staged.md`]);
    const gone = strayBlob(root, 'nowhere', LONG_AGO);
    await gc(root);
    expect([...named].filter(([, oid]) => !has(root, oid))).toEqual([]);
    expect(has(root, gone)).toBe(false);
  });

  it('keeps the trees that the index remembers, and what it keeps of resolved conflicts', async () => {
    const root = makeManyPacks();
    writeFileSync(join(root, 'notes/staged.md'), 'staged\n');
    git(root, ['add', '-A']);
    const tree = git(root, ['write-tree']).trim();
    const files = git(root, ['rev-list', '--objects', '--no-object-names', tree]).trim().split('\n');
    for (const oid of files) if (!objectIsPacked(root, oid)) age(loosePath(root, oid), LONG_AGO);
    await gc(root);
    expect(has(root, tree)).toBe(true);
    expect(git(root, ['write-tree']).trim()).toBe(tree);
  });

  it('drops by age only what nothing leads to', async () => {
    const root = makeManyPacks();
    const old = strayBlob(root, 'old', LONG_AGO);
    const young = strayBlob(root, 'young');
    const needed = strayBlob(root, 'old, but a young tree holds it', LONG_AGO);
    const tree = git(root, ['mktree'], { input: `100644 blob ${needed}\tfile\n` }).trim();
    expect(await gc(root)).toMatchObject({ prunedObjects: 1 });
    expect([old, young, needed, tree].map((oid) => has(root, oid))).toEqual([false, true, true, true]);
    for (const oid of [young, needed, tree]) age(loosePath(root, oid), LONG_AGO);
    expect(await gc(root)).toMatchObject({ prunedObjects: 3 });
    expect(fsck(root)).toBe('');
  });

  it('keeps what nothing leads to in a cruft pack until it is old, if it was in a pack', async () => {
    const root = makeManyPacks();
    const ids = ['one', 'two'].map((text) => strayBlob(root, `${text} ${'x'.repeat(500)}`));
    packThese(root, ids);
    for (const oid of ids) rmSync(loosePath(root, oid));
    await gc(root);
    expect(packNames(root, '.mtimes')).toHaveLength(1);
    expect(ids.map((oid) => has(root, oid))).toEqual([true, true]);
    const files = objectFiles(root);
    await gc(root);
    expect(objectFiles(root)).toEqual(files);
    expect(fsck(root)).toBe('');
    // Git reads the ages: told to prune what is older than an hour, it keeps them.
    git(root, ['repack', '--cruft', '--cruft-expiration=1.hour.ago', '-d', '-q']);
    expect(ids.map((oid) => has(root, oid))).toEqual([true, true]);
    // In a month they go.
    const later = { wall: () => Date.now() + 30 * 24 * 3600 * 1000 };
    const clock = { ...(await import('../../src/kb/surroundings.js')).systemClock, ...later };
    expect(await gc(root, {}, { clock })).toMatchObject({ prunedObjects: 2, after: { packs: 1 } });
    expect(ids.map((oid) => has(root, oid))).toEqual([false, false]);
    expect(fsck(root)).toBe('');
  });

  it('honours gc.pruneExpire', async () => {
    const root = makeManyPacks();
    const old = strayBlob(root, 'old', LONG_AGO);
    git(root, ['config', 'gc.pruneExpire', 'never']);
    await gc(root);
    expect(has(root, old)).toBe(true);
    git(root, ['config', 'gc.pruneExpire', '29.days.ago']);
    expect(await gc(root)).toMatchObject({ prunedObjects: 1 });
    git(root, ['config', 'gc.pruneExpire', 'whenever']);
    expect(await failure(gc(root))).toMatchObject({ code: 'E_USAGE' });
  });

  it('drops nothing while an index cannot be read', async () => {
    const root = makeManyPacks();
    const old = strayBlob(root, 'old', LONG_AGO);
    mkdirSync(join(root, '.git/worktrees/broken'), { recursive: true });
    writeFileSync(join(root, '.git/worktrees/broken/index'), 'DIRC broken, and longer than a checksum of 20 bytes');
    const warnings: string[] = [];
    const report = (event: { kind: string; text?: string }): void => {
      if (event.kind === 'warning') warnings.push(event.text ?? '');
    };
    expect(await gc(root, {}, { report })).toMatchObject({ prunedObjects: 0, after: { packs: 1 } });
    expect(has(root, old)).toBe(true);
    expect(warnings.join()).toContain('worktrees/broken/index');
  });

  it('leaves packs alone that have a .keep, and packs nothing that is in them', async () => {
    const root = makeManyPacks();
    const [kept = ''] = packNames(root, '.pack');
    writeFileSync(join(root, '.git/objects/pack', kept.replace('.pack', '.keep')), '');
    const before = everything(root);
    await gc(root);
    expect(packNames(root, '.pack')).toContain(kept);
    expect(packNames(root, '.pack')).toHaveLength(2);
    const idsOf = (name: string): string[] =>
      gitBuffer(root, ['show-index'], {
        input: readFileSync(join(root, '.git/objects/pack', name.replace('.pack', '.idx'))),
      })
        .toString()
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[1] ?? '');
    const [one = [], two = []] = packNames(root, '.pack').map(idsOf);
    expect(one.filter((oid) => two.includes(oid))).toEqual([]);
    expect(everything(root)).toEqual(before);
    expect(fsck(root)).toBe('');
  });

  it('leaves no index over packs, bitmap or graph of commits that names what is gone', async () => {
    const root = makeManyPacks();
    git(root, ['repack', '-a', '-d', '-q', '--write-bitmap-index']);
    git(root, ['commit', '-q', '--allow-empty', '-m', 'dangling']);
    const dangling = git(root, ['rev-parse', 'HEAD']).trim();
    git(root, ['commit-graph', 'write', '--reachable']);
    git(root, ['reset', '-q', '--hard', 'HEAD~1']);
    git(root, ['reflog', 'expire', '--expire=now', '--all']);
    rmSync(join(root, '.git/ORIG_HEAD'), { force: true });
    age(loosePath(root, dangling), LONG_AGO);
    writeFileSync(join(root, 'new.md'), 'new\n');
    git(root, ['add', '-A']);
    git(root, ['commit', '-q', '-m', 'new']);
    git(root, ['repack', '-d', '-q']);
    git(root, ['multi-pack-index', 'write']);
    expect(await gc(root)).toMatchObject({ after: { packs: 1 }, prunedObjects: 1 });
    expect(fsck(root)).toBe('');
    expect(objectFiles(root).filter((name) => /multi-pack|bitmap|commit-graph/.test(name))).toEqual([]);
  });

  it('keeps a graph of commits that is still right', async () => {
    const root = makeManyPacks();
    git(root, ['commit-graph', 'write', '--reachable']);
    await gc(root);
    expect(objectFiles(root)).toContain('info/commit-graph');
    git(root, ['commit-graph', 'verify']);
  });

  it('works in a shallow clone', async () => {
    const source = makeManyPacks();
    const root = join(makeTemporaryDirectory(), 'shallow');
    git(source, ['clone', '-q', '--depth=3', `file://${source}`, root]);
    git(root, ['fetch', '-q', '--depth=6']);
    writeFileSync(join(root, 'new.md'), 'new\n');
    git(root, ['add', '-A']);
    git(root, ['commit', '-q', '-m', 'new']);
    const before = everything(root);
    expect(await gc(root)).toMatchObject({ after: { packs: 1, looseObjects: 0 } });
    expect(everything(root)).toEqual(before);
    expect(fsck(root)).toBe('');
  });

  it('packs a large loose object in pieces', async () => {
    const root = makeManyPacks();
    writeFileSync(join(root, 'large.bin'), Buffer.concat([randomBytes(5_000_000), Buffer.alloc(8_000_000, 'text ')]));
    git(root, ['add', '-A']);
    git(root, ['commit', '-q', '-m', 'large']);
    const before = everything(root);
    await gc(root);
    expect(everything(root)).toEqual(before);
    expect(fsck(root)).toBe('');
  });

  it('stops at damage, and removes nothing', async () => {
    const root = makeManyPacks();
    // In deltas of files: most of them nobody inflates when they are copied.
    const deltas = packNames(root, '.pack').flatMap((name) => {
      const path = join(root, '.git/objects/pack', name);
      const listed = git(root, ['verify-pack', '-v', path]);
      return [...listed.matchAll(/^[0-9a-f]{40} blob +\d+ (\d+) (\d+) \d+ [0-9a-f]{40}$/gm)].map(
        ([, size, offset]) => ({ path, at: Number(offset) + Number(size) - 5 }),
      );
    });
    const files = objectFiles(root);
    expect(deltas.length).toBeGreaterThan(10);
    for (const { path, at } of deltas.filter((_, number) => number % 5 === 0)) {
      const whole = readFileSync(path);
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] as number) ^ 0xff;
      rmSync(path);
      writeFileSync(path, bytes);
      expect(await failure(gc(root))).toMatchObject({ code: 'E_CORRUPT' });
      expect(objectFiles(root)).toEqual(files);
      writeFileSync(path, whole);
    }
  });

  it('stops where something is missing, and removes nothing', async () => {
    const root = makeManyPacks();
    rmSync(loosePath(root, git(root, ['rev-parse', 'HEAD^{tree}']).trim()));
    const files = objectFiles(root);
    expect(await failure(gc(root))).toMatchObject({ code: 'E_CORRUPT' });
    expect(objectFiles(root)).toEqual(files);
  });

  it('says in a dry run what it would do, and does nothing', async () => {
    const root = makeManyPacks();
    strayBlob(root, 'old', LONG_AGO);
    writeFileSync(join(root, '.git/objects/pack/tmp_pack_XYZ'), '');
    age(join(root, '.git/objects/pack/tmp_pack_XYZ'), LONG_AGO);
    git(root, ['update-ref', 'refs/kb/backup/2020-01-01T00-00-00-000Z', 'HEAD']);
    const files = objectFiles(root);
    expect(await gc(root, { dryRun: true })).toMatchObject({
      dryRun: true,
      prunedObjects: 1,
      removed: { temporary: 1, backupRefs: 1, stashRefs: 0 },
    });
    expect(objectFiles(root)).toEqual(files);
    expect(git(root, ['for-each-ref', 'refs/kb'])).not.toBe('');
  });

  describe('sweeps', () => {
    it('temporary files that are a day old, and its own at once', async () => {
      const root = makeManyPacks();
      const make = (name: string, seconds?: number): void => {
        const path = join(root, '.git', name);
        mkdirSync(join(path, '..'), { recursive: true });
        writeFileSync(path, 'x');
        if (seconds !== undefined) age(path, seconds);
      };
      const old = ['objects/pack/tmp_pack_a', 'objects/pack/.tmp-1-pack-a', 'objects/ab/tmp_obj_b', 'kb/.kb_tmp_x_1_2'];
      const young = ['objects/pack/tmp_pack_b', 'objects/ab/tmp_obj_c', 'kb/.kb_tmp_y_1_2'];
      for (const name of old) make(name, LONG_AGO);
      for (const name of young) make(name);
      make(`objects/pack/tmp_pack_kbgc${'0'.repeat(16)}`);
      make(`objects/pack/pack-${'1'.repeat(40)}.pack`, LONG_AGO);
      expect(await gc(root)).toMatchObject({ removed: { temporary: old.length + 2 } });
      const left = [...objectFiles(root).map((name) => `objects/${name}`)].filter((name) => /tmp_|tmp-/.test(name));
      expect(left.sort()).toEqual(young.filter((name) => name.startsWith('objects')).sort());
    });

    it.each([
      ['a branch leads to', 'HEAD'],
      ['only a reflog names', 'HEAD@{1}'],
    ])('no pack that has lost its index while something that %s was not found', async (_name, revision) => {
      const root = makeManyPacks();
      git(root, ['repack', '-q', '-a', '-d']);
      git(root, ['commit', '-q', '--allow-empty', '-m', 'taken back']);
      git(root, ['commit', '-q', '--allow-empty', '--amend', '-m', 'new']);
      const oid = git(root, ['rev-parse', revision]).trim();
      const pack = packThese(root, [oid]);
      rmSync(loosePath(root, oid));
      rmSync(pack.replace(/pack$/, 'idx'));
      age(pack, LONG_AGO);
      await gc(root).catch((error: unknown) => expect(error).toMatchObject({ code: 'E_CORRUPT' }));
      git(root, ['index-pack', pack]);
      expect(has(root, oid)).toBe(true);
      expect(fsck(root)).toBe('');
    });

    it('saved states after 90 days, by their names', async () => {
      const root = makeManyPacks();
      const recent = new Date().toISOString().replace(/[:.]/g, '-');
      const refs = [
        'refs/kb/backup/2020-01-01T00-00-00-000Z',
        'refs/kb/stash/2020-01-01T00-00-00-000Z-0123abcd',
        'refs/kb/stash/2020-01-01T00-00-00-000Z-0123abcd-2',
        `refs/kb/backup/${recent}`,
        'refs/kb/backup/mine',
      ];
      for (const ref of refs) git(root, ['update-ref', ref, 'HEAD']);
      const left = (): string[] => git(root, ['for-each-ref', '--format=%(refname)', 'refs/kb']).trim().split('\n');
      expect(await gc(root, { keepSaved: true })).toMatchObject({ removed: { backupRefs: 0, stashRefs: 0 } });
      expect(left()).toHaveLength(refs.length);
      expect(await gc(root)).toMatchObject({ removed: { backupRefs: 1, stashRefs: 2 } });
      expect(left()).toEqual(refs.slice(3).sort());
      git(root, ['config', 'kb.savedExpire', 'now']);
      await gc(root);
      expect(left()).toEqual(['refs/kb/backup/mine']);
    });
  });

  describe('beside others', () => {
    it('what is referred to again meanwhile stays', async () => {
      const root = makeManyPacks();
      const gitDir = join(root, '.git');
      const old = strayBlob(root, 'old', LONG_AGO);
      const objects = StoredObjects.survey(nodeDisk, join(gitDir, 'objects'));
      const breathe = () => () => Promise.resolve();
      const roots = findRoots(nodeDisk, gitDir);
      const plan = await planRepack(objects, { roots, shallow: new Set<Oid>(), pruneBefore: TWO_WEEKS_AGO, breathe });
      expect(plan.dropped.map((number) => objects.table.oid(number))).toEqual([old]);
      const packs = await writePacks(plan, breathe);
      removeDoubles(plan, packs);
      expect(await leadsToDropped(plan, findRoots(nodeDisk, gitDir), new Set(), breathe())).toBe(false);
      const tree = git(root, ['mktree'], { input: `100644 blob ${old}\tfile\n` }).trim();
      const commit = git(root, ['commit-tree', '-m', 'again', tree]).trim();
      git(root, ['update-ref', 'refs/heads/again', commit]);
      expect(await leadsToDropped(plan, findRoots(nodeDisk, gitDir), new Set(), breathe())).toBe(true);
      objects.close();
    });

    it('what another program touches meanwhile stays, loose or in a pack', async () => {
      const root = makeManyPacks();
      const gitDir = join(root, '.git');
      const loose = strayBlob(root, 'old', LONG_AGO);
      const packed = strayBlob(root, 'old and packed', LONG_AGO);
      const pack = packThese(root, [packed]);
      rmSync(loosePath(root, packed));
      age(pack, LONG_AGO);
      const objects = StoredObjects.survey(nodeDisk, join(gitDir, 'objects'));
      const breathe = () => () => Promise.resolve();
      const roots = findRoots(nodeDisk, gitDir);
      const plan = await planRepack(objects, { roots, shallow: new Set<Oid>(), pruneBefore: TWO_WEEKS_AGO, breathe });
      expect(plan.dropped).toHaveLength(2);
      const packs = await writePacks(plan, breathe);
      removeDoubles(plan, packs);
      // As git does it when it would write an object that is there.
      git(root, ['hash-object', '-w', '--stdin'], { input: 'old' });
      git(root, ['hash-object', '-w', '--stdin'], { input: 'old and packed' });
      expect(removeDropped(plan, packs)).toBe(0);
      expect([has(root, loose), has(root, packed)]).toEqual([true, true]);
      objects.close();
    });

    it('a KB that was opened before goes on reading', async () => {
      const root = makeManyPacks();
      await withKbAt(root, async (kb) => {
        const head = kb.refs.head().oid as Oid;
        expect(kb.objects.read(head).type).toBe('commit');
        await gc(root);
        for (const line of everything(root)) {
          const [oid = '', type] = line.split(' ');
          expect(kb.objects.read(oid as Oid).type).toBe(type);
        }
      });
    });

    it("git's own lock for gc holds, both ways", async () => {
      const root = makeManyPacks();
      const file = join(root, '.git/gc.pid');
      writeFileSync(file, `${process.pid} ${hostname()}`);
      expect(await failure(gc(root))).toMatchObject({ code: 'E_UNSAFE_STATE', retryable: true });
      expect(packNames(root, '.pack')).toHaveLength(3);
      writeFileSync(file, `${process.pid} another-host`);
      expect(await failure(gc(root))).toMatchObject({ code: 'E_UNSAFE_STATE' });
      age(file, Date.now() / 1000 - 13 * 3600);
      await gc(root); // after 12 hours it is nobody's
      writeFileSync(file, `4194304 ${hostname()}`);
      await gc(root); // nor is that of a process that is gone
      await withKbAt(root, (kb) => {
        const lock = lockForGc(kb);
        expect(() => git(root, ['gc', '-q'])).toThrow(/gc is already running/);
        lock.release();
        git(root, ['gc', '-q']);
        return Promise.resolve();
      });
    });

    it('native git repacks what it has made', async () => {
      const root = makeManyPacks();
      const before = everything(root);
      await gc(root);
      git(root, ['gc', '-q', '--prune=now']);
      expect(everything(root)).toEqual(before);
      expect(await gc(root)).toMatchObject({ after: { packs: 1 } });
      expect(everything(root)).toEqual(before);
      expect(fsck(root)).toBe('');
    });
  });
});

function packThese(root: string, ids: readonly string[]): string {
  const base = join(root, '.git/objects/pack/pack');
  const name = git(root, ['pack-objects', '-q', base], { input: ids.map((oid) => `${oid}\n`).join('') }).trim();
  return `${base}-${name}.pack`;
}

function objectIsPacked(root: string, oid: string): boolean {
  try {
    statSync(loosePath(root, oid));
    return false;
  } catch {
    return true;
  }
}
