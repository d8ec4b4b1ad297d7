import { join } from 'node:path';
import { KbError, redact, registerSecret } from '../errors.js';
import type { Disk } from '../disk/disk.js';
import type { Person } from './author.js';
import type { GitConfig } from './git-config.js';
import type { HostEntry } from './host-settings.js';
import type { MergeSwitch } from './merge-switches.js';
import { homeDirectory, userConfigFile } from './locations.js';
import { readSetting, SETTINGS, type SettingKey, type SettingRow } from './settings-schema.js';
import { readYamlFile, type YamlValue } from './yaml-file.js';

export { parseDuration } from './duration.js';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** A commit identity as far as the settings know it; `src/config/identity.ts` says what is missing. */
export interface PersonSettings {
  readonly name?: string;
  readonly email?: string;
  /** As written in GIT_AUTHOR_DATE or GIT_COMMITTER_DATE. */
  readonly date?: string;
}

/** Every effective setting. Paths are relative to the KB; '' is its root. */
export interface Settings {
  readonly kb?: string;
  readonly defaultKb?: string;
  readonly repoUrl?: string;
  /** Name of the git remote. */
  readonly remote: string;
  readonly branch?: string;
  /** With the session's name in the place of `{id}`. */
  readonly sessionBranch?: string;
  readonly gitEnabled: boolean;
  readonly autoPush: boolean;
  readonly authToken?: string;
  /** Goes to GitHub and nowhere else. */
  readonly githubToken?: string;
  readonly authUser?: string;
  /** By `name` or `name:port`; from the user's own configuration only. */
  readonly hosts?: ReadonlyMap<string, HostEntry>;
  readonly lockTimeoutMs: number;
  readonly gitTimeoutMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
  /** Where files can be seen on the web, see permalink-form.ts; undefined: told by the remote's URL. */
  readonly permalink?: string;
  /** Merge rules that the team does without; from `kb.yaml` only. */
  readonly mergeWithout?: readonly MergeSwitch[];
  readonly notes: {
    readonly dir?: string;
    /** Folder of templates. */
    readonly templates: string;
    /** What is not set here comes from `.obsidian/daily-notes.json`. */
    readonly daily: { readonly folder?: string; readonly format?: string; readonly template?: string };
  };
  readonly author: PersonSettings;
  readonly committer: PersonSettings;
}

/** One effective value as `kb config` prints it; secrets are masked. */
export interface Setting {
  readonly key: string;
  readonly value: unknown;
  /** `--flag`, the variable, `file:line`, the git configuration file, or `default`. */
  readonly source: string;
  readonly secret: boolean;
}

/** Values of flags as typed; keys are those of the schema. undefined: not given. */
export type SettingFlags = { readonly [Key in SettingKey]?: string | boolean | undefined };

export interface SettingsInput {
  readonly disk: Disk;
  readonly env: NodeJS.ProcessEnv;
  /** The KB's directory; without it no `kb.yaml` is read. */
  readonly kbRoot?: string;
  readonly gitConfig?: GitConfig;
  readonly flags: SettingFlags;
}

export interface LoadedSettings {
  readonly settings: Settings;
  /** Every setting that has a value, in the order of the schema. */
  explain(): Setting[];
}

interface Found {
  readonly value: unknown;
  readonly source: string;
}

/**
 * Precedence: flag > environment > `kb.yaml` > user config > git config > default.
 * @throws KbError E_USAGE naming the source of an invalid value and what is allowed
 */
