import { diffLines, type LineChange } from './diff.js';
import { changedRegions, type Region } from './diff3.js';

const known = new WeakMap<
  readonly string[],
  { readonly base: readonly string[]; readonly theirs: readonly string[]; readonly regions: readonly Region[] }
>();

/**
 * The places that a side changed. Asked twice about the same lines (by the merge, then by the law), it looks once: on a
 * long note this is a third of the time. The lists of lines must not change.
 */
export function lineRegions(
  base: readonly string[],
  ours: readonly string[],
  theirs: readonly string[],
): readonly Region[] {
  const seen = known.get(ours);
  if (seen?.base === base && seen.theirs === theirs) return seen.regions;
  const numbers = new LineNumbers(base);
  const regions = changedRegions(numbers.changesTo(ours), numbers.changesTo(theirs));
  known.set(ours, { base, theirs, regions });
  return regions;
}

/**
 * Numbers for the lines of a text and of its other versions, equal for equal lines. Nearly every line of another version
 * is the one that comes next in this text; then one comparison is enough, without a look into the table.
 */
class LineNumbers {
  private readonly known = new Map<string, number>();
  private readonly ids: Int32Array;
  /** By number: where a line of the text stands for the first time. */
  private readonly firstAt: number[] = [];

  constructor(private readonly lines: readonly string[]) {
    this.ids = new Int32Array(lines.length);
    for (let at = 0; at < lines.length; at++) {
      const id = this.numberOf(lines[at] as string);
      this.ids[at] = id;
      if (id === this.firstAt.length) this.firstAt.push(at);
    }
  }

  changesTo(other: readonly string[]): LineChange[] {
    const { lines } = this;
    if (lines.length === 0) {
      return other.length === 0 ? [] : [{ oldStart: 0, oldCount: 0, newStart: 0, newCount: other.length }];
    }
    const ids = new Int32Array(other.length);
    let next = 0; // the line of the text that is looked for
    for (let at = 0; at < other.length; at++) {
      const line = other[at] as string;
      if (line === lines[next]) {
        ids[at] = this.ids[next] as number;
        next++;
      } else {
        const id = this.numberOf(line);
        ids[at] = id;
        next = (this.firstAt[id] ?? next) + 1;
      }
    }
    return diffLines(this.ids, ids);
  }

  private numberOf(line: string): number {
    let id = this.known.get(line);
    if (id === undefined) {
      id = this.known.size;
      this.known.set(line, id);
    }
    return id;
  }
}
