/**
 * Characters that act on a terminal, or that make text look like other text, instead of showing something:
 * C0 and C1 controls, zero-width space and bidirectional controls (CVE-2021-42574 "Trojan Source"), the line and
 * paragraph separators, the byte order mark, invisible "tag" characters, and halves of surrogate pairs. Zero-width joiner and non-joiner stay: scripts and
 * emoji need them.
 */
const UNSAFE =
  // eslint-disable-next-line no-control-regex -- control characters are what this is about
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Text from elsewhere longer than this is cut: a message must stay readable. */
const DEFAULT_MAX = 500;

/**
 * Text that came from a remote, a file name, an author or a message, safe to put on a terminal and into a
 * log line: every control, escape and bidi character is shown as an escape (`\x1b`, `\u202e`), never obeyed,
 * and the length is bounded. The result is one line.
 * @param max longest result in UTF-16 units, the `…` that marks a cut included
 */
export function printable(text: string, max: number = DEFAULT_MAX): string {
  // Cut before escaping as well, so that a huge text costs no more than what is shown of it.
  const head = text.length > max ? text.slice(0, max) : text;
  const shown = head.replace(UNSAFE, escape);
  if (text.length <= max && shown.length <= max) return shown;
  return `${shown.slice(0, Math.max(0, max - 1)).replace(/[\ud800-\udbff]$/, '')}…`;
}

function escape(character: string): string {
  const named = NAMED[character];
  if (named !== undefined) return named;
  const code = character.codePointAt(0) ?? 0;
  if (code > 0xffff) return `\\u{${code.toString(16)}}`;
  return code > 0xff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\x${code.toString(16).padStart(2, '0')}`;
}
