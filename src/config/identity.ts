import { KbError } from '../errors.js';
import { checkPersonText, parseAuthor, type Person } from './author.js';
import { formatTimezone, parseGitDate } from './git-date.js';
import { userConfigFile } from './locations.js';
import type { PersonSettings, Settings } from './settings.js';

/** What a commit's author or committer line needs. */
export interface Identity extends Person {
  /** Seconds since 1970. */
  readonly timestamp: number;
  /** `+0130` */
  readonly timezone: string;
}

export interface Identities {
  readonly author: Identity;
  readonly committer: Identity;
}

export interface IdentityRequest {
  /** Where names, emails and dates come from is said once, in `settings-schema.ts`. */
  readonly settings: Pick<Settings, 'author' | 'committer'>;
  readonly env: NodeJS.ProcessEnv;
  readonly nowMs: number;
  /** East of UTC is positive. */
  readonly offsetMinutes: number;
  /** `--author "Ann Lee <ann@example.org>"`, as typed. */
  readonly author?: string;
}

/**
 * Who writes and who commits. Called before anything is written, so that no cycle stops half way because a
 * name is missing. A committer whom nobody names is the author.
 * @throws KbError E_USAGE when a name or an email is missing everywhere or cannot stand in a commit, or a
 *   date is unreadable
 */
export function resolveIdentity(request: IdentityRequest): Identities {
  const { settings } = request;
  const flag = request.author === undefined ? undefined : parseAuthor(request.author);
  const author: PersonSettings = { ...settings.author, ...flag };
  const committer: PersonSettings = { ...personOf(author), ...settings.committer };
  return { author: complete(author, 'author', request), committer: complete(committer, 'committer', request) };
}

function personOf({ name, email }: PersonSettings): PersonSettings {
  return { ...(name === undefined ? {} : { name }), ...(email === undefined ? {} : { email }) };
}

function complete(
  { name, email, date }: PersonSettings,
  role: 'author' | 'committer',
  request: IdentityRequest,
): Identity {
  if (name === undefined || email === undefined) throw unknownPerson(name, email, role, request.env);
  const { nowMs, offsetMinutes } = request;
  const time =
    date === undefined
      ? { timestamp: Math.floor(nowMs / 1000), timezone: formatTimezone(offsetMinutes) }
      : parseGitDate(date, `GIT_${role.toUpperCase()}_DATE`, offsetMinutes);
  return {
    name: checkPersonText(name, `the ${role}'s name`),
    email: checkPersonText(email, `the ${role}'s email`),
    ...time,
  };
}

function unknownPerson(
  name: string | undefined,
  email: string | undefined,
  role: string,
  env: NodeJS.ProcessEnv,
): KbError {
  const missing = name !== undefined ? 'email' : email !== undefined ? 'name' : 'name and email';
  return new KbError('E_USAGE', `nobody to sign as: there is no ${missing} for the ${role} of the commit`, {
    hint: `set it with: git config --global user.name "Ann Lee" && git config --global user.email ann@example.org; or without git write into ${userConfigFile(env)}: author: "Ann Lee <ann@example.org>"`,
    details: { role, missing },
  });
}
