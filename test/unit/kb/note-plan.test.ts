import { describe, expect, it } from 'vitest';
import type { Settings } from '../../../src/config/settings.js';
import { hashObject } from '../../../src/git/objects/object.js';
import type { FileMode } from '../../../src/git/objects/tree.js';
import { collisionKey } from '../../../src/git/worktree/collisions.js';
import { planNote, type NoteTarget, type NoteText } from '../../../src/kb/note-plan.js';
import type { TipView } from '../../../src/kb/tip-view.js';

const NOW = { epochMs: Date.UTC(2026, 2, 4, 15, 6, 7), offsetMinutes: 60 };

interface Content {
  readonly files?: Readonly<Record<string, string>>;
  readonly modes?: Readonly<Record<string, FileMode>>;
  /** On disk, in no commit. */
  readonly untracked?: Readonly<Record<string, string>>;
}

function viewOf({ files = {}, modes = {}, untracked = {} }: Content): TipView {
  const paths = [...Object.keys(files), ...Object.keys(untracked)];
  const read: TipView['read'] = (path) => {
    const text = files[path];
    if (text === undefined) return undefined;
    const data = Buffer.from(text);
    return { data, mode: modes[path] ?? 0o100644, blob: hashObject('blob', data) };
  };
  return {
    read,
    readSettings: (path) => {
      const text = files[path] ?? untracked[path];
      return text === undefined ? undefined : Buffer.from(text);
    },
    isFolder: (path) => Object.keys(files).some((name) => name.startsWith(`${path}/`)),
    isTaken: (folder, key) => {
      const prefix = folder === '' ? '' : `${folder}/`;
      const inside = paths
        .filter((path) => path.startsWith(prefix))
        .map((path) => path.slice(prefix.length).split('/')[0] ?? '');
      return inside.some((name) => collisionKey(name) === key);
    },
  };
}

type Notes = Partial<Settings['notes']>;

async function plan(
  content: Content,
  target: NoteTarget,
  over: Partial<NoteText> & { notes?: Notes } = {},
): Promise<{ path: string; text: string; verb: string; mode: number }> {
  const { notes, ...request } = over;
  const settings = { notes: { templates: 'templates', daily: {}, ...notes } } as Settings;
  const planned = await planNote(viewOf(content), {
    text: 'some words',
    target,
    tags: [],
    properties: [],
    frontmatter: false,
    now: NOW,
    settings,
    ...request,
  });
  return { path: planned.path, text: planned.data.toString('utf8'), verb: planned.verb, mode: planned.mode };
}

const NEW: NoteTarget = { kind: 'new' };
const usage = expect.objectContaining({ code: 'E_USAGE' }) as unknown;

