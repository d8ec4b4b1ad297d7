import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { Disk } from '../disk/disk.js';

export interface ConditionContext {
  readonly disk: Disk;
  readonly home: string;
  readonly gitDir?: string;
  /** The file that the condition stands in. */
  readonly file?: string;
  readonly branch?: string;
  readonly remoteUrls: () => readonly string[];
}

/** Does the condition of `[includeIf "…"]` hold? Unknown ones do not. Source: git-config(1), "Conditional includes". */
export function includeApplies(condition: string, context: ConditionContext): boolean {
  const [, kind, pattern] = /^([a-z/*.]+?(?:\*\.url)?):(.*)$/s.exec(condition) ?? [];
  if (pattern === undefined) return false;
  if (kind === 'gitdir') return matchesGitDir(pattern, context, false);
  if (kind === 'gitdir/i') return matchesGitDir(pattern, context, true);
  if (kind === 'onbranch')
    return context.branch !== undefined && matchesGlob(withContents(pattern), context.branch, false);
  if (kind === 'hasconfig' && pattern.startsWith('remote.*.url:')) {
    const glob = pattern.slice('remote.*.url:'.length);
    return context.remoteUrls().some((url) => matchesGlob(withContents(glob), url, false));
  }
  return false;
}

function matchesGitDir(pattern: string, context: ConditionContext, foldCase: boolean): boolean {
  if (context.gitDir === undefined) return false;
  const prepared = prepareGitDirPattern(pattern, context);
  if (prepared === undefined) return false;
  // first where it really is, then as it was named: either side of a symlink may be what the user wrote
  return [realPath(context.disk, context.gitDir), resolve(context.gitDir)].some((path) => {
    const head = path.slice(0, prepared.literal.length);
    const same = foldCase ? head.toLowerCase() === prepared.literal.toLowerCase() : head === prepared.literal;
    return same && matchesGlob(prepared.glob, path.slice(prepared.literal.length), foldCase);
  });
}

/** `./` means the file's own folder; its name is compared letter by letter, wildcards in it mean nothing. */
function prepareGitDirPattern(
  pattern: string,
  context: ConditionContext,
): { literal: string; glob: string } | undefined {
  if (pattern.startsWith('./')) {
    if (context.file === undefined) return undefined;
    return { literal: `${dirname(realPath(context.disk, context.file))}/`, glob: withContents(pattern.slice(2)) };
  }
  const expanded = pattern.startsWith('~/') ? join(realPath(context.disk, context.home), pattern.slice(1)) : pattern;
  return { literal: '', glob: withContents(isAbsolute(expanded) ? expanded : `**/${expanded}`) };
}

/** A pattern that ends in `/` stands for everything below. */
function withContents(pattern: string): string {
  return pattern.endsWith('/') ? `${pattern}**` : pattern;
}

function realPath(disk: Disk, path: string): string {
  try {
    return disk.realpathSync(path);
  } catch {
    return resolve(path);
  }
}

/** Git's wildmatch with WM_PATHNAME: `*` and `?` stop at a slash, `**` between slashes does not. */
export function matchesGlob(pattern: string, text: string, foldCase: boolean): boolean {
  const source = globSource(pattern);
  return source !== undefined && new RegExp(`^${source}$`, foldCase ? 'isu' : 'su').test(text);
}

function globSource(pattern: string): string | undefined {
  let source = '';
  for (let at = 0; at < pattern.length;) {
    const rest = pattern.slice(at);
    const boundary = at === 0 || pattern[at - 1] === '/';
    if (boundary && rest.startsWith('**/')) {
      source += '(?:.*/)?';
      at += 3;
    } else if (boundary && rest === '**') {
      source += '.*';
      at += 2;
    } else if (rest.startsWith('*')) {
      source += '[^/]*';
      at += /^\*+/.exec(rest)?.[0].length ?? 1;
    } else if (rest.startsWith('?')) {
      source += '[^/]';
      at += 1;
    } else if (rest.startsWith('[')) {
      const set = /^\[([!^]?)(\]?(?:\\.|[^\]\\])*)\]/su.exec(rest);
      if (set === null) return undefined;
      source += `(?!/)[${set[1] === '' ? '' : '^'}${escapeSet(set[2] ?? '')}]`;
      at += set[0].length;
    } else {
      const literal = rest.startsWith('\\') ? rest.slice(1) : rest;
      const character = String.fromCodePoint(literal.codePointAt(0) ?? 0x5c);
      source += character.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
      at += character.length + (rest.startsWith('\\') ? 1 : 0);
    }
  }
  return source;
}

/** The inside of `[…]`: escapes are taken literally, ranges stay. */
function escapeSet(text: string): string {
  return text.replace(/\\(.)|[[\]^&~|]/gsu, (all: string, escaped: string | undefined) =>
    `\\${escaped ?? all}`.replace(/^\\([\p{L}\p{N}])$/u, '$1'),
  );
}
