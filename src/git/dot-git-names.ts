/**
 * Names that some file system takes for `.git` or `.gitmodules`: in another case, with characters that HFS+ ignores, as
 * a short name of NTFS, as a stream, with dots and spaces at the end.
 *
 * Sources: git's documentation of `core.protectHFS` and `core.protectNTFS` (git-config(1)); Apple TN1150,
 * "Case-Insensitive String Comparison Algorithm" (ignorable characters); Microsoft, "Naming Files, Paths, and Namespaces".
 */

/** Characters that HFS+ leaves out when it compares names, and the other invisible ones that a person cannot see either. */
export const INVISIBLE =
  /[\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]/g;

/** `.gitmodules` and the short names that NTFS makes for it; the last ones are its hashed form. */
const DOT_GITMODULES =
  /^(?:\.gitmodules|gitmod~[1-4]|gi7eba~[1-9]|gi7eb~[1-9]\d|gi7e~[1-9]\d{2}|gi7~[1-9]\d{3}|gi~[1-9]\d{4}|g~[1-9]\d{5}|~[1-9]\d{6})$/;

/** The name as the most forgiving file system would read it: no stream, no invisible characters, folded, no dots or spaces at its end. */
export function disguised(name: string): string {
  const colon = name.indexOf(':');
  const part = colon === -1 ? name : name.slice(0, colon);
  return foldCase(part.normalize('NFC').replace(INVISIBLE, '')).replace(/[. ]+$/, '');
}

/** @param read what `disguised` made of a name */
export function isDotGitmodules(read: string): boolean {
  return DOT_GITMODULES.test(read);
}

/** Upper first, so that letters with two lower forms meet (long s and s, the Kelvin sign and k). */
function foldCase(text: string): string {
  return text.toUpperCase().toLowerCase();
}