describe('a new note', () => {
  it.each<[string, Content, NoteTarget, Notes, string]>([
    ['named after its text', {}, NEW, {}, '2026-03-04-some-words.md'],
    ['in the inbox where there is one', { files: { 'inbox/x.md': '' } }, NEW, {}, 'inbox/2026-03-04-some-words.md'],
    [
      'in the folder of the settings',
      { files: { 'inbox/x.md': '' } },
      NEW,
      { dir: 'new/' },
      'new/2026-03-04-some-words.md',
    ],
    ['in the folder of the flag', {}, { kind: 'new', dir: './a/b/' }, { dir: 'new' }, 'a/b/2026-03-04-some-words.md'],
    ['in the root', { files: { 'inbox/x.md': '' } }, { kind: 'new', dir: '.' }, {}, '2026-03-04-some-words.md'],
    ['named after its title', {}, { kind: 'new', title: 'My Idea!' }, {}, '2026-03-04-my-idea.md'],
    ['with a name of its own', {}, { kind: 'new', name: 'idea' }, {}, 'idea.md'],
    ['at a path of its own', {}, { kind: 'new', path: './deep/er.md' }, {}, 'deep/er.md'],
    ['beside one of that name', { files: { '2026-03-04-some-words.md': '' } }, NEW, {}, '2026-03-04-some-words-2.md'],
    ['beside two', { files: { 'idea.md': '', 'IDEA-2.md': '' } }, { kind: 'new', name: 'idea' }, {}, 'idea-3.md'],
    [
      'beside one that is in no commit',
      { untracked: { 'idea.md': '' } },
      { kind: 'new', name: 'idea' },
      {},
      'idea-2.md',
    ],
    ['of another normal form', { files: { 'a\u0308.md': '' } }, { kind: 'new', name: 'ä' }, {}, 'ä-2.md'],
  ])('%s', async (_what, content, target, notes, path) => {
    expect(await plan(content, target, { notes })).toMatchObject({ path, verb: 'Add', mode: 0o100644 });
  });

  it('is dated by the day where the user is', async () => {
    const now = { epochMs: Date.UTC(2026, 11, 31, 23, 30), offsetMinutes: 60 };
    expect((await plan({}, NEW, { now })).path).toBe('2027-01-01-some-words.md');
  });

  it('holds title, tags and properties', async () => {
    const { text } = await plan(
      {},
      { kind: 'new', title: 'T' },
      { frontmatter: true, tags: ['x'], properties: [['k', 'v']] },
    );
    expect(text).toMatch(/^---\n/);
    for (const part of ['x', 'k: v', 'some words']) expect(text).toContain(part);
  });

  it('is made of a template in the folder of templates', async () => {
    const content = { untracked: { 'forms/meeting.md': '# {{title}}\n{{content}}\n' } };
    const { text } = await plan(
      content,
      { kind: 'new', title: 'Monday' },
      { template: 'meeting', notes: { templates: 'forms' } },
    );
    expect(text).toBe('# Monday\nsome words\n');
  });

  it.each([
    '.git/config',
    '../out.md',
    '/etc/passwd',
    'a/../../b.md',
    'a//b.md',
    '.GIT/x',
    '.git./x',
    'x/.git/y',
    '.kb_operations.lock',
    'a\u0000b',
    '',
  ])('is refused at %j', async (path) => {
    await expect(plan({}, { kind: 'new', path })).rejects.toEqual(usage);
    if (path !== '') await expect(plan({}, { kind: 'new', dir: path })).rejects.toEqual(usage);
    await expect(plan({}, { kind: 'append', path })).rejects.toEqual(usage);
    await expect(plan({}, { kind: 'replace', path })).rejects.toEqual(usage);
  });

  it.each(['', ' ', '\n\t\n'])('is refused without text: %j', async (text) => {
    await expect(plan({}, NEW, { text })).rejects.toMatchObject({ code: 'E_USAGE', message: 'the note is empty' });
  });

  it.each([
    ['a file', { files: { 'a.md': '' } }, 'a.md'],
    ['a file in other case', { files: { 'A.md': '' } }, 'a.md'],
    ['a folder', { files: { 'a/b.md': '' } }, 'a'],
    ['a file in no commit', { untracked: { 'a.md': '' } }, 'a.md'],
  ])('guesses no other path where one was named and there is %s', async (_what, content, path) => {
    await expect(plan(content, { kind: 'new', path })).rejects.toEqual(usage);
  });

  it('is refused with a template that is not there', async () => {
    await expect(plan({}, NEW, { template: 'none' })).rejects.toMatchObject({
      code: 'E_USAGE',
      message: 'there is no template templates/none.md',
    });
  });

  it('does not read a template from outside', async () => {
    await expect(plan({}, NEW, { template: '../../etc/passwd' })).rejects.toEqual(usage);
  });
});

describe('an append', () => {
  const files = { 'log.md': '# Log\n\n- old\n\n# Other\n\nlast' };

  it('goes to the end', async () => {
    expect(await plan({ files }, { kind: 'append', path: './log.md' })).toEqual({
      path: 'log.md',
      text: `${files['log.md']}\n- 16:06 some words\n`,
      verb: 'Append to',
      mode: 0o100644,
    });
  });

  it('goes to the end of the section', async () => {
    const { text } = await plan({ files }, { kind: 'append', path: 'log.md' }, { heading: 'Log' });
    expect(text.indexOf('some words')).toBeLessThan(text.indexOf('# Other'));
  });

  it('keeps the executable bit', async () => {
    expect(await plan({ files, modes: { 'log.md': 0o100755 } }, { kind: 'append', path: 'log.md' })).toMatchObject({
      mode: 0o100755,
    });
  });

  it('finds the file under either normal form of its name', async () => {
    expect(await plan({ files: { 'a\u0308.md': 'x\n' } }, { kind: 'append', path: 'ä.md' })).toMatchObject({
      path: 'a\u0308.md',
    });
    expect(await plan({ files: { 'ä.md': 'x\n' } }, { kind: 'append', path: 'a\u0308.md' })).toMatchObject({
      path: 'ä.md',
    });
  });

  it('is refused where there is no file, and through a link', async () => {
    await expect(plan({ files }, { kind: 'append', path: 'none.md' })).rejects.toMatchObject({
      code: 'E_USAGE',
      hint: expect.stringContaining('--path none.md') as string,
    });
    await expect(plan({ files, modes: { 'log.md': 0o120000 } }, { kind: 'append', path: 'log.md' })).rejects.toEqual(
      usage,
    );
  });
});

