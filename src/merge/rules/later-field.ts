/**
 * `**Version**: 1.3.9` or `Last updated: 2026-11-20` in a line of its own says in prose what a key says in front matter, and
 * is decided as there: of two versions that both sides raised the higher, of two dates of the last change the newer. Only
 * where nothing else in the line differs, and the words before the colon say what it is.
 */
import { touchesCode, type Chunk, type ChunkRule } from '../chunk.js';
import type { RuleName } from '../rule-names.js';
import { laterOf } from './later-value.js';
import { isVersionKey } from './newest-version.js';

/** Marks, a few words, a colon, one value, marks. */
const FIELD =
  /^([^\p{L}\p{N}]*)(\p{L}[\p{L}\p{N} _-]{0,40}?)([*_`"'\s]*:[*_`"'\s]*)([~^<>=v]*\d[\p{L}\p{N}.:+\-/ ]{0,40}?)([^\p{L}\p{N}]*)$/u;

/** Longer lines are no fields. */
const LONGEST_LINE = 200;

export const newestDateField: ChunkRule = (chunk) => decide(chunk, 'newest-date');

export const newestVersionField: ChunkRule = (chunk) => decide(chunk, 'newest-version');

function decide(chunk: Chunk, rule: RuleName): readonly string[] | undefined {
  const { base, ours, theirs, versions } = chunk;
  const { kind } = versions.ours;
  if ((kind !== 'markdown' && kind !== 'text') || chunk.isAddAdd || touchesCode(chunk)) return undefined;
  if (base.length !== ours.length || base.length !== theirs.length) return undefined;
  const lines: string[] = [];
  for (const [at, was] of base.entries()) {
    const [mine = '', their = ''] = [ours[at], theirs[at]];
    const line = mine === their || their === was ? mine : mine === was ? their : laterLine(was, mine, their, rule);
    if (line === undefined) return undefined;
    lines.push(line);
  }
  return lines;
}

function laterLine(was: string, mine: string, their: string, rule: RuleName): string | undefined {
  if (Math.max(was.length, mine.length, their.length) > LONGEST_LINE) return undefined;
  const [b, o, t] = [FIELD.exec(was), FIELD.exec(mine), FIELD.exec(their)];
  if (!b || !o || !t) return undefined;
  const around = ([, marks, label, colon, , end]: RegExpExecArray): string => [marks, label, colon, end].join('\n');
  if (around(o) !== around(b) || around(t) !== around(b)) return undefined;
  const [, , label = '', , value = ''] = b;
  const key = label.toLowerCase();
  if (rule === 'newest-version' && !isVersionKey(key)) return undefined;
  const contested = { key, base: value, ours: o[4] ?? '', theirs: t[4] ?? '', depth: 1 };
  const later = laterOf(contested, { allows: (name) => name === rule });
  return later === undefined ? undefined : later.side === 'ours' ? mine : their;
}
