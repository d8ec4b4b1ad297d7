/**
 * Block YAML cut into its entries, each with the very lines it stands on, so that entries can be put together anew
 * without a byte of them being written again. Only what is plain is cut (YAML 1.2.2, section 8.2): keys and list items,
 * one a line, with their indented contents. All else (tabs, anchors that span entries, flow collections over
 * several lines at the same indentation, several documents) is not understood, and said so by `undefined`.
 */
import { isBlank } from '../line-text.js';

export interface Entry {
  /** The key as written without quotes; of list items: their first line. */
  readonly name: string;
  readonly kind: 'key' | 'item';
  /** Comments and blank lines above it. */
  readonly lead: readonly string[];
  readonly lines: readonly string[];
  readonly indent: number;
}

export interface Entries {
  readonly entries: readonly Entry[];
  readonly tail: readonly string[];
}

const KEY =
  /^( *)((?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#\-?:,[\]{}&*!|>'"%@`][^#:]*?|-[^\s#:][^#:]*?|[^\s#"'][^#:\s]*(?::[^#:\s]+)*))\s*:(?=\s|$)/;
const ITEM = /^( *)-(?=\s|$)/;

export function entriesOf(lines: readonly string[]): Entries | undefined {
  const first = lines.find((line) => !isFiller(line));
  if (first === undefined) return { entries: [], tail: lines };
  const indent = indentOf(first);
  const kind = ITEM.test(first) ? 'item' : 'key';
  const entries: Entry[] = [];
  let lead: string[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? '';
    if (isFiller(line)) {
      lead.push(line);
      at++;
      continue;
    }
    if (line.includes('\t') && /^\s*\t/.test(line)) return undefined;
    if (indentOf(line) !== indent) return undefined;
    const name = kind === 'item' ? (ITEM.test(line) ? line.trim().replace(/^-\s+/, '- ') : undefined) : keyOf(line);
    if (name === undefined) return undefined;
    const end = endOf(lines, at, indent, kind);
    entries.push({ name, kind, lead, lines: lines.slice(at, end), indent });
    lead = [];
    at = end;
  }
  if (kind === 'key' && new Set(entries.map(({ name }) => name)).size !== entries.length) return undefined;
  return { entries, tail: lead };
}

/** A key is not longer than this (YAML 1.2.2, section 8.2.2: 1024 characters). */
const LONGEST_KEY = 1024;

function keyOf(line: string): string | undefined {
  if (line.search(/\S/) > LONGEST_KEY) return undefined;
  return readKey(line.slice(0, 2 * LONGEST_KEY));
}

function readKey(line: string): string | undefined {
  const key = KEY.exec(line)?.[2];
  return key?.replace(/^(["'])(.*)\1$/, '$2');
}

/**
 * An entry goes on with what is indented deeper; a key without value also with a list at its own indentation. A comment
 * amid them may stand anywhere: it ends nothing.
 */
function endOf(lines: readonly string[], start: number, indent: number, kind: Entry['kind']): number {
  const isBare = kind === 'key' && /:\s*(?:[&!]\S+\s*)?(?:#.*)?$/.test((lines[start] ?? '').trimEnd());
  let end = start + 1;
  for (let at = start + 1; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (isBlank(line)) continue;
    const depth = indentOf(line);
    if (depth <= indent && isFiller(line)) continue;
    const belongs = depth > indent || (isBare && depth === indent && ITEM.test(line));
    if (!belongs) break;
    end = at + 1;
  }
  return end;
}

function isFiller(line: string): boolean {
  return isBlank(line) || /^\s*#/.test(line);
}

export function indentOf(line: string): number {
  return /^ */.exec(line)?.[0].length ?? 0;
}

/** The value on a key's own line, and the lines below it. */
export function valueOf(entry: Entry): { readonly inline: string; readonly below: readonly string[] } {
  const first = entry.lines[0] ?? '';
  const inline = entry.kind === 'key' ? first.replace(KEY, '') : first.replace(ITEM, '');
  return { inline: inline.trim(), below: entry.lines.slice(1) };
}
