import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { editFile } from '../../src/kb/edit.js';
import { type NoteRequest, type NoteResult } from '../../src/kb/note.js';
import { listSaved, restoreSaved } from '../../src/kb/restore.js';
import { sync } from '../../src/kb/sync.js';
import { switchBranch } from '../../src/kb/switch.js';
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
import { makeRunSite, runFailing, runScript } from '../support/run-site.js';

/** A note whose date both sides set, and to whose list both add: a merge by lines leaves both places to a person. */
const page = (date: string, ...items: string[]): string =>
  `---\ntitle: Log\nupdated: ${date}\n---\n\nWhat there is:\n\n${['first', ...items].map((item) => `- ${item}\n`).join('')}`;
const RULES = ['front-matter', 'newest-date', 'list-items'];
const MERGED = [{ path: 'page.md', rules: RULES }];

describe.skipIf(!nativeGit.available)('what a receipt says was merged (needs native git)', () => {
  let site: Site;
  const note = (over: Partial<NoteRequest>): Promise<NoteResult> =>
    receiptOfNote(worldOf(site), { text: 'text', ...over });
  const commitHere = (): void => {
    write(site.kb, { 'page.md': page('2026-02-01', 'ours') });
    git(site.kb, ['commit', '-q', '-am', 'Ours']);
  };
  const onRemote = (): string => git(site.remote, ['show', 'main:page.md']);
  const both = page('2026-03-01', 'theirs', 'ours');

  beforeEach(async () => {
    site = await makeRunSite();
    write(site.kb, { 'page.md': page('2026-01-01') });
    await syncOnce(worldOf(site));
  });

  const theyWrite = (): void => {
    pushFromElsewhere(site, (work) => {
      write(work, { 'page.md': page('2026-03-01', 'theirs') });
    });
  };

  it('of kb sync, for local commits and for local edits', async () => {
    theyWrite();
    write(site.kb, { 'page.md': page('2026-02-01', 'ours') });
    const { merged } = await withKb(worldOf(site), (kb) => sync(kb, { direction: 'both', commit: true }));
    expect(merged).toEqual(MERGED);
    expect(onRemote()).toBe(both);
    expectSound(site.kb);
  });

  it.each<[string, Partial<NoteRequest>]>([
    ['a new one', {}],
    ['an append to the very file', { target: { kind: 'append', path: 'page.md' } }],
    ['a replacement of another file', { target: { kind: 'replace', path: 'diary.md' } }],
  ])('of kb note: %s, with a local commit that goes out along with it', async (_name, over) => {
    commitHere();
    theyWrite();
    expect((await note(over)).merged).toEqual(MERGED);
    expect(onRemote().startsWith(both)).toBe(true);
    expectSound(site.kb);
  });

  it('of kb note by itself: nothing, for its text is put upon what is there', async () => {
    theyWrite();
    expect((await note({ target: { kind: 'append', path: 'page.md' } })).merged).toEqual([]);
    expect((await note({ push: false, pull: false })).merged).toEqual([]);
  });

  it('of kb run', async () => {
    commitHere();
    theyWrite();
    const { merged } = await runScript(site, 'echo new > new.md');
    expect(merged).toEqual(MERGED);
    expect(onRemote()).toBe(both);
  });

  it('of kb edit', async () => {
    const change = (): Promise<Buffer> => {
      theyWrite();
      return Promise.resolve(Buffer.from(page('2026-02-01', 'ours')));
    };
    const { rules } = await withKb(worldOf(site), (kb) => editFile(kb, { path: 'page.md', change, push: true }));
    expect(rules).toEqual(RULES);
  });

  it('of kb restore', async () => {
    const { details } = await runFailing(site, "printf '%s\\n' '- ours' >> page.md; exit 3");
    theyWrite();
    await syncOnce(worldOf(site));
    const result = await withKb(worldOf(site), (kb) => {
      const ref = listSaved(kb)[0]?.ref ?? String(details['stash']);
      return restoreSaved(kb, { ref, onConflict: 'fail' });
    });
    expect(result.merged).toEqual([{ path: 'page.md', rules: ['front-matter', 'list-items'] }]);
  });

  it('of kb switch: by lines alone, for a branch is no version of what is uncommitted', async () => {
    pushFromElsewhere(site, (work) => {
      git(work, ['switch', '-q', '-c', 'drafts']);
      write(work, { 'page.md': page('2026-01-01').replace('Log', 'Drafts') });
    });
    mkdirSync(join(site.kb, 'inbox'), { recursive: true });
    writeFileSync(join(site.kb, 'page.md'), page('2026-01-01', 'ours'));
    const { merged } = await withKb(worldOf(site), (kb) =>
      switchBranch(kb, { branch: 'drafts', create: false, uncommitted: 'bring' }),
    );
    expect(merged).toEqual([{ path: 'page.md', rules: [] }]);
  });
});
