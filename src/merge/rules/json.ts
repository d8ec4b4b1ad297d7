/**
 * JSON and canvas files are merged by what they say: members by their keys, elements of a list by their id or their
 * value. A value that both sides changed, each in its own way, is left to a person. The text is spliced from what the
 * sides wrote, in the layout of the side that changed the layout; nothing is written anew.
 */
import { editedElements } from '../json/align.js';
import { JsonReader, type JsonNode } from '../json/parse.js';
import { orderedUnion } from '../ordered-union.js';
import { renamedByBoth, renamedByOne, type Values } from '../renamed-keys.js';
import type { RuleChoice, RuleName } from '../rule-names.js';
import { isSetKey } from '../yaml/value-lists.js';
import { isOfLatest, laterOf } from './later-value.js';

/** Members that name an element of a list, if every element has one and no two share it. */
const NAMES = ['id', 'uuid', 'key', 'name', 'slug', 'title', 'url', 'path'];

interface Source {
  readonly text: string;
  readonly node: JsonNode;
}

/** The merged text and what it rests on, or undefined where it is no JSON or both sides changed one value. */
export function mergeJson(
  base: string | undefined,
  ours: string,
  theirs: string,
  choice: RuleChoice,
): { readonly text: string; readonly rules: readonly RuleName[] } | undefined {
  const reader = new JsonReader();
  const read = (text: string): Source | undefined => {
    const node = reader.read(text);
    return node === undefined ? undefined : { text, node };
  };
  const [o, t] = [read(ours), read(theirs)];
  const b = base === undefined || base.trim() === '' ? undefined : read(base);
  if (o === undefined || t === undefined || (b === undefined && base !== undefined && base.trim() !== ''))
    return undefined;
  const isTheirLayout = base !== undefined && layoutOf(base) === layoutOf(ours) && layoutOf(base) !== layoutOf(theirs);
  const merger = new Merger(choice, isTheirLayout);
  const value = isTheirLayout ? merger.merge(b, t, o, ROOT) : merger.merge(b, o, t, ROOT);
  if (value === undefined) return undefined;
  const frame = isTheirLayout ? t : o;
  const merged = frame.text.slice(0, frame.node.start) + value + frame.text.slice(frame.node.end);
  return reader.read(merged) === undefined ? undefined : { text: merged, rules: [...merger.rules] };
}

export function isJson(text: string): boolean {
  return new JsonReader().read(text) !== undefined;
}

