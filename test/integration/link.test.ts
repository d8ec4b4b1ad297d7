import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { findLink, parseLines, type LinkRequest, type LinkResult } from '../../src/kb/link.js';
import { note, startKb, syncOnce, withKb, worldOf, write, siteAt, type Site } from '../support/crash-site.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

describe.skipIf(!nativeGit.available)('kb link (needs native git)', () => {
  let site: Site;
  const head = (): string => git(site.kb, ['rev-parse', 'HEAD']).trim();
  const link = (path: string, over: Partial<LinkRequest> = {}): Promise<LinkResult> =>
    withKb(worldOf(site), (kb) => findLink(kb, { path, ...over }));
  const onGitHub = (): void => void git(site.kb, ['config', 'remote.origin.url', 'git@github.com:ann/notes.git']);

  beforeEach(async () => {
    site = siteAt(join(makeTemporaryDirectory(), 'site'));
    mkdirSync(site.root);
    await startKb(site);
  });

  it('names the newest commit on the remote, whether or not it touched the file', async () => {
    await note(worldOf(site), { text: 'a thought' });
    onGitHub();
    const url = `https://github.com/ann/notes/blob/${head()}/diary.md`;
    expect(await link('diary.md')).toEqual({ url, path: 'diary.md', commit: head(), lines: null, changed: false });
    expect((await link('./diary.md')).url).toBe(url);
    expect((await link('diary.md', { lines: parseLines('2-3') })).url).toBe(`${url}?plain=1#L2-L3`);
    await expect(link('diary.md', { lines: parseLines('12-13') })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(link('inbox')).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(link('../x')).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(link('never.md')).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('says that a file has not landed: not committed, or only here', async () => {
    const landed = head();
    write(site.kb, { 'new.md': 'new\n' });
    onGitHub();
    await expect(link('new.md')).rejects.toMatchObject({
      code: 'E_UNSAFE_STATE',
      hint: expect.stringContaining('kb sync') as string,
    });
    await note(worldOf(site), { text: 'local', target: { kind: 'new', path: 'local.md' }, push: false, pull: false });
    await expect(link('local.md')).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
    write(site.kb, { 'diary.md': 'changed\n' });
    expect(await link('diary.md')).toMatchObject({ commit: landed, changed: true });
  });

  it('links a file that was removed as it was in the last commit that had it', async () => {
    const landed = head();
    rmSync(join(site.kb, 'inbox/one.md'));
    await syncOnce(worldOf(site));
    onGitHub();
    expect(await link('inbox/one.md')).toMatchObject({ commit: landed, changed: true });
  });

  it('finds the line of a heading', async () => {
    write(site.kb, { 'h.md': '---\ntitle: x\n---\n\n# One\n\n```\n## Log\n```\n\n## Log\n\ntext\n' });
    await syncOnce(worldOf(site));
    onGitHub();
    expect((await link('h.md', { heading: '## Log' })).lines).toEqual({ first: 11, last: 11 });
    expect((await link('h.md', { heading: 'One' })).lines).toEqual({ first: 5, last: 5 });
    await expect(link('h.md', { heading: '# Log' })).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('follows the setting in kb.yaml, in the receipt of a note too, and says what is missing', async () => {
    await expect(link('diary.md')).rejects.toMatchObject({ hint: expect.stringContaining('kb.yaml') as string });
    write(site.kb, { 'kb.yaml': 'permalink: https://view.example/{commit}/{path}\n' });
    await syncOnce(worldOf(site));
    expect((await link('diary.md')).url).toBe(`https://view.example/${head()}/diary.md`);
    await expect(link('diary.md', { lines: parseLines('1') })).rejects.toMatchObject({ code: 'E_USAGE' });
    write(site.kb, { 'kb.yaml': 'permalink: javascript:alert(1)\n' });
    await expect(link('diary.md')).rejects.toMatchObject({
      code: 'E_USAGE',
      message: expect.stringContaining('kb.yaml:1') as string,
    });
  });

  it.each(['0', '2-1', '-3', 'x', '1-', '1-2-3', ''])('takes no line %j', (text) => {
    expect(() => parseLines(text)).toThrow('--line');
  });
});
