import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parseAuthor } from '../../../src/config/author.js';
import { ENVIRONMENT } from '../../../src/config/environment.js';
import { parseGitDate } from '../../../src/config/git-date.js';
import { GitConfig } from '../../../src/config/git-config.js';
import { resolveIdentity } from '../../../src/config/identity.js';
import { loadSettings } from '../../../src/config/settings.js';
import { SETTINGS, type SettingRow } from '../../../src/config/settings-schema.js';
import type { Disk } from '../../../src/disk/disk.js';
import { isKbError } from '../../../src/errors.js';
import { nativeGit } from '../../support/native-git.js';

const usage: unknown = expect.toSatisfy((error: unknown) => isKbError(error, 'E_USAGE'));

/** A disk that holds just these files. */
function diskOf(files: Readonly<Record<string, string>>): Disk {
  const missing = (): never => {
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  };
  return {
    readFileSync: (path: string) => (files[path] === undefined ? missing() : Buffer.from(files[path])),
    lstatSync: (path: string) =>
      files[path] === undefined ? missing() : { isFile: () => true, size: files[path].length },
    // the two calls that reading settings makes
  } as unknown as Disk;
}

const ENV = { HOME: '/h', GIT_CONFIG_NOSYSTEM: '1' };
const NOW = { nowMs: 1_700_000_000_999, offsetMinutes: -90 };

async function resolve(sources: { env?: Record<string, string>; user?: string; git?: string; author?: string }) {
  const disk = diskOf({
    ...(sources.user === undefined ? {} : { '/h/.config/kb/config.yaml': sources.user }),
    ...(sources.git === undefined ? {} : { '/h/.gitconfig': sources.git }),
  });
  const env = { ...ENV, ...sources.env };
  const { settings } = await loadSettings({
    disk,
    env,
    gitConfig: GitConfig.load({ disk, env, home: '/h' }),
    flags: {},
  });
  const { author, committer } = resolveIdentity({
    settings,
    env,
    ...NOW,
    ...(sources.author === undefined ? {} : { author: sources.author }),
  });
  return `${author.name} <${author.email}> / ${committer.name} <${committer.email}>`;
}

