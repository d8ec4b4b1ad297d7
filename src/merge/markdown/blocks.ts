import { isBlank, squashed } from '../line-text.js';

export type BlockKind = 'item' | 'row' | 'reference' | 'section' | 'fence' | 'paragraph' | 'line';

/** A part of a note that stands or falls as a whole. */
export interface Block {
  readonly kind: BlockKind;
  /** Blank lines above it. */
  readonly lead: readonly string[];
  readonly lines: readonly string[];
  /** Of list items: how far they are indented. */
  readonly indent: number;
}

export interface Blocks {
  readonly blocks: readonly Block[];
  /** Blank lines below the last one. */
  readonly tail: readonly string[];
}

const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(\s+|$)/;
const HEADING = /^ {0,3}(#{1,6})(\s|$)/;
const REFERENCE = /^ {0,3}\*?\[[^\]]+\]:\s*\S/;
const FENCE = /^(\s*)(`{3,}|~{3,})/;

export function isItem(line: string): boolean {
  return ITEM.test(line) && !/^\s*([-*+]\s*){3,}$/.test(line);
}

export function isRow(line: string): boolean {
  const text = line.trim();
  return text.length > 1 && text.startsWith('|') && text.endsWith('|');
}

export function isReference(line: string): boolean {
  return REFERENCE.test(line);
}

/** 1 to 6; 0: no heading. */
export function headingLevel(line: string): number {
  return HEADING.exec(line)?.[1]?.length ?? 0;
}

export function indentOf(line: string): number {
  let width = 0;
  for (const character of line) {
    if (character === ' ') width++;
    else if (character === '\t') width += 4 - (width % 4);
    else break;
  }
  return width;
}

/** Cuts lines of a note into its parts; a heading takes along what stands below it, up to the next of its level. */
export function blocksOf(lines: readonly string[]): Blocks {
  const blocks: Block[] = [];
  let lead: string[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? '';
    if (isBlank(line)) {
      lead.push(line);
      at++;
      continue;
    }
    const kind = kindOf(line);
    const end = endOfBlock(lines, at, kind);
    blocks.push({ kind, lead, lines: lines.slice(at, end), indent: indentOf(line) });
    lead = [];
    at = end;
  }
  return { blocks, tail: lead };
}

function kindOf(line: string): BlockKind {
  if (headingLevel(line) > 0) return 'section';
  if (FENCE.test(line)) return 'fence';
  if (isItem(line)) return 'item';
  if (isRow(line)) return 'row';
  if (isReference(line)) return 'reference';
  return 'paragraph';
}

function endOfBlock(lines: readonly string[], start: number, kind: BlockKind): number {
  if (kind === 'row' || kind === 'reference') return start + 1;
  if (kind === 'fence') return endOfFence(lines, start);
  if (kind === 'section') return endOfSection(lines, start);
  if (kind === 'item') return endOfItem(lines, start);
  let end = start + 1;
  while (end < lines.length && !isBlank(lines[end] ?? '') && kindOf(lines[end] ?? '') === 'paragraph') end++;
  return end;
}

function endOfFence(lines: readonly string[], start: number): number {
  const mark = FENCE.exec(lines[start] ?? '')?.[2] ?? '```';
  for (let end = start + 1; end < lines.length; end++) {
    if ((lines[end] ?? '').trim().startsWith(mark)) return end + 1;
  }
  return lines.length;
}

function endOfSection(lines: readonly string[], start: number): number {
  const level = headingLevel(lines[start] ?? '');
  let end = start + 1;
  while (end < lines.length) {
    const line = lines[end] ?? '';
    const other = headingLevel(line);
    if (other > 0 && other <= level) break;
    end = FENCE.test(line) ? endOfFence(lines, end) : end + 1;
  }
  while (end > start + 1 && isBlank(lines[end - 1] ?? '')) end--; // they separate it from what follows
  return end;
}

/** An item goes on with what is indented deeper, and with a paragraph's lines that simply follow. */
function endOfItem(lines: readonly string[], start: number): number {
  const indent = indentOf(lines[start] ?? '');
  let end = start + 1;
  let isLazy = true;
  for (let at = start + 1; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (isBlank(line)) {
      isLazy = false;
      continue;
    }
    const isDeeper = indentOf(line) > indent;
    if (!isDeeper && !(isLazy && kindOf(line) === 'paragraph')) break;
    if (isDeeper && FENCE.test(line)) at = endOfFence(lines, at) - 1;
    end = at + 1;
  }
  return end;
}

/** Equal blocks have equal keys; white space does not count. */
export function textKey(block: Block): string {
  return block.lines
    .map(squashed)
    .filter((line) => line !== '')
    .join('\n');
}

/** Equal for blocks that say the same in lines of other lengths; what is quoted (`>`) may be wrapped anew, too. */
export function flowKey(block: Block): string {
  const { kind, lines } = block;
  if (kind === 'section') return [squashed(lines[0] ?? ''), ...blocksOf(lines.slice(1)).blocks.map(flowKey)].join('\n');
  if (kind !== 'paragraph' && kind !== 'item') return textKey(block);
  const isQuote = lines.every((line) => /^\s*>/.test(line));
  const text = lines.map((line) => squashed(isQuote ? line.replace(/^\s*>/, '') : line));
  return text.reduce((flow, line) => flow + (kindOf(line) === 'paragraph' ? ' ' : '\n') + line, '').trim();
}

/**
 * Where the first link of a text leads, without what differs between two spellings of one address. Entries that are
 * made from a template look alike in their words; the target says whether they are about the same thing.
 */
export function linkTarget(text: string): string | undefined {
  const target = /\]\(\s*<?([^)\s>]+)/.exec(text)?.[1] ?? /https?:\/\/[^\s)>\]|]+/.exec(text)?.[0];
  const wiki = target === undefined ? /\[\[([^\]|#]+)/.exec(text)?.[1] : undefined;
  return (target ?? wiki)
    ?.toLowerCase()
    .replace(/^https?:\/\/(www\.)?/, '')
    .replace(/[/.,]+$/, '');
}