export async function loadSettings(input: SettingsInput): Promise<LoadedSettings> {
  const kbFile = input.kbRoot === undefined ? undefined : join(input.kbRoot, 'kb.yaml');
  const userFile = userConfigFile(input.env);
  const kbYaml =
    kbFile === undefined ? undefined : await readYamlFile(input.disk, kbFile, keysOf('kbYaml'), ['merge.without']);
  const userConfig = await readYamlFile(input.disk, userFile, keysOf('userConfig'), ['hosts']);
  const hosts = userConfig?.get('hosts');

  const found = new Map<string, Found>();
  for (const row of SETTINGS as readonly SettingRow[]) {
    const raw =
      fromFlag(row, input.flags) ??
      fromEnvironment(row, input.env) ??
      fromYaml(row.kbYaml, kbYaml, kbFile) ??
      fromYaml(row.userConfig, userConfig, userFile) ??
      fromGitConfig(row, input.gitConfig) ??
      (row.default === undefined ? undefined : { value: row.default, source: 'default' });
    if (raw === undefined) continue;
    const value = readSetting(row, raw.value, raw.source);
    if (row.secret === true) registerSecret(String(value));
    found.set(row.key, { value, source: raw.source });
  }
  spreadAuthor(found);
  nameSession(found);
  let settings = toSettings(found);
  const rows: Setting[] = [];
  const switches = kbYaml?.get('merge.without');
  if (switches !== undefined && kbFile !== undefined) {
    const { readMergeSwitches } = await import('./merge-switches.js');
    const mergeWithout = readMergeSwitches(switches, kbFile);
    settings = { ...settings, mergeWithout };
    rows.push(...mergeWithout.map(explainSwitch));
  }
  if (hosts !== undefined) {
    const { readHosts } = await import('./host-settings.js');
    const read = readHosts(hosts, userFile, homeDirectory(input.env));
    settings = { ...settings, hosts: read };
    rows.push(...[...read].map(([host, entry]) => explainHost(host, entry, `${userFile}:${hosts.line}`)));
  }
  return { settings, explain: () => [...explain(found), ...rows] };
}

function keysOf(column: 'kbYaml' | 'userConfig'): string[] {
  return (SETTINGS as readonly SettingRow[]).flatMap((row) => row[column] ?? []);
}

function fromFlag(row: SettingRow, flags: SettingFlags): Found | undefined {
  const value = flags[row.key as SettingKey];
  if (value === undefined) return undefined;
  const name = row.flag ?? row.key;
  return { value, source: value === false ? `--no-${name}` : `--${name}` };
}

/** A variable that is set but empty counts as not set: that is how containers spell "no value". */
function fromEnvironment(row: SettingRow, env: NodeJS.ProcessEnv): Found | undefined {
  const name = row.env?.find((one) => env[one]);
  return name === undefined ? undefined : { value: env[name], source: name };
}

function fromYaml(
  key: string | undefined,
  values: ReadonlyMap<string, YamlValue> | undefined,
  file: string | undefined,
): Found | undefined {
  const entry = key === undefined ? undefined : values?.get(key);
  if (entry === undefined) return undefined;
  return { value: entry.value, source: `${file}:${entry.line} (${key})` };
}

function fromGitConfig(row: SettingRow, gitConfig: GitConfig | undefined): Found | undefined {
  const key = row.gitConfig?.find((one) => gitConfig?.get(one));
  if (key === undefined || gitConfig === undefined) return undefined;
  return { value: gitConfig.get(key), source: `${gitConfig.source(key)} (${key})` };
}

/**
 * `--author` and the user config's `author` name a whole person. As a flag it beats GIT_AUTHOR_NAME, from
 * the user config it loses to it; and it also stands in for a committer that git's configuration does not
 * name, so that one line of user config is enough.
 */
function spreadAuthor(found: Map<string, Found>): void {
  const author = found.get('author');
  if (author === undefined) return;
  const person = author.value as Person;
  const isFlag = author.source.startsWith('--');
  for (const part of ['name', 'email'] as const) {
    const value = { value: person[part], source: author.source };
    if (isFlag || isWeaker(found.get(`author.${part}`), `GIT_AUTHOR_${part.toUpperCase()}`))
      found.set(`author.${part}`, value);
    const committer = found.get(`committer.${part}`);
    if (committer === undefined || (!isFlag && isWeaker(committer, `GIT_COMMITTER_${part.toUpperCase()}`)))
      found.set(`committer.${part}`, value);
  }
}

