import type { RuleChoice, RuleName } from '../rule-names.js';
import { isOfLatest, laterOf } from '../rules/later-value.js';
import { valueOf, type Entry } from './entries.js';
import { scalarOf, valueKey, type Scalar } from './scalar.js';

interface Line extends Scalar {
  /** All of the line that stands before the value. */
  readonly head: string;
}

/**
 * A key with its value on one line, both of which both sides changed: the value and the comment behind it are
 * two things, and each is taken from the side that changed it. Of two dates or versions the later one may stay.
 */
export function mergeLine(
  { base, ours, theirs }: { readonly base: Entry | undefined; readonly ours: Entry; readonly theirs: Entry },
  { choice, rule }: { readonly choice: RuleChoice; readonly rule: RuleName },
  depth: number,
): { readonly text: string; readonly rule: RuleName } | undefined {
  const [b, o, t] = [base === undefined ? undefined : readLine(base), readLine(ours), readLine(theirs)];
  if (o === undefined || t === undefined || (base !== undefined && b === undefined)) return undefined;
  const comment = changed(b?.comment ?? '', o.comment, t.comment, (text) => text.trim());
  if (comment === undefined) return undefined;
  let value = changed(b?.value, o.value, t.value, valueKey);
  let by = rule;
  if (value === undefined) {
    const later = laterOf({ key: ours.name, base: b?.value, ours: o.value, theirs: t.value, depth }, choice);
    if (later === undefined) return undefined;
    ({ side: value, rule: by } = later);
  }
  const sides = { ours: { entry: ours, line: o }, theirs: { entry: theirs, line: t } };
  const { entry, line } = sides[value];
  if (value === comment || line.comment === sides[comment].line.comment)
    return { text: entry.lines[0] ?? '', rule: by };
  const ending = /\r?\n?$/.exec(entry.lines[0] ?? '')?.[0] ?? '';
  return { text: line.head + line.value + sides[comment].line.comment + ending, rule: by };
}

/** Whether keys that speak of one latest thing would be taken from two sides. */
export function mixesLatest(
  names: readonly string[],
  versionsOf: (name: string) => Record<'base' | 'ours' | 'theirs', Entry | undefined>,
  choice: RuleChoice,
  depth: number,
): boolean {
  const sides = names.filter(isOfLatest).map((name) => {
    const { base, ours, theirs } = versionsOf(name);
    const [o, t] = [ours, theirs].map((entry) => (entry === undefined ? undefined : readLine(entry)?.value));
    if (o === undefined || t === undefined || valueKey(o) === valueKey(t)) return undefined;
    const b = base === undefined ? undefined : readLine(base)?.value;
    if (b === o || b === t) return undefined;
    return laterOf({ key: name, base: b, ours: o, theirs: t, depth }, choice)?.side;
  });
  return new Set(sides.filter((side) => side !== undefined)).size > 1;
}

/** The side that changed a text; undefined where both did, each in its own way. */
function changed(
  base: string | undefined,
  ours: string,
  theirs: string,
  keyOf: (text: string) => string,
): 'ours' | 'theirs' | undefined {
  if (ours === theirs) return 'ours';
  // both made the file from one template: what one of them has not filled in is no value
  if (base === undefined && (ours === '' || theirs === '')) return ours === '' ? 'theirs' : 'ours';
  if (ours === base) return 'theirs';
  if (theirs === base) return 'ours';
  const [mine, their] = [keyOf(ours), keyOf(theirs)];
  const was = base === undefined ? undefined : keyOf(base);
  if (mine === their || their === was) return 'ours';
  return mine === was ? 'theirs' : undefined;
}

function readLine(entry: Entry): Line | undefined {
  const [first = ''] = entry.lines;
  if (entry.kind !== 'key' || entry.lines.length !== 1) return undefined;
  const { inline } = valueOf(entry);
  const scalar = scalarOf(inline);
  const line = first.trimEnd();
  return scalar === undefined ? undefined : { ...scalar, head: line.slice(0, line.length - inline.length) };
}
