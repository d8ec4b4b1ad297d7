/**
 * JSON (RFC 8259) as a tree that knows where in the text each value stands, so that a merge can put the text of
 * values together instead of writing them again: numbers, escapes and layout stay as they are.
 */
export interface JsonNode {
  readonly kind: 'object' | 'array' | 'scalar';
  readonly start: number;
  readonly end: number;
  readonly members: readonly JsonMember[];
  /** Equal for equal values, over all texts that were read with one {@link JsonReader}. */
  readonly id: number;
}

/** A member of an object, or an element of an array (then without key). */
export interface JsonMember {
  readonly key: string | undefined;
  readonly start: number;
  readonly value: JsonNode;
}

/** Deeper than this nobody writes by hand, and a stack would end. */
const DEEPEST = 200;
const SCALAR = /(?:"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/y;
const SPACE = /[ \t\r\n]*/y;

class Unreadable extends Error {}

export class JsonReader {
  private readonly ids = new Map<string, number>();

  /** undefined: no JSON, a key that stands twice in one object, or nested too deep. */
  read(text: string): JsonNode | undefined {
    try {
      const node = this.value(text, skip(text, text.startsWith('\uFEFF') ? 1 : 0), 0);
      return skip(text, node.end) === text.length ? node : undefined;
    } catch (error) {
      if (error instanceof Unreadable) return undefined;
      throw error;
    }
  }

  private idOf(key: string): number {
    const known = this.ids.get(key);
    if (known !== undefined) return known;
    this.ids.set(key, this.ids.size);
    return this.ids.size - 1;
  }

  private value(text: string, at: number, depth: number): JsonNode {
    if (depth > DEEPEST) throw new Unreadable();
    const open = text[at];
    if (open === '{' || open === '[') return this.group(text, at, depth, open === '{');
    SCALAR.lastIndex = at;
    const scalar = SCALAR.exec(text)?.[0];
    if (scalar === undefined) throw new Unreadable();
    const name = scalar.startsWith('"') ? `"${unescape(scalar)}` : scalar;
    return { kind: 'scalar', start: at, end: at + scalar.length, members: [], id: this.idOf(name) };
  }

  private group(text: string, start: number, depth: number, isObject: boolean): JsonNode {
    const members: JsonMember[] = [];
    const keys = new Set<string>();
    const close = isObject ? '}' : ']';
    let at = skip(text, start + 1);
    while (text[at] !== close) {
      if (members.length > 0) {
        if (text[at] !== ',') throw new Unreadable();
        at = skip(text, at + 1);
      }
      const memberStart = at;
      let key: string | undefined;
      if (isObject) {
        SCALAR.lastIndex = at;
        const quoted = SCALAR.exec(text)?.[0];
        if (quoted === undefined || !quoted.startsWith('"')) throw new Unreadable();
        key = unescape(quoted);
        if (keys.has(key)) throw new Unreadable();
        keys.add(key);
        at = skip(text, at + quoted.length);
        if (text[at] !== ':') throw new Unreadable();
        at = skip(text, at + 1);
      }
      const value = this.value(text, at, depth + 1);
      members.push({ key, start: memberStart, value });
      at = skip(text, value.end);
    }
    const parts = members.map(({ key, value }) =>
      key === undefined ? String(value.id) : `${JSON.stringify(key)}:${value.id}`,
    );
    if (isObject) parts.sort();
    const id = this.idOf(`${isObject ? '{' : '['}${parts.join(',')}`);
    return { kind: isObject ? 'object' : 'array', start, end: at + 1, members, id };
  }
}

function skip(text: string, at: number): number {
  SPACE.lastIndex = at;
  return at + (SPACE.exec(text)?.[0].length ?? 0);
}

function unescape(quoted: string): string {
  try {
    return String(JSON.parse(quoted));
  } catch {
    throw new Unreadable(); // an escape that JSON does not know
  }
}
