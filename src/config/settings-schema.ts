import { KbError } from '../errors.js';
import { parseAuthor } from './author.js';
import { parseDuration } from './duration.js';
import { isPermalinkForm, PERMALINK_HOSTS } from './permalink-form.js';

/** What a setting's text or YAML value must be. */
export type SettingKind =
  | 'text'
  | 'boolean'
  | 'duration'
  | 'branch'
  | 'remoteName'
  | 'folder'
  | 'file'
  | 'author'
  | 'permalink'
  | 'logLevel'
  | 'logFormat';

export interface SettingRow {
  /** The name in `kb config` and in `--json`. */
  readonly key: string;
  readonly kind: SettingKind;
  /** The value when no source gives one, written as a user would. */
  readonly default?: string;
  /** The flag that overrides everything else, without dashes. */
  readonly flag?: string;
  /** Environment variables, the first that is set and not empty wins. */
  readonly env?: readonly string[];
  /** Path of the key in the KB's `kb.yaml`. */
  readonly kbYaml?: string;
  /** Path of the key in the user's `config.yaml`. */
  readonly userConfig?: string;
  /** Git configuration keys, the first that is set wins. */
  readonly gitConfig?: readonly string[];
  /** Never printed; registered so that no error or log carries it. */
  readonly secret?: boolean;
  /** One sentence for `kb config` and `kb help environment`. */
  readonly description: string;
}

/**
 * Every setting, once. Loading, validation, `kb config` and the help of the environment variables are all
 * derived from this table; a setting that is not here does not exist.
 */
