import { readFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { isKbError } from '../../src/errors.js';
import { listSaved, restoreSaved, type RestoreResult } from '../../src/kb/restore.js';
import { expectSound } from '../support/agree.js';
import { LINES, syncOnce, withKb, worldOf, write, type Site } from '../support/crash-site.js';
import { git, nativeGit } from '../support/native-git.js';
import { leftByRun, makeRunSite, runFailing, stateOf } from '../support/run-site.js';

const changed = (line: number, text: string, of = LINES): string => of.replace(`line ${line}\n`, `${text}\n`);

describe.skipIf(!nativeGit.available)('kb restore (needs native git)', () => {
  let site: Site;
  let ref: string;
  const read = (path: string): string => readFileSync(join(site.kb, path), 'utf8');
  const restore = (onConflict: 'fail' | 'copy' = 'fail', name = ref): Promise<RestoreResult> =>
    withKb(worldOf(site), (kb) => restoreSaved(kb, { ref: name, onConflict }));
  const failing = async (script: string): Promise<string> => {
    const error = await runFailing(site, `${script}; exit 3`);
    return String(error.details['stash']);
  };

  beforeEach(async () => {
    site = await makeRunSite();
    ref = await failing(
      "sed -i 's/^line 3$/by the run/' diary.md; rm inbox/one.md; mkdir sub; echo new > sub/new.md; rm becomes-folder; mkdir becomes-folder; echo in > becomes-folder/in.md",
    );
    expect(stateOf(site).trim()).toBe('');
  });

  it('brings every kind of change back, uncommitted, and once', async () => {
    const head = git(site.kb, ['rev-parse', 'HEAD']);
    const { changes, merged, copies } = await restore();
    expect(changes.map(({ path, kind }) => `${kind} ${path}`)).toEqual([
      'deleted becomes-folder',
      'added becomes-folder/in.md',
      'modified diary.md',
      'deleted inbox/one.md',
      'added sub/new.md',
    ]);
    expect([merged, copies]).toEqual([[], []]);
    expect(git(site.kb, ['rev-parse', 'HEAD'])).toBe(head);
    expect(git(site.kb, ['status', '--porcelain', '--untracked-files=all']).split('\n').filter(Boolean).sort()).toEqual(
      [' D becomes-folder', ' D inbox/one.md', ' M diary.md', '?? becomes-folder/in.md', '?? sub/new.md'],
    );
    expect((await restore()).changes).toEqual([]);
    await syncOnce(worldOf(site));
    expect(git(site.remote, ['show', 'main:diary.md'])).toBe(changed(3, 'by the run'));
    expectSound(site.kb);
    expect(leftByRun(site)).toEqual([]);
  });

  it('merges with what was changed since, committed or not', async () => {
    write(site.kb, { 'diary.md': changed(9, 'since') });
    expect((await restore()).merged).toEqual([{ path: 'diary.md', rules: [] }]);
    expect(read('diary.md')).toBe(changed(9, 'since', changed(3, 'by the run')));
  });

  it('changes nothing where somebody has written in the same place, or puts the saved version beside', async () => {
    write(site.kb, { 'diary.md': changed(3, 'by me') });
    const before = stateOf(site);
    const error: unknown = await restore().catch((caught: unknown) => caught);
    expect(isKbError(error, 'E_CONFLICT') && error.hint).toBe(
      `put the saved versions beside them: kb restore ${ref} --on-conflict copy`,
    );
    expect(stateOf(site)).toBe(before);
    const { copies } = await restore('copy');
    expect(read('diary.md')).toBe(changed(3, 'by me'));
    expect(copies).toEqual([expect.stringMatching(/^diary \(saved \d{4}-\d\d-\d\d\)\.md$/)]);
    expect(read(copies[0] ?? '')).toBe(changed(3, 'by the run'));
    expect(read('sub/new.md')).toBe('new\n');
  });

  it('does not write over an ignored file', async () => {
    writeFileSync(join(site.kb, '.git/info/exclude'), 'sub/\n');
    write(site.kb, { 'sub/new.md': 'mine\n' });
    await expect(restore()).rejects.toMatchObject({ code: 'E_CONFLICT' });
    expect(read('sub/new.md')).toBe('mine\n');
    expect(existsSync(join(site.kb, 'becomes-folder/in.md'))).toBe(false);
  });

  it('lists what is saved, the newest first, and takes the last part of a name', async () => {
    const second = await failing('echo again > again.md');
    const saved = await withKb(worldOf(site), async (kb) => Promise.resolve(listSaved(kb)));
    expect(saved.map((one) => one.ref)).toEqual([second, ref]);
    expect(saved[0]?.reason).toBe('sh ended with exit code 3');
    expect(Math.abs(Date.parse(saved[0]?.savedAt ?? '') - Date.now())).toBeLessThan(600_000);
    await restore('fail', second.replace('refs/kb/stash/', ''));
    expect(read('again.md')).toBe('again\n');
  });

  it('refuses a name that holds nothing saved', async () => {
    await expect(restore('fail', 'refs/heads/main')).rejects.toMatchObject({ code: 'E_USAGE' });
  });
});