describe('a daily note', () => {
  const daily: NoteTarget = { kind: 'daily' };
  const obsidian = '{"folder":"journal","format":"YYYY/MM/DD","template":"forms/day"}';

  it.each<[string, Content, Notes, string, string]>([
    ['by default', {}, {}, '2026-03-04.md', '- 16:06 some words\n'],
    ['as the settings say', {}, { daily: { folder: 'd', format: 'DD.MM.' } }, 'd/04.03..md', '- 16:06 some words\n'],
    [
      "as Obsidian's settings say",
      { untracked: { '.obsidian/daily-notes.json': obsidian } },
      {},
      'journal/2026/03/04.md',
      '- 16:06 some words\n',
    ],
    [
      'as the settings say before Obsidian',
      { files: { '.obsidian/daily-notes.json': obsidian } },
      { daily: { folder: 'd' } },
      'd/2026/03/04.md',
      '- 16:06 some words\n',
    ],
    [
      'from a template',
      { files: { '.obsidian/daily-notes.json': obsidian, 'forms/day.md': '# {{title}}\n' } },
      {},
      'journal/2026/03/04.md',
      '# 04\n- 16:06 some words\n',
    ],
  ])('is made %s', async (_how, content, notes, path, text) => {
    expect(await plan(content, daily, { notes })).toEqual({ path, text, verb: 'Add', mode: 0o100644 });
  });

  it('that is there grows', async () => {
    expect(await plan({ files: { '2026-03-04.md': '- 09:00 first\n' } }, daily)).toMatchObject({
      text: '- 09:00 first\n- 16:06 some words\n',
      verb: 'Append to',
    });
  });

  it('that lies on disk in no commit is not overwritten', async () => {
    await expect(plan({ untracked: { '2026-03-04.md': 'mine' } }, daily)).rejects.toMatchObject({
      code: 'E_UNSAFE_STATE',
      hint: 'commit it first with: kb sync',
    });
  });

  it('never leaves the KB, whatever the format says', async () => {
    await expect(plan({}, daily, { notes: { daily: { format: '[../../]YYYY' } } })).rejects.toEqual(usage);
    await expect(plan({}, daily, { notes: { daily: { folder: '.git' } } })).rejects.toEqual(usage);
  });
});

describe('a replacement', () => {
  const files = { 'a.md': 'old\n' };
  const blob = hashObject('blob', Buffer.from('old\n'));

  it.each([
    ['new', 'new\n'],
    ['new\n', 'new\n'],
    ['new\n\n', 'new\n\n'],
  ])('with %j ends with a line break', async (text, expected) => {
    expect(await plan({ files }, { kind: 'replace', path: 'a.md' }, { text })).toEqual({
      path: 'a.md',
      text: expected,
      verb: 'Update',
      mode: 0o100644,
    });
  });

  it.each([blob, blob.slice(0, 7), blob.toUpperCase()])('is made if the blob is still %s', async (ifMatch) => {
    expect(await plan({ files }, { kind: 'replace', path: 'a.md', ifMatch })).toMatchObject({ verb: 'Update' });
  });

  it('is refused when the file has changed', async () => {
    await expect(plan({ files }, { kind: 'replace', path: 'a.md', ifMatch: 'abcdef0' })).rejects.toMatchObject({
      code: 'E_CONFLICT',
      details: { path: 'a.md', expected: 'abcdef0', actual: blob },
    });
  });

  it('is refused when "if it matches" is no id at all', async () => {
    for (const ifMatch of ['', 'a', 'xyz']) {
      await expect(plan({ files }, { kind: 'replace', path: 'a.md', ifMatch })).rejects.toThrow();
    }
  });

  it('is refused where there is no file, and through a link', async () => {
    await expect(plan({ files }, { kind: 'replace', path: 'b.md' })).rejects.toEqual(usage);
    await expect(plan({ files, modes: { 'a.md': 0o120000 } }, { kind: 'replace', path: 'a.md' })).rejects.toEqual(
      usage,
    );
  });
});
