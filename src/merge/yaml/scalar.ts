/** Values on the line of their key, taken apart from the comment behind them. */

/** `value` with its quotes, and the comment with the blanks before it (YAML 1.2.2, sections 6.6 and 7.3). */
export interface Scalar {
  readonly value: string;
  readonly comment: string;
}

const QUOTED = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')/;

/** Undefined for what goes on below its line, for collections, and for what is no YAML. */
export function scalarOf(text: string): Scalar | undefined {
  const line = text.trim();
  const quoted = QUOTED.exec(line)?.[0];
  if (quoted === undefined && /^["'|>&*!{[]/.test(line)) return undefined;
  const start = quoted?.length ?? line.search(/(?:^|\s)#/);
  const value = start < 0 ? line : line.slice(0, start).trimEnd();
  const comment = line.slice(value.length);
  return comment === '' || /^\s*#/.test(comment) ? { value, comment } : undefined;
}

export function unquoted(value: string): string {
  return value.trim().replace(/^(["'])(.*)\1$/, '$2');
}

/** Equal for values that are the same text with quotes and without. */
export function valueKey(value: string): string {
  const quoted = /^(["'])([^"'\\]*)\1$/.exec(value);
  return quoted !== null && isTextAnyway(quoted[2] ?? '') ? (quoted[2] ?? '') : value;
}

/** Whether a value would be text without quotes, too: no number, date, boolean or null, and no YAML syntax. */
function isTextAnyway(value: string): boolean {
  return /^[\p{L}][^#]*$/u.test(value) && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(value);
}