/** What the layout of a file looks like: how its first member is set apart. */
function layoutOf(text: string): string {
  return /^\uFEFF?\s*[{[](\s*)/.exec(text)?.[1] ?? '';
}

/** Where a value stands. */
interface Place {
  readonly key: string;
  /** 0: in the outermost object. */
  readonly depth: number;
  /** From which sides what is said of the latest thing has come, in the object that it stands in. */
  readonly latest: Set<'ours' | 'theirs'>;
}

const ROOT: Place = { key: '', depth: -1, latest: new Set() };

class Merger {
  readonly rules = new Set<RuleName>(['json']);

  /** @param isSwapped the first of the two sides is theirs */
  constructor(
    private readonly choice: RuleChoice,
    private readonly isSwapped: boolean,
  ) {}

  merge(base: Source | undefined, one: Source, other: Source, place: Place): string | undefined {
    const id = base?.node.id;
    if (one.node.id === other.node.id || other.node.id === id) return textOf(one);
    const isLaidOutAnew = base !== undefined && one.node.kind !== 'scalar' && textOf(one) !== textOf(base);
    if (one.node.id === id && !(isLaidOutAnew && other.node.kind === one.node.kind)) return fitted(other, one);
    if (one.node.kind !== other.node.kind) return undefined;
    if (one.node.kind === 'scalar') return this.later(base, one, other, place);
    return this.mergeMembers(base?.node.kind === one.node.kind ? base : undefined, one, other, place);
  }

  private later(base: Source | undefined, one: Source, other: Source, place: Place): string | undefined {
    const { key, depth, latest } = place;
    const [ours, theirs] = [textOf(one), textOf(other)];
    const was = base === undefined ? undefined : textOf(base);
    const later = laterOf({ key, base: was, ours, theirs, depth }, this.choice);
    if (later === undefined) return undefined;
    if (isOfLatest(key) && latest.add(later.side).size > 1) return undefined;
    this.rules.add(later.rule);
    return later.side === 'ours' ? ours : theirs;
  }

  private mergeMembers(base: Source | undefined, one: Source, other: Source, place: Place): string | undefined {
    const tables = tablesOf(base, one, other);
    const [b, x, y] = [[...tables.base.keys()], [...tables.one.keys()], [...tables.other.keys()]];
    const isList = one.node.kind === 'array';
    if (isList && !tables.isNamed && !isSetKey(place.key) && replacesAlike(b, x, y)) return undefined;
    const isRenaming = { one: hasNew(x, b, y), other: hasNew(y, b, x) };
    const order = this.isSwapped ? orderedUnion(b, y, x) : orderedUnion(b, x, y);
    if (order === undefined) return undefined;
    const members: Placed[] = [];
    const latest = new Set<'ours' | 'theirs'>();
    for (const key of order) {
      const [was, mine, their] = [tables.base.get(key), tables.one.get(key), tables.other.get(key)];
      if (mine !== undefined && their !== undefined) {
        const inner = { key: isList ? place.key : key, depth: place.depth + 1, latest };
        const value = this.merge(was?.source, mine.source, their.source, inner);
        if (value === undefined) return undefined;
        members.push({ index: mine.index, text: keyText(mine, their) + value });
        continue;
      }
      const only = mine ?? their;
      if (only === undefined) continue;
      if (was !== undefined) {
        if (was.source.node.id === only.source.node.id) continue; // the other side took it away
        // gone where something new has come: perhaps under another name, and then an edit of it belongs there
        const keepsEdits = this.choice.allows('delete-modify');
        if (!keepsEdits || (mine === undefined ? isRenaming.one : isRenaming.other)) return undefined;
      }
      const text = keyText(only);
      members.push(
        mine !== undefined
          ? { index: mine.index, text: text + textOf(mine.source) }
          : { index: undefined, text: text + fitted(only.source, one) },
      );
    }
    return write(members, one, other);
  }
}

interface Tables {
  readonly base: ReadonlyMap<string, Member>;
  readonly one: ReadonlyMap<string, Member>;
  readonly other: ReadonlyMap<string, Member>;
  readonly isNamed: boolean;
}

/** The members of three versions by what tells them apart. */
function tablesOf(base: Source | undefined, one: Source, other: Source): Tables {
  const name = nameFor([...(base === undefined ? [] : [base]), one, other]);
  const tables = { base: table(base, name), one: table(one, name), other: table(other, name) };
  if (base === undefined) return { ...tables, isNamed: name !== undefined };
  if (one.node.kind === 'array') {
    if (name !== undefined) return { ...tables, isNamed: true };
    const aligned = (side: Source): Map<string, Member> => table(side, undefined, keptNames(tables.base, base, side));
    return { ...tables, one: aligned(one), other: aligned(other), isNamed: false };
  }
  const [b, x, y] = [valuesOf(base), valuesOf(one), valuesOf(other)];
  const [byOne, byOther, byBoth] = [renamedByOne(b, x, y), renamedByOne(b, y, x), renamedByBoth(b, x, y)];
  if (byOne.size + byOther.size + byBoth.size === 0) return { ...tables, isNamed: true };
  return {
    base: underNames(tables.base, new Map([...byOne, ...byOther, ...byBoth])),
    one: underNames(tables.one, byOther),
    other: underNames(tables.other, byOne),
    isNamed: true,
  };
}

/** A shorter value (`true`, `10`) stands under many keys; it does not tell that one of them is another one renamed. */
const TELLING_LENGTH = 6;

function valuesOf({ node }: Source): Values {
  const isTelling = ({ kind, start, end }: JsonNode): boolean => kind !== 'scalar' || end - start >= TELLING_LENGTH;
  return new Map(node.members.map(({ key = '', value }) => [key, isTelling(value) ? value.id : undefined]));
}

/** Names of elements that a side edited in place: those of the elements of the base that they were. */
function keptNames(base: ReadonlyMap<string, Member>, { node }: Source, side: Source): ReadonlyMap<number, string> {
  const names = [...base.keys()];
  return new Map([...editedElements(node, side.node)].map(([at, was]) => [at, names[was] ?? '']));
}

function underNames(members: ReadonlyMap<string, Member>, names: ReadonlyMap<string, string>): Map<string, Member> {
  return new Map(
    [...members].map(([key, member]) => {
      const name = names.get(key);
      return name === undefined ? [key, member] : [name, { ...member, isOldName: true }];
    }),
  );
}

interface Member {
  readonly index: number;
  /** The text of the key, the colon and what is around it; empty in lists. */
  readonly start: number;
  readonly source: Source;
  /** The other side has given it another name. */
  readonly isOldName?: boolean;
}

interface Placed {
  /** In the side whose layout is kept; undefined: the other side has added it. */
  readonly index: number | undefined;
  readonly text: string;
}

function table(
  source: Source | undefined,
  name: string | undefined,
  given: ReadonlyMap<number, string> = new Map(),
): Map<string, Member> {
  const members = new Map<string, Member>();
  const counts = new Map<string, number>();
  source?.node.members.forEach(({ key, start, value }, index) => {
    const named = key ?? given.get(index) ?? (name === undefined ? undefined : scalarText(source, value, name));
    const plain = named ?? `${value.id}`;
    const number = (counts.get(plain) ?? 0) + 1;
    counts.set(plain, number);
    const unique = number === 1 ? plain : `${plain}\0${number}`;
    members.set(unique, { index, start, source: { text: source.text, node: value } });
  });
  return members;
}

/** The member by which the elements of a list are told apart; undefined: by their whole value. */
function nameFor(sources: readonly Source[]): string | undefined {
  if (sources[0]?.node.kind !== 'array') return undefined;
  return NAMES.find((name) =>
    sources.every((source) => {
      const values = source.node.members.map(({ value }) => scalarText(source, value, name));
      return values.every((value) => value !== undefined) && new Set(values).size === values.length;
    }),
  );
}

function scalarText(source: Source, element: JsonNode, name: string): string | undefined {
  const member = element.members.find(({ key }) => key === name);
  return member?.value.kind === 'scalar' ? source.text.slice(member.value.start, member.value.end) : undefined;
}

/** Elements without a name that both sides replaced: which new one stands for which old one, nobody can tell. */
function replacesAlike(base: readonly string[], one: readonly string[], other: readonly string[]): boolean {
  const [x, y, b] = [new Set(one), new Set(other), new Set(base)];
  const isGone = base.some((key) => !x.has(key) && !y.has(key));
  return isGone && one.some((key) => !b.has(key) && !y.has(key)) && other.some((key) => !b.has(key) && !x.has(key));
}

function hasNew(keys: readonly string[], base: readonly string[], others: readonly string[]): boolean {
  const known = new Set([...base, ...others]);
  return keys.some((key) => !known.has(key));
}

function textOf({ text, node }: Source): string {
  return text.slice(node.start, node.end);
}

/** @param other where this side has the old name, the one with the new name */
function keyText(member: Member, other?: Member): string {
  const { start, source } = member.isOldName === true && other !== undefined ? other : member;
  return source.text.slice(start, source.node.start);
}

/** A value over several lines, indented as the file is into which it goes. */
function fitted(value: Source, into: Source): string {
  const text = textOf(value);
  if (!text.includes('\n')) return text;
  const from = indentUnit(value.text);
  const to = indentUnit(into.text);
  return from === to || from === '' || to === ''
    ? text
    : text.replace(/\n((?:\t| )+)/g, (whole, indent: string) =>
        indent.length % from.length === 0 ? `\n${to.repeat(indent.length / from.length)}` : whole,
      );
}

function indentUnit(text: string): string {
  return /\n([ \t]+)\S/.exec(text)?.[1] ?? '';
}

/** Sets the members apart as those of the kept layout are. */
function write(members: readonly Placed[], one: Source, other: Source): string {
  const { text, node } = one;
  const open = text.slice(node.start, node.start + 1);
  const close = text.slice(node.end - 1, node.end);
  if (members.length === 0) return open + close;
  const spaces = spacesOf(one);
  const model = spaces.leads.length > 0 ? spaces : spacesOf(other);
  const first = model.leads[0] ?? '';
  const rest = model.leads[1] ?? (first.includes('\n') ? first : ' ');
  const parts = members.map(({ index, text: member }, at) => {
    const own = index === undefined ? undefined : spaces.leads[index];
    const wasFirst = index === 0;
    const lead = at === 0 ? (wasFirst ? (own ?? first) : first) : own === undefined || wasFirst ? rest : own;
    return lead + member;
  });
  return open + parts.join(',') + model.last + close;
}

/** White space before each member, and before the closing bracket. */
function spacesOf({ text, node }: Source): { leads: string[]; last: string } {
  const leads: string[] = [];
  let at = node.start + 1;
  for (const { start, value } of node.members) {
    leads.push(text.slice(at, start).replace(/^\s*,/, ''));
    at = value.end;
  }
  return { leads, last: text.slice(at, node.end - 1) };
}
