import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GitConfig } from '../../../src/config/git-config.js';
import { loadSettings, parseDuration, type SettingFlags } from '../../../src/config/settings.js';
import { SETTINGS, type SettingRow } from '../../../src/config/settings-schema.js';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { isKbError, redact } from '../../../src/errors.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kb-settings-'));
  mkdirSync(join(root, 'kb'));
  mkdirSync(join(root, 'home/.config/kb'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Sources {
  readonly flags?: SettingFlags;
  readonly env?: Record<string, string>;
  readonly kbYaml?: string;
  readonly user?: string;
  readonly git?: string;
  readonly disk?: Disk;
}

function load({ flags = {}, env = {}, kbYaml, user, git, disk = nodeDisk }: Sources) {
  const home = join(root, 'home');
  if (kbYaml !== undefined) writeFileSync(join(root, 'kb/kb.yaml'), kbYaml);
  if (user !== undefined) writeFileSync(join(home, '.config/kb/config.yaml'), user);
  if (git !== undefined) writeFileSync(join(home, '.gitconfig'), git);
  const whole = { HOME: home, GIT_CONFIG_NOSYSTEM: '1', ...env };
  const gitConfig = GitConfig.load({ disk, env: whole, home });
  return loadSettings({ disk, env: whole, kbRoot: join(root, 'kb'), gitConfig, flags });
}

async function refusal(sources: Sources): Promise<{ message: string; hint: string }> {
  const error: unknown = await load(sources).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  if (!isKbError(error, 'E_USAGE')) throw new Error(`expected E_USAGE, not ${String(error)}`);
  return { message: error.message.replaceAll(root, ''), hint: error.hint.replaceAll(root, '') };
}

describe('loadSettings', () => {
  it('has defaults for everything a command needs', async () => {
    expect((await load({})).settings).toEqual({
      remote: 'origin',
      gitEnabled: true,
      autoPush: true,
      lockTimeoutMs: 300_000,
      gitTimeoutMs: 300_000,
      logLevel: 'info',
      logFormat: 'text',
      notes: { templates: 'templates', daily: {} },
      author: {},
      committer: {},
    });
  });

  it('flag > environment > kb.yaml > user config > default', async () => {
    const all: Sources = {
      flags: { branch: 'flag' },
      env: { KB_GIT_BRANCH: 'env' },
      kbYaml: 'branch: team',
      user: 'branch: user',
    };
    const { flags: _, ...withoutFlag } = all;
    const { env: __, ...withoutEnv } = withoutFlag;
    expect((await load(all)).settings.branch).toBe('flag');
    expect((await load(withoutFlag)).settings.branch).toBe('env');
    expect((await load(withoutEnv)).settings.branch).toBe('team');
    expect((await load({ kbYaml: '# nothing\n' })).settings.branch).toBe('user');
    expect((await load({ user: '' })).settings.branch).toBeUndefined();
  });

  it.each<[string, Record<string, string>, object]>([
    ['KB_PATH', { KB_PATH: '/srv/kb' }, { kb: '/srv/kb' }],
    ['KB_GIT_REPO_URL', { KB_GIT_REPO_URL: 'https://a/b', REPO_URL: 'https://c/d' }, { repoUrl: 'https://a/b' }],
    ['REPO_URL', { REPO_URL: 'https://c/d' }, { repoUrl: 'https://c/d' }],
    ['KB_GIT_REMOTE', { KB_GIT_REMOTE: 'upstream' }, { remote: 'upstream' }],
    ['KB_GIT_BRANCH', { KB_GIT_BRANCH: 'team/notes' }, { branch: 'team/notes' }],
    ['KB_GIT_ENABLED', { KB_GIT_ENABLED: 'No' }, { gitEnabled: false }],
    ['KB_GIT_AUTO_PUSH', { KB_GIT_AUTO_PUSH: '0' }, { autoPush: false }],
    [
      'KB_GIT_AUTH_TOKEN',
      { KB_GIT_AUTH_TOKEN: 'first-of-tokens', GITHUB_TOKEN: 'second', GH_TOKEN: 'third' },
      { authToken: 'first-of-tokens', githubToken: 'second' },
    ],
    ['GITHUB_TOKEN', { GITHUB_TOKEN: 'second-of-tokens', GH_TOKEN: 'third' }, { githubToken: 'second-of-tokens' }],
    ['GH_TOKEN', { GH_TOKEN: 'third-of-tokens' }, { githubToken: 'third-of-tokens' }],
    ['GITHUB_USERNAME', { GITHUB_USERNAME: 'ann' }, { authUser: 'ann' }],
    ['KB_LOCK_TIMEOUT', { KB_LOCK_TIMEOUT: '1.5m' }, { lockTimeoutMs: 90_000 }],
    ['KB_GIT_TIMEOUT', { KB_GIT_TIMEOUT: '7' }, { gitTimeoutMs: 7000 }],
    ['KB_LOG_LEVEL', { KB_LOG_LEVEL: 'DEBUG' }, { logLevel: 'debug' }],
    ['KB_LOG_FORMAT', { KB_LOG_FORMAT: 'json' }, { logFormat: 'json' }],
    [
      'an empty variable is not set',
      { KB_GIT_REMOTE: '', KB_LOCK_TIMEOUT: '' },
      { remote: 'origin', lockTimeoutMs: 300_000 },
    ],
  ])('%s', async (_, env, expected) => {
    expect((await load({ env })).settings).toMatchObject(expected);
  });

  it.each<[string, Sources, RegExp]>([
    ['a boolean', { env: { KB_GIT_AUTO_PUSH: 'maybe' } }, /^KB_GIT_AUTO_PUSH must be true or false, not "maybe"$/],
    ['a duration', { env: { KB_LOCK_TIMEOUT: 'soon' } }, /^KB_LOCK_TIMEOUT is not a duration: "soon"$/],
    [
      'a level',
      { env: { KB_LOG_LEVEL: 'loud' } },
      /^KB_LOG_LEVEL must be one of error, warn, info, debug, not "loud"$/,
    ],
    ['a branch', { env: { KB_GIT_BRANCH: '--upload-pack=x' } }, /^KB_GIT_BRANCH must be a branch name/],
    ['a branch with two dots', { flags: { branch: 'a..b' } }, /^--branch must be a branch name/],
    ['a remote', { env: { KB_GIT_REMOTE: 'a b' } }, /^KB_GIT_REMOTE must be the name of a git remote/],
    ['text over two lines', { env: { KB_GIT_REPO_URL: 'https://a\nb' } }, /^KB_GIT_REPO_URL must be text on one line/],
    ['a flag', { flags: { lockTimeout: 'x' } }, /^--lock-timeout is not a duration/],
  ])('refuses %s, naming the source and what is allowed', async (_, sources, message) => {
    expect((await refusal(sources)).message).toMatch(message);
  });

  it('reads every key of kb.yaml', async () => {
    const kbYaml =
      'remote: up\nbranch: b\nautoPush: false\nnotes:\n  dir: in/\n  templates: T\n  daily: {folder: Tage, format: "YYYY", template: T/Day.md}\n';
    expect((await load({ kbYaml })).settings).toMatchObject({
      remote: 'up',
      branch: 'b',
      autoPush: false,
      notes: { dir: 'in', templates: 'T', daily: { folder: 'Tage', format: 'YYYY', template: 'T/Day.md' } },
    });
  });

  it('reads the merge rules that a team does without', async () => {
    const loaded = await load({ kbYaml: 'merge:\n  without:\n    "a/**": [words, cells]\n    b.md: all\n' });
    expect(loaded.settings.mergeWithout).toMatchObject([
      { pattern: 'a/**', without: ['words', 'cells'] },
      { pattern: 'b.md', without: 'all' },
    ]);
    expect(loaded.explain()).toContainEqual(
      expect.objectContaining({ key: 'merge.without.a/**', value: 'words, cells' }) as unknown,
    );
  });

  it('reads what only the user may set', async () => {
    const { settings } = await load({
      user: 'default: work\nauthor: Ann Lee <ann@example.org>\nlockTimeout: 5\ngitTimeout: 2m\n',
    });
    expect(settings).toMatchObject({
      defaultKb: 'work',
      lockTimeoutMs: 5000,
      gitTimeoutMs: 120_000,
      author: { name: 'Ann Lee', email: 'ann@example.org' },
    });
  });

  it.each<[string, string, RegExp, RegExp]>([
    [
      'an unknown key',
      'notes:\n  dri: x\n',
      /^\/kb\/kb\.yaml:2: unknown key "notes\.dri"$/,
      /did you mean notes\.dir\?/,
    ],
    [
      'a key far from all',
      'zzzzzzzzzz: 1\n',
      /^\/kb\/kb\.yaml:1: unknown key "zzzzzzzzzz"$/,
      /known keys: remote, branch/,
    ],
    ['a key of the user config', 'lockTimeout: 5s\n', /unknown key "lockTimeout"/, /./],
    [
      'a token',
      'token: ghp_abcdefghijklmnop\n',
      /^\/kb\/kb\.yaml:1: the key "token" is not allowed: a secret/,
      /remove line 1/,
    ],
    [
      'a password further down',
      'notes:\n  smtpPassword: x\n',
      /"notes\.smtpPassword" is not allowed: a secret/,
      /remove line 2/,
    ],
    [
      'a command',
      '\nexec: rm -rf /\n',
      /^\/kb\/kb\.yaml:2: the key "exec" is not allowed: .*no command/,
      /remove line 2/,
    ],
    ['a hook', 'hooks: {pre: x}\n', /"hooks" is not allowed/, /./],
    ['the wrong type', 'branch:\n  - a\n', /^\/kb\/kb\.yaml:1 \(branch\) must be text, not a list$/, /./],
    ['a number for text', '\n\nbranch: 7\n', /^\/kb\/kb\.yaml:3 \(branch\) must be text, not 7$/, /./],
    ['nothing for text', 'branch:\n', /\(branch\) must be text, not nothing/, /./],
    ['text for a boolean', 'autoPush: maybe\n', /:1 \(autoPush\) must be true or false, not "maybe"/, /./],
    ['text for a group', 'notes: x\n', /^\/kb\/kb\.yaml:1: notes must be a group of keys$/, /./],
    ['a list at the top', '- a\n', /^\/kb\/kb\.yaml:1: the file must be a group of keys$/, /./],
    ['a folder outside', 'notes: {dir: ../x}\n', /must be a folder inside the KB/, /./],
    ['an absolute folder', 'notes: {dir: /etc}\n', /must be a folder inside the KB/, /./],
    ['the git directory', 'notes: {dir: .GIT/x}\n', /must be a folder inside the KB/, /./],
    ['a drive', 'notes: {dir: "C:/x"}\n', /must be a folder inside the KB/, /./],
    ['broken YAML', 'a: [\n', /^\/kb\/kb\.yaml:\d: not valid YAML/, /correct line/],
    ['a key twice', 'branch: a\nbranch: b\n', /not valid YAML: Map keys must be unique/, /./],
    ['an unknown tag', 'branch: !!js/function "x"\n', /not valid YAML/, /./],
    ['an alias', 'notes: {dir: &a x, templates: *a}\n', /:1: notes\.templates uses a YAML alias/, /./],
    [
      'an alias bomb',
      `${Array.from(
        { length: 9 },
        (_, n) =>
          `a${n}: &a${n} [${
            n === 0
              ? 'x'
              : Array(9)
                  .fill(`*a${n - 1}`)
                  .join(', ')
          }]`,
      ).join('\n')}\n`,
      /unknown key "a0"/,
      /./,
    ],
    ['nesting without end', `branch: ${'['.repeat(30_000)}\n`, /not valid YAML/, /./],
    [
      'merge rules that are no list',
      'merge: {without: {"*.md": 3}}\n',
      /:1: merge\.without "\*\.md" must be/,
      /recipes/,
    ],
    ['merge rules without a pattern', 'merge: {without: [words]}\n', /merge\.without must be a group/, /recipes/],
    ['another key beside them', 'merge: {with: 1}\n', /unknown key "merge\.with"/, /merge\.without/],
    ['two documents', 'branch: a\n---\nbranch: b\n', /not valid YAML/, /./],
    ['more than 64 KiB', `# ${'x'.repeat(65_536)}\n`, /larger than 65536 bytes/, /./],
    ['a secret in a value is not shown', 'branch: [ghp_0123456789abcdef]\n', /^(?!.*0123456789).*$/, /./],
  ])('refuses in kb.yaml: %s', async (_, kbYaml, message, hint) => {
    const refused = await refusal({ kbYaml });
    expect(refused.message).toMatch(message);
    expect(refused.hint).toMatch(hint);
  });

  it('refuses a kb.yaml that is a symlink, a folder or not UTF-8', async () => {
    const file = join(root, 'kb/kb.yaml');
    writeFileSync(join(root, 'elsewhere'), 'branch: x\n');
    symlinkSync(join(root, 'elsewhere'), file);
    expect((await refusal({})).message).toMatch(/is not a plain file/);
    rmSync(file);
    mkdirSync(file);
    expect((await refusal({})).message).toMatch(/is not a plain file/);
    rmSync(file, { recursive: true });
    writeFileSync(file, Buffer.from([0x23, 0xff, 0x0a]));
    expect((await refusal({})).message).toMatch(/is not UTF-8/);
  });

  it('explains every value with its source and masks secrets', async () => {
    const token = 'a-very-secret-token';
    const { explain } = await load({
      flags: { branch: 'f', autoPush: false },
      env: { KB_GIT_AUTH_TOKEN: token, KB_LOCK_TIMEOUT: '90s' },
      kbYaml: '\nremote: up\n',
      user: 'notes: {dir: u}\n',
      git: '[user]\n\tname = Ann\n',
    });
    const bySource = Object.fromEntries(
      explain().map((one) => [one.key, [one.value, one.source.replaceAll(root, '')]]),
    );
    expect(bySource).toEqual({
      remote: ['up', '/kb/kb.yaml:2 (remote)'],
      branch: ['f', '--branch'],
      gitEnabled: [true, 'default'],
      autoPush: [false, '--no-push'],
      authToken: ['***', 'KB_GIT_AUTH_TOKEN'],
      lockTimeout: ['90s', 'KB_LOCK_TIMEOUT'],
      gitTimeout: ['300s', 'default'],
      logLevel: ['info', 'default'],
      logFormat: ['text', 'default'],
      'notes.dir': ['u', '/home/.config/kb/config.yaml:1 (notes.dir)'],
      'notes.templates': ['templates', 'default'],
      'author.name': ['Ann', '/home/.gitconfig (user.name)'],
      'committer.name': ['Ann', '/home/.gitconfig (user.name)'],
    });
    expect(
      explain()
        .filter((one) => one.secret)
        .map((one) => one.key),
    ).toEqual(['authToken']);
    expect(redact(`error with ${token}`)).not.toContain(token);
  });

  it('shows no credentials of an address', async () => {
    const { explain } = await load({ env: { KB_GIT_REPO_URL: 'https://ann:pass-word@example.org/kb.git' } });
    expect(explain().find((one) => one.key === 'repoUrl')?.value).toBe('https://***@example.org/kb.git');
  });

  it('reads no YAML file that is not there, and the KB never through the user config', async () => {
    const opened: string[] = [];
    const disk: Disk = {
      ...nodeDisk,
      readFileSync: ((path: string, ...rest: []) => {
        opened.push(path);
        return nodeDisk.readFileSync(path, ...rest);
      }) as Disk['readFileSync'],
    };
    await load({ disk });
    expect(opened.filter((path) => path.endsWith('.yaml'))).toEqual([]);
  });
});

describe('the schema', () => {
  const rows: readonly SettingRow[] = SETTINGS;
  it('has no key and no variable twice', () => {
    const keys = rows.map((row) => row.key);
    const variables = rows.flatMap((row) => row.env ?? []);
    expect(new Set(keys).size).toBe(keys.length);
    expect(new Set(variables).size).toBe(variables.length);
  });

  it('lets no secret come from a file', () => {
    expect(rows.filter((row) => row.secret && (row.kbYaml ?? row.userConfig ?? row.gitConfig) !== undefined)).toEqual(
      [],
    );
  });

  it('describes everything in a sentence', () => {
    expect(rows.filter((row) => !/^[A-Z].*\.$/.test(row.description))).toEqual([]);
  });
});

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['7', 7000],
    ['0', 0],
    ['1.5s', 1500],
    [' 10 s ', 10_000],
    ['500h', 1_800_000_000],
  ])('%s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', 's', '-1s', '1d', '1e3', '5 minutes', '501h', '99999999999999999999', '1,5s', 'NaN', 'Infinity'])(
    'refuses %j',
    (text) => {
      expect(() => parseDuration(text)).toThrow(expect.toSatisfy((error: unknown) => isKbError(error, 'E_USAGE')));
    },
  );
});
