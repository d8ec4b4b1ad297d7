import { KbError } from '../../errors.js';
import { encodePath, type RepoPath } from '../../git/paths.js';
import { parsePattern, toByteString, type IgnorePattern } from '../../git/worktree/ignore-pattern.js';

/**
 * The paths that `--path` selects. A pattern is one line of a `.gitignore` at the KB's root: `*.md` is a name
 * anywhere, `/notes` and `notes/today` begin at the root, `notes/` is a folder with all in it, `**` any folders. The
 * last pattern that matches decides and `!` takes out again, here also below a folder that was selected as a whole.
 * @param ignoreCase as `core.ignoreCase`
 * @param source where the patterns come from, for the message
 * @returns selects everything without patterns
 * @throws KbError E_USAGE for a pattern that can match nothing
 */
export function parsePathPatterns(
  texts: readonly string[],
  ignoreCase: boolean,
  source = '--path',
): (path: RepoPath) => boolean {
  if (texts.length === 0) return () => true;
  const patterns = texts.map((text) => {
    const pattern = parsePattern(toByteString(text.replace(/^\.\//, '/'), encodePath), ignoreCase);
    if (pattern !== undefined) return pattern;
    throw new KbError('E_USAGE', `${source} ${JSON.stringify(text)} matches nothing`, {
      hint: 'write it as in a .gitignore, for example: "topics/**/*.md"',
    });
  });
  const lastFirst = [...patterns].reverse();
  const hasOnlyExceptions = patterns.every(({ negated }) => negated);
  return (path) => select(lastFirst, toByteString(path, encodePath)) ?? hasOnlyExceptions;
}

/**
 * The path itself decides before the folders that it is in, the nearest first.
 * @param patterns the last one given first
 * @returns undefined where nothing matches
 */
function select(patterns: readonly IgnorePattern[], path: string): boolean | undefined {
  const parts = path.split('/');
  for (let length = parts.length; length > 0; length -= 1) {
    const [place, name] = [parts.slice(0, length).join('/'), parts[length - 1] ?? ''];
    const isFolder = length < parts.length;
    const last = patterns.find((pattern) => (isFolder || !pattern.directoriesOnly) && pattern.matches(place, name));
    if (last !== undefined) return !last.negated;
  }
  return undefined;
}