export const SETTINGS = [
  {
    key: 'kb',
    kind: 'text',
    flag: 'kb',
    env: ['KB_PATH'],
    description: 'Directory or registered name of the KB to use.',
  },
  {
    key: 'default',
    kind: 'text',
    userConfig: 'default',
    description:
      'Directory or registered name of the KB used where no other is named and none encloses the current directory.',
  },
  {
    key: 'repoUrl',
    kind: 'text',
    env: ['KB_GIT_REPO_URL', 'REPO_URL'],
    description: 'Address that `kb clone` clones when it is given none.',
  },
  {
    key: 'remote',
    kind: 'remoteName',
    default: 'origin',
    env: ['KB_GIT_REMOTE'],
    kbYaml: 'remote',
    userConfig: 'remote',
    description: 'Name of the git remote that the KB is shared through.',
  },
  {
    key: 'branch',
    kind: 'branch',
    flag: 'branch',
    env: ['KB_GIT_BRANCH'],
    kbYaml: 'branch',
    userConfig: 'branch',
    description: 'Branch to work on; without it the one that is checked out.',
  },
  {
    key: 'sessionBranch',
    kind: 'branch',
    flag: 'session-branch',
    env: ['SESSION_BRANCH'],
    description:
      'Branch that `kb clone`, `kb note` and `kb run` work on instead of the checked-out one; made from the default branch where it does not exist. `{id}` in it stands for SESSION_ID.',
  },
  {
    key: 'sessionId',
    kind: 'text',
    env: ['SESSION_ID'],
    description: 'Name of the session, for `{id}` in SESSION_BRANCH.',
  },
  {
    key: 'gitEnabled',
    kind: 'boolean',
    default: 'true',
    env: ['KB_GIT_ENABLED'],
    description: 'Whether the remote is used at all; false keeps every edit as a local commit.',
  },
  {
    key: 'autoPush',
    kind: 'boolean',
    default: 'true',
    flag: 'push',
    env: ['KB_GIT_AUTO_PUSH'],
    kbYaml: 'autoPush',
    userConfig: 'autoPush',
    description: 'Whether an edit is pushed at once; false leaves it to `kb sync`.',
  },
  {
    key: 'authToken',
    kind: 'text',
    env: ['KB_GIT_AUTH_TOKEN'],
    secret: true,
    description: 'Token for http(s) remotes.',
  },
  {
    key: 'githubToken',
    kind: 'text',
    env: ['GITHUB_TOKEN', 'GH_TOKEN'],
    secret: true,
    description: 'Token for remotes on GitHub only.',
  },
  {
    key: 'gitlabToken',
    kind: 'text',
    env: ['GITLAB_TOKEN'],
    secret: true,
    description: 'Token for remotes on GitLab only.',
  },
  {
    key: 'authUser',
    kind: 'text',
    env: ['GITHUB_USERNAME'],
    description: 'User name that goes with the token; most servers ignore it.',
  },
  {
    key: 'lockTimeout',
    kind: 'duration',
    default: '300s',
    flag: 'lock-timeout',
    env: ['KB_LOCK_TIMEOUT'],
    userConfig: 'lockTimeout',
    description: 'How long to wait for the lock of the KB.',
  },
  {
    key: 'gitTimeout',
    kind: 'duration',
    default: '300s',
    flag: 'timeout',
    env: ['KB_GIT_TIMEOUT'],
    userConfig: 'gitTimeout',
    description: 'How long all network work of one command may take.',
  },
  {
    key: 'logLevel',
    kind: 'logLevel',
    default: 'info',
    env: ['KB_LOG_LEVEL'],
    description: 'Least severe messages that are printed: error, warn, info or debug.',
  },
  {
    key: 'logFormat',
    kind: 'logFormat',
    default: 'text',
    env: ['KB_LOG_FORMAT'],
    description: 'Form of log messages: text or json.',
  },
  {
    key: 'permalink',
    kind: 'permalink',
    kbYaml: 'permalink',
    userConfig: 'permalink',
    description:
      'Where files can be seen on the web: what the host runs (github, gitlab, gitea, forgejo, bitbucket, bitbucket-server, sourcehut), none, or an address such as https://host/{repo}/blob/{commit}/{path}#L{line}-L{end}.',
  },
  {
    key: 'notes.dir',
    kind: 'folder',
    kbYaml: 'notes.dir',
    userConfig: 'notes.dir',
    description: 'Folder of new notes; without it inbox/ where that exists, else the root.',
  },
  {
    key: 'notes.templates',
    kind: 'folder',
    default: 'templates',
    kbYaml: 'notes.templates',
    userConfig: 'notes.templates',
    description: 'Folder in which `--template NAME` is looked up.',
  },
  {
    key: 'notes.daily.folder',
    kind: 'folder',
    kbYaml: 'notes.daily.folder',
    userConfig: 'notes.daily.folder',
    description: 'Folder of daily notes.',
  },
  {
    key: 'notes.daily.format',
    kind: 'text',
    kbYaml: 'notes.daily.format',
    userConfig: 'notes.daily.format',
    description: 'Name of a daily note in moment tokens, such as YYYY-MM-DD.',
  },
  {
    key: 'notes.daily.template',
    kind: 'file',
    kbYaml: 'notes.daily.template',
    userConfig: 'notes.daily.template',
    description: 'File that a new daily note is made from.',
  },
  {
    key: 'author',
    kind: 'author',
    flag: 'author',
    userConfig: 'author',
    description: 'Who writes: "Ann Lee <ann@example.org>".',
  },
  {
    key: 'author.name',
    kind: 'text',
    env: ['GIT_AUTHOR_NAME'],
    gitConfig: ['author.name', 'user.name'],
    description: "Author's name in commits.",
  },
  {
    key: 'author.email',
    kind: 'text',
    env: ['GIT_AUTHOR_EMAIL'],
    gitConfig: ['author.email', 'user.email'],
    description: "Author's email address in commits.",
  },
  {
    key: 'author.date',
    kind: 'text',
    env: ['GIT_AUTHOR_DATE'],
    description: 'Author time of commits instead of now, such as 2026-05-01T08:00:00+02:00.',
  },
  {
    key: 'committer.name',
    kind: 'text',
    env: ['GIT_COMMITTER_NAME'],
    gitConfig: ['committer.name', 'user.name'],
    description: "Committer's name in commits.",
  },
  {
    key: 'committer.email',
    kind: 'text',
    env: ['GIT_COMMITTER_EMAIL'],
    gitConfig: ['committer.email', 'user.email'],
    description: "Committer's email address in commits.",
  },
  {
    key: 'committer.date',
    kind: 'text',
    env: ['GIT_COMMITTER_DATE'],
    description: 'Committer time of commits instead of now.',
  },
] as const satisfies readonly SettingRow[];

