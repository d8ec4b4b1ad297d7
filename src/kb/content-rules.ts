import { isAbsolute, join } from 'node:path';
import { parseGitBoolean, type GitConfig } from '../config/git-config.js';
import { homeDirectory, homePath } from '../config/locations.js';
import { Conversions, type ConversionSource } from '../git/convert/conversions.js';
import type { ConversionSettings } from '../git/convert/path-conversion.js';
import { lfsFilter, type StorePlace } from './lfs/place.js';
import type { Surroundings } from './surroundings.js';

interface Place {
  readonly root: string;
  readonly gitDir: string;
  readonly gitConfig: GitConfig;
}

/** How this KB's files become blobs and blobs files. Costs nothing before the first file is read or written. */
export function conversionsOf(
  { disk, env, report }: Pick<Surroundings, 'disk' | 'env' | 'report'>,
  { root, gitDir, gitConfig }: Place,
  source: ConversionSource,
): Conversions {
  const outside = {
    files: [...systemAttributes(env), userFile({ root, gitConfig }, env, 'attributesfile', 'attributes')],
    gitDir,
    ignoreCase: gitConfig.getBoolean('core.ignorecase', false),
  };
  const warn = (text: string): void => report({ kind: 'warning', text });
  return new Conversions(disk, root, outside, () => settingsOf({ disk, gitDir, gitConfig }, env), source, warn);
}

/** @throws KbError E_USAGE when a setting is neither a boolean nor one of its words */
function settingsOf(place: StorePlace, env: NodeJS.ProcessEnv): ConversionSettings {
  const { gitConfig } = place;
  const isWord = (key: string, word: string): boolean => gitConfig.get(key)?.toLowerCase() === word;
  const eol = gitConfig.get('core.eol')?.toLowerCase();
  const isWindows = process.platform === 'win32';
  let lfs: ReturnType<typeof lfsFilter> | undefined;
  return {
    autoCrlf: isWord('core.autocrlf', 'input') ? 'input' : gitConfig.getBoolean('core.autocrlf', false),
    eol: eol === 'crlf' || (eol !== 'lf' && isWindows) ? 'crlf' : 'lf',
    safeCrlf: !isWord('core.safecrlf', 'warn') && gitConfig.getBoolean('core.safecrlf', false),
    // kb does this one itself, whatever git is configured to run for it
    filter: (name) => (name === 'lfs' ? (lfs ??= lfsFilter(place, env)) : foreignFilter(gitConfig, name)),
  };
}

/**
 * A filter that is the user's own program. kb runs none, for what a KB holds must never decide what is run. Where git has
 * nothing to run either, the attribute says nothing.
 */
function foreignFilter(gitConfig: GitConfig, name: string): { readonly problem: string } | undefined {
  const key = (setting: string): string => `filter.${name}.${setting}`;
  const runs = ['clean', 'smudge', 'process'].some((setting) => (gitConfig.get(key(setting)) ?? '') !== '');
  const isRequired = parseGitBoolean(gitConfig.get(key('required')) ?? 'false') === true;
  if (!runs && !isRequired) return undefined;
  return { problem: `git runs a program of yours on it (filter.${name}), and kb runs none` };
}

/** Source: gitattributes(5), "FILES". */
function systemAttributes(env: NodeJS.ProcessEnv): string[] {
  return parseGitBoolean(env['GIT_ATTR_NOSYSTEM'] ?? 'false') === true ? [] : ['/etc/gitattributes'];
}

/**
 * A file of the user's that git's configuration names, else the one in its own folder. A relative name counts from the
 * work tree, wherever the command was started: native git goes there first.
 * Source: gitattributes(5) and gitignore(5), "$XDG_CONFIG_HOME/git/…".
 */
export function userFile(
  { root, gitConfig }: { readonly root: string; readonly gitConfig: Pick<GitConfig, 'get'> },
  env: NodeJS.ProcessEnv,
  setting: string,
  name: string,
): string {
  const configured = gitConfig.get(`core.${setting}`);
  if (configured !== undefined) {
    const file = homePath(configured, homeDirectory(env));
    return file === '' || isAbsolute(file) ? file : join(root, file); // empty: there is none
  }
  return join(env['XDG_CONFIG_HOME'] || join(homeDirectory(env), '.config'), 'git', name);
}
