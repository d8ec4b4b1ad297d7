import { beforeEach, describe, expect, it } from 'vitest';
import type { KbError } from '../../src/errors.js';
import { findConflicts } from '../../src/kb/conflicts/list.js';
import { type NoteRequest, type NoteResult } from '../../src/kb/note.js';
import { resolveConflicts } from '../../src/kb/resolve.js';
import { expectSound } from '../support/agree.js';
import {
  receiptOfNote,
  pushFromElsewhere,
  syncOnce,
  withKb,
  worldOf,
  write,
  type Site,
} from '../support/crash-site.js';
import { git, nativeGit } from '../support/native-git.js';
import { makeRunSite } from '../support/run-site.js';

describe.skipIf(!nativeGit.available)('a replacement that is refused (needs native git)', () => {
  let site: Site;
  let seen: string;
  const inKb = (...args: string[]): string => git(site.kb, args).trim();
  const replace = (text: string, over: Partial<NoteRequest> = {}, ifMatch = seen): Promise<NoteResult> =>
    receiptOfNote(worldOf(site), { text, target: { kind: 'replace', path: 'inbox/one.md', ifMatch }, ...over });
  const refused = (text: string, over: Partial<NoteRequest> = {}, ifMatch = seen): Promise<KbError> =>
    replace(text, over, ifMatch).then(
      () => Promise.reject(new Error('it was written')),
      (error: unknown) => error as KbError,
    );
  const conflicts = (): Promise<string[]> =>
    withKb(worldOf(site), (kb) => findConflicts(kb).map(({ item }) => `${item.kind} ${item.path}`));
  const theyWrite = (text: string): void => {
    pushFromElsewhere(site, (work) => {
      write(work, { 'inbox/one.md': text });
    });
  };

  beforeEach(async () => {
    site = await makeRunSite();
    write(site.kb, { 'inbox/one.md': 'a\nb\nc\n' });
    await syncOnce(worldOf(site));
    seen = inKb('rev-parse', 'HEAD:inbox/one.md');
    theyWrite('a\nb\ntheirs\n');
  });

  it('is kept with what was seen and what it met, and can be resolved', async () => {
    const error = await refused('typed\nb\nc');
    expect(error.code).toBe('E_CONFLICT');
    const ref = String(error.details['ref']);
    expect(ref).toMatch(/^refs\/kb\/conflict\/edit\//);
    expect(error.message).toContain(`your text is kept as ${ref}:ours/inbox/one.md`);
    const version = (side: string): string => git(site.kb, ['show', `${ref}:${side}/inbox/one.md`]);
    expect(['base', 'ours', 'theirs'].map(version)).toEqual(['a\nb\nc\n', 'typed\nb\nc\n', 'a\nb\ntheirs\n']);
    expect(await conflicts()).toEqual(['edit inbox/one.md']);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    expectSound(site.kb);
    await withKb(worldOf(site), (kb) =>
      resolveConflicts(kb, {
        all: true,
        choose: () => Promise.resolve('both'),
        edit: () => Promise.resolve(undefined),
      }),
    );
    expect(git(site.remote, ['show', 'main:inbox/one.md'])).toBe('typed\nb\ntheirs\n');
    expect(await conflicts()).toEqual([]);
  });

  it('is kept offline too, and once however often it is tried', async () => {
    await syncOnce(worldOf(site));
    const offline = { push: false, pull: false };
    const [first, again] = [await refused('typed', offline), await refused('typed', offline)];
    expect(again.details['ref']).toBe(first.details['ref']);
    expect(inKb('for-each-ref', '--format=%(refname)', 'refs/kb/')).toBe(first.details['ref']);
  });

  it('is kept without a base where the blob is named by its first digits', async () => {
    const { details } = await refused('typed', {}, seen.slice(0, 8));
    expect(inKb('ls-tree', '-r', '--name-only', String(details['ref'])).split('\n')).toEqual([
      'ours/inbox/one.md',
      'theirs/inbox/one.md',
    ]);
  });

  it('is no open conflict any more once its writer has read again and replaced; that of others is', async () => {
    const { details } = await refused('typed');
    const record = inKb('rev-parse', String(details['ref']));
    const ben = worldOf(site, { env: { GIT_COMMITTER_EMAIL: 'ben@example.com', GIT_COMMITTER_NAME: 'Ben' } });
    const target = { kind: 'replace', path: 'inbox/one.md', ifMatch: seen } as const;
    await receiptOfNote(ben, { text: 'of ben', target }).catch(() => undefined);
    expect(await conflicts()).toEqual(['edit inbox/one.md', 'edit inbox/one.md']);
    await replace('typed again', {}, inKb('rev-parse', 'HEAD:inbox/one.md'));
    expect(await conflicts()).toEqual(['edit inbox/one.md']);
    expect(inKb('for-each-ref', '--format=%(objectname)', 'refs/kb/backup/')).toBe(record);
  });
});