export type SettingKey = (typeof SETTINGS)[number]['key'];

const ALLOWED: Partial<Record<SettingKind, readonly string[]>> = {
  logLevel: ['error', 'warn', 'info', 'debug'],
  logFormat: ['text', 'json'],
};

/**
 * Turns what a source says into the setting's value, or refuses it.
 * @param raw text, or what YAML made of it
 * @param source names the variable, flag or file:line, for the message
 * @throws KbError E_USAGE naming the source and what is allowed
 */
export function readSetting(row: SettingRow, raw: unknown, source: string): unknown {
  switch (row.kind) {
    case 'boolean':
      return asBoolean(raw, source);
    case 'duration':
      return parseDuration(typeof raw === 'number' ? String(raw) : asText(raw, source), source);
    case 'author':
      return parseAuthor(asText(raw, source), source);
    case 'branch':
      return asName(asText(raw, source), source, 'a branch name such as main');
    case 'remoteName':
      return asName(asText(raw, source), source, 'the name of a git remote such as origin');
    case 'folder':
    case 'file':
      return asInnerPath(asText(raw, source), source, row.kind);
    case 'permalink':
      return asPermalinkForm(asText(raw, source), source);
    case 'logLevel':
    case 'logFormat':
      return asOneOf(asText(raw, source), ALLOWED[row.kind] ?? [], source);
    case 'text':
      return asText(raw, source);
  }
}

function asText(raw: unknown, source: string): string {
  if (typeof raw !== 'string') refuse(raw, source, 'text');
  // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
  if (/[\0-\x1f\x7f]/.test(raw)) refuse(raw, source, 'text on one line');
  return raw;
}

function asBoolean(raw: unknown, source: string): boolean {
  if (typeof raw === 'boolean') return raw;
  const text = typeof raw === 'string' ? raw.trim().toLowerCase() : '';
  if (['true', 'yes', 'on', '1'].includes(text)) return true;
  if (['false', 'no', 'off', '0'].includes(text)) return false;
  return refuse(raw, source, 'true or false');
}

function asOneOf(text: string, allowed: readonly string[], source: string): string {
  const value = text.trim().toLowerCase();
  return allowed.includes(value) ? value : refuse(text, source, `one of ${allowed.join(', ')}`);
}

function asPermalinkForm(text: string, source: string): string {
  if (isPermalinkForm(text)) return text;
  const address = 'an http or https address with {commit} and {path}, without a user';
  return refuse(text, source, `one of ${PERMALINK_HOSTS.join(', ')}, none, or ${address}`);
}

/** The part of git-check-ref-format(1) that also keeps a name from being taken for an option or a path. */
function asName(text: string, source: string, wanted: string): string {
  const isName =
    !/[\s~^:?*[\\]|\.\.|@\{|\/\/|^[-/.]|[/.]$/.test(text) &&
    text.split('/').every((part) => !part.startsWith('.') && !part.endsWith('.lock'));
  return isName && text !== '' ? text : refuse(text, source, wanted);
}

/** A path inside the KB. The full rules are applied where a file is written; here what is wrong anywhere. */
function asInnerPath(text: string, source: string, kind: 'folder' | 'file'): string {
  const path = text.normalize('NFC').replace(/^\.\//, '').replace(/\/+$/, '');
  if (kind === 'folder' && (path === '' || path === '.')) return '';
  const parts = path.split('/');
  const isInside =
    !path.includes('\\') &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..' && !/^\.git$/i.test(part));
  return isInside && !/^[A-Za-z]:/.test(path) ? path : refuse(text, source, `a ${kind} inside the KB, written with /`);
}

function refuse(raw: unknown, source: string, wanted: string): never {
  throw new KbError('E_USAGE', `${source} must be ${wanted}, not ${describe(raw)}`, {
    hint: `correct ${source}: ${wanted}`,
    details: { source },
  });
}

function describe(raw: unknown): string {
  if (raw === null) return 'nothing';
  if (Array.isArray(raw)) return 'a list';
  return typeof raw === 'object' ? 'a group of keys' : JSON.stringify(typeof raw === 'string' ? raw.slice(0, 80) : raw);
}