/** @throws KbError E_USAGE where the branch is named after a session that has no name, or one that no branch can have */
function nameSession(found: Map<string, Found>): void {
  const branch = found.get('sessionBranch');
  if (branch === undefined || !String(branch.value).includes('{id}')) return;
  const id = found.get('sessionId')?.value;
  if (id === undefined) {
    throw new KbError('E_USAGE', `${branch.source} names the branch after the session, but SESSION_ID is not set`, {
      hint: 'set SESSION_ID, or write the whole name',
    });
  }
  const row = (SETTINGS as readonly SettingRow[]).find(({ key }) => key === 'sessionBranch') as SettingRow;
  const value = readSetting(
    row,
    String(branch.value).replaceAll('{id}', id as string),
    `${branch.source} with SESSION_ID`,
  );
  found.set('sessionBranch', { ...branch, value });
}

function isWeaker(found: Found | undefined, variable: string): boolean {
  return found?.source !== variable;
}

function toSettings(found: ReadonlyMap<string, Found>): Settings {
  const value = (key: SettingKey): unknown => found.get(key)?.value;
  const optional = (name: string, key: SettingKey): object => (found.has(key) ? { [name]: value(key) } : {});
  // the schema's kinds and defaults give each key the type it has in Settings; TypeScript cannot see that far
  return {
    ...optional('kb', 'kb'),
    ...optional('defaultKb', 'default'),
    ...optional('repoUrl', 'repoUrl'),
    remote: value('remote'),
    ...optional('branch', 'branch'),
    ...optional('sessionBranch', 'sessionBranch'),
    gitEnabled: value('gitEnabled'),
    autoPush: value('autoPush'),
    ...optional('authToken', 'authToken'),
    ...optional('githubToken', 'githubToken'),
    ...optional('authUser', 'authUser'),
    lockTimeoutMs: value('lockTimeout'),
    gitTimeoutMs: value('gitTimeout'),
    logLevel: value('logLevel'),
    logFormat: value('logFormat'),
    ...optional('permalink', 'permalink'),
    notes: {
      ...optional('dir', 'notes.dir'),
      templates: value('notes.templates'),
      daily: {
        ...optional('folder', 'notes.daily.folder'),
        ...optional('format', 'notes.daily.format'),
        ...optional('template', 'notes.daily.template'),
      },
    },
    author: {
      ...optional('name', 'author.name'),
      ...optional('email', 'author.email'),
      ...optional('date', 'author.date'),
    },
    committer: {
      ...optional('name', 'committer.name'),
      ...optional('email', 'committer.email'),
      ...optional('date', 'committer.date'),
    },
  } as Settings;
}

function explain(found: ReadonlyMap<string, Found>): Setting[] {
  return (SETTINGS as readonly SettingRow[]).flatMap((row) => {
    const one = found.get(row.key);
    if (one === undefined || row.key === 'author') return []; // shown as author.name and author.email
    return [{ key: row.key, value: shown(row, one.value), source: one.source, secret: row.secret ?? false }];
  });
}

function explainSwitch({ pattern, without, source }: MergeSwitch): Setting {
  return {
    key: `merge.without.${pattern}`,
    value: without === 'all' ? without : without.join(', '),
    source,
    secret: false,
  };
}

/** Where the secrets of a host are is told; they themselves are not even read for it. */
function explainHost(host: string, entry: HostEntry, source: string): Setting {
  return { key: `hosts.${host}`, value: redact(JSON.stringify(entry)), source, secret: false };
}

/** A URL in a variable may carry credentials; those are masked like a token. */
function shown(row: SettingRow, value: unknown): unknown {
  if (row.secret === true) return '***';
  if (row.kind === 'duration') return `${Number(value) / 1000}s`;
  return typeof value === 'string' ? redact(value) : value;
}
