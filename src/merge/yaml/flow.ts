import { orderedUnion } from '../ordered-union.js';
import { unquoted } from './scalar.js';

/**
 * Lists and maps on the line of their key (`[a, b]`, `{a: 1}`: YAML 1.2.2, section 7.4), merged member by member and
 * written the way ours is. Undefined for anything that is not plain, and for members that contradict each other.
 */
export function mergeFlow(base: string | undefined, ours: string, theirs: string, depth = 0): string | undefined {
  const [b, o, t] = [base === undefined ? undefined : read(base), read(ours), read(theirs)];
  if (o === undefined || t?.open !== o.open || (base !== undefined && b?.open !== o.open) || depth > DEEPEST)
    return undefined;
  const [was, mine, their] = [b?.members ?? new Map<string, string>(), o.members, t.members];
  const names = orderedUnion([...was.keys()], [...mine.keys()], [...their.keys()]);
  if (names === undefined || (o.open === '[' && replacesAlike(was, mine, their))) return undefined;
  const members: string[] = [];
  for (const name of names) {
    const [before, one, other] = [was.get(name), mine.get(name), their.get(name)];
    const kept = before === one ? other : before === other || one === other ? one : null;
    if (kept !== null) {
      if (kept !== undefined) members.push(kept);
      continue;
    }
    const text = one === undefined || other === undefined ? undefined : mergeMember(before, one, other, depth);
    if (text === undefined) return undefined;
    members.push(text);
  }
  const close = o.open === '[' ? ']' : '}';
  return o.open + o.padding + members.join(o.separator) + o.padding + close;
}

const DEEPEST = 20;
/** Longer ones are not written by hand. */
const LONGEST = 16 * 1024;

interface Flow {
  readonly open: '[' | '{';
  /** By key, or by value in lists, as they are written. */
  readonly members: ReadonlyMap<string, string>;
  readonly padding: string;
  readonly separator: string;
}

const KEY = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"':,[\]{}][^:,[\]{}]*):\s+/;
const MEMBER = /"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[[\]{},]|[^"'[\]{},]+/gy;

function read(text: string): Flow | undefined {
  const open = text[0];
  if ((open !== '[' && open !== '{') || text.length > LONGEST || text.includes('#')) return undefined;
  const parts = membersOf(text);
  if (parts === undefined) return undefined;
  const members = new Map<string, string>();
  for (const part of parts) {
    const name = open === '[' ? unquoted(part) : KEY.exec(part)?.[1];
    if (name === undefined || name === '' || members.has(name)) return undefined;
    members.set(name, part);
  }
  const separator = parts.length > 1 && !/,\s/.test(text) ? ',' : ', ';
  return { open, members, padding: /^.( *)/.exec(text)?.[1] ?? '', separator };
}

/** The texts between the outermost commas; undefined where brackets or quotes do not close. */
function membersOf(text: string): string[] | undefined {
  const members: string[] = [];
  let [member, depth, at] = ['', 0, 0];
  MEMBER.lastIndex = 0;
  for (let part = MEMBER.exec(text)?.[0]; part !== undefined; part = MEMBER.exec(text)?.[0]) {
    at = MEMBER.lastIndex;
    if (part === '[' || part === '{') depth++;
    if (part === ']' || part === '}') depth--;
    const isOuter = depth === 0 || (depth === 1 && (part === ',' || at === 1));
    if (!isOuter) {
      member += part;
      continue;
    }
    if (at > 1) members.push(member.trim());
    member = '';
    if (depth === 0) break;
  }
  if (depth !== 0 || at !== text.length) return undefined;
  return members.at(-1) === '' ? members.slice(0, -1) : members; // a comma may stand behind the last one
}

/** A member of a map whose value is a collection in turn. */
function mergeMember(base: string | undefined, ours: string, theirs: string, depth: number): string | undefined {
  const key = KEY.exec(ours)?.[0];
  const valueOf = (member: string): string => member.replace(KEY, '');
  if (key === undefined) return undefined;
  const before = base === undefined ? undefined : valueOf(base);
  const value = mergeFlow(before, valueOf(ours), valueOf(theirs), depth + 1);
  return value === undefined ? undefined : key + value;
}

type Members = ReadonlyMap<string, string>;

/** Values that both sides replaced: which new one stands for which old one, nobody can tell. */
function replacesAlike(base: Members, ours: Members, theirs: Members): boolean {
  const isNew = (side: Members, other: Members): boolean =>
    [...side.keys()].some((name) => !base.has(name) && !other.has(name));
  const isGone = [...base.keys()].some((name) => !ours.has(name) && !theirs.has(name));
  return isGone && isNew(ours, theirs) && isNew(theirs, ours);
}