describe('resolveIdentity', () => {
  const git = '[user]\nname = Git\nemail = g@x\n';
  const user = 'author: User <u@x>\n';
  const env = { GIT_AUTHOR_NAME: 'Env', GIT_AUTHOR_EMAIL: 'e@x' };
  it.each<[string, Parameters<typeof resolve>[0], string]>([
    ['git config', { git }, 'Git <g@x> / Git <g@x>'],
    [
      'author.* and committer.* of git',
      { git: `${git}[author]\nname = A\n[committer]\nemail = c@x\n` },
      'A <g@x> / Git <c@x>',
    ],
    ['user config over git config', { git, user }, 'User <u@x> / User <u@x>'],
    ['environment over user config', { git, user, env }, 'Env <e@x> / User <u@x>'],
    ['a name alone from the environment', { git, env: { GIT_AUTHOR_NAME: 'Env' } }, 'Env <g@x> / Git <g@x>'],
    [
      'the committer from the environment',
      { git, env: { GIT_COMMITTER_NAME: 'C', GIT_COMMITTER_EMAIL: 'c@x' } },
      'Git <g@x> / C <c@x>',
    ],
    ['--author over all; the committer stays', { git, user, env, author: 'Flag <f@x>' }, 'Flag <f@x> / User <u@x>'],
    ['--author alone', { author: 'Flag <f@x>' }, 'Flag <f@x> / Flag <f@x>'],
    ['the author commits when nobody else is named', { env }, 'Env <e@x> / Env <e@x>'],
  ])('%s', async (_, sources, expected) => {
    expect(await resolve(sources)).toBe(expected);
  });

  it.each<[string, Parameters<typeof resolve>[0], RegExp]>([
    ['nothing', {}, /no name and email for the author/],
    ['no email', { env: { GIT_AUTHOR_NAME: 'A' } }, /no email for the author/],
    ['no name', { env: { GIT_AUTHOR_EMAIL: 'a@x' } }, /no name for the author/],
    [
      'a committer alone',
      { env: { GIT_COMMITTER_NAME: 'C', GIT_COMMITTER_EMAIL: 'c@x' } },
      /no name and email for the author/,
    ],
    [
      'a name that a commit cannot hold',
      { git: '[user]\nname = A <b>\nemail = a@x\n' },
      /author's name holds a character/,
    ],
    ['a name of dots', { git: '[user]\nname = ...\nemail = a@x\n' }, /author's name is empty/],
    ['a bad --author', { git, author: 'Flag' }, /--author is not an author/],
    ['a bad date', { git, env: { GIT_AUTHOR_DATE: 'tomorrow' } }, /GIT_AUTHOR_DATE is not a date/],
    ['a bad author in the user config', { user: 'author: nobody\n' }, /config\.yaml:1 \(author\) is not an author/],
  ])('refuses %s', async (_, sources, message) => {
    const error: unknown = await resolve(sources).catch((caught: unknown) => caught);
    expect(error).toEqual(usage);
    expect((error as Error).message).toMatch(message);
  });

  it('says where a name can be set', async () => {
    await expect(resolve({})).rejects.toMatchObject({
      hint: expect.stringContaining('/h/.config/kb/config.yaml') as string,
    });
  });

  it('uses the time given, or the date of the environment', () => {
    const person = { name: 'A', email: 'a@x' };
    const { author, committer } = resolveIdentity({
      settings: { author: person, committer: { ...person, date: '@5 +0200' } },
      env: {},
      ...NOW,
    });
    expect([author.timestamp, author.timezone]).toEqual([1_700_000_000, '-0130']);
    expect([committer.timestamp, committer.timezone]).toEqual([5, '+0200']);
  });
});

describe('parseAuthor', () => {
  it.each([
    ['Ann <a@b>', 'Ann', 'a@b'],
    ['  Ann Lee   < a@b > ', 'Ann Lee', 'a@b'],
    ['Åsa Ö. <å@b>', 'Åsa Ö.', 'å@b'],
  ])('%j', (text, name, email) => {
    expect(parseAuthor(text)).toEqual({ name, email });
  });
  it.each([
    '',
    'Ann',
    'a@b',
    '<a@b>',
    'Ann <>',
    'Ann <a@b> x',
    'A <b> <c>',
    'Ann\nTree <a@b>',
    'A\0 <a@b>',
    '., <a@b>',
  ])('refuses %j', (text) => {
    expect(() => parseAuthor(text)).toThrow(usage);
  });
});

const DATES = [
  '1700000000 +0100',
  '@1700000000 -0330',
  '2026-05-01T08:00:00+02:00',
  '2026-05-01 08:00:00 -0800',
  '2026-05-01T08:00:00Z',
  '2026-05-01T08:00:00',
  '2026.05.01T08:00:00 +0000',
  'Fri, 01 May 2026 08:00:00 +0200',
  '1 May 2026 08:00:00 +0000',
  'Fri, 01 May 2026 08:00:00 GMT',
  '2028-02-29T23:59:59+14:00',
];

describe('parseGitDate', () => {
  it.each([
    ['1700000000 +0100', 1_700_000_000, '+0100'],
    ['2026-05-01T08:00:00+02:00', Date.parse('2026-05-01T06:00:00Z') / 1000, '+0200'],
    ['2026-05-01T08:00', Date.parse('2026-05-01T09:30:00Z') / 1000, '-0130'],
    ['Fri, 01 May 2026 08:00:00 -0330', Date.parse('2026-05-01T11:30:00Z') / 1000, '-0330'],
  ])('%s', (text, timestamp, timezone) => {
    expect(parseGitDate(text, 'D', -90)).toEqual({ timestamp, timezone });
  });
  it.each([
    '',
    'now',
    '2026-05-01',
    '2026-04-31T08:00:00Z',
    '2026-13-01T08:00:00Z',
    '2026-05-01T24:00:00Z',
    '2026-05-01T08:60:00Z',
    '2026-05-01T08:00:00+15:00',
    '1 Foo 2026 08:00',
    '1960-01-01T00:00:00Z',
  ])('refuses %j', (text) => {
    expect(() => parseGitDate(text, 'D', 0)).toThrow(usage);
  });
  it.skipIf(!nativeGit.available).each(DATES)('agrees with native git (needs native git): %s', (text) => {
    const line = execFileSync('git', ['var', 'GIT_AUTHOR_IDENT'], {
      env: {
        PATH: process.env['PATH'],
        TZ: 'UTC',
        GIT_AUTHOR_NAME: 'A',
        GIT_AUTHOR_EMAIL: 'a@x',
        GIT_AUTHOR_DATE: text,
      },
      encoding: 'utf8',
    });
    const { timestamp, timezone } = parseGitDate(text, 'D', 0);
    expect(`A <a@x> ${timestamp} ${timezone}\n`).toBe(line);
  });
});

describe('ENVIRONMENT', () => {
  it('has every variable of the schema and no name twice', () => {
    const names = ENVIRONMENT.map((one) => one.name);
    expect(new Set(names).size).toBe(names.length);
    for (const row of SETTINGS as readonly SettingRow[])
      expect(names).toEqual(expect.arrayContaining([...(row.env ?? [])]));
    expect(ENVIRONMENT.filter((one) => one.secret).map((one) => one.name)).toEqual([
      'KB_GIT_AUTH_TOKEN',
      'GITHUB_TOKEN',
      'GH_TOKEN',
      'GITLAB_TOKEN',
    ]);
  });
});
