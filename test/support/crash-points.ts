/**
 * The points at which a kill leaves a state of the disk of its own. Flushing changes nothing that those see who come
 * after a kill, so a kill at it is one at the next call.
 */
export function distinctPoints(calls: readonly string[]): number[] {
  if (calls.length === 0) throw new Error('the disk does not see the work');
  return calls.flatMap((call, at) => (call.startsWith('fsyncSync') && at + 1 < calls.length ? [] : [at + 1]));
}

/** Of the points within the object store, whose content nobody looks for before a ref names it, each `stride`-th. */
export function thinnedInObjects(points: readonly number[], calls: readonly string[], stride: number): number[] {
  return points.filter((at, index) => {
    // Writes name no file: they belong to what was opened before them.
    const call =
      calls
        .slice(0, at)
        .filter((one) => !/^(write|fsync)Sync/.test(one))
        .at(-1) ?? '';
    return !/\/objects\//.test(call) || index % stride === 0;
  });
}

/** From `first` on every `stride`-th of `total` points, and the last one. */
export function pointsOf(total: number, first: number, stride: number): number[] {
  if (total === 0) throw new Error('the disk does not see the work');
  const points: number[] = [];
  for (let at = first; at < total; at += stride) points.push(at);
  return [...points, total];
}

/** Of the points every `stride`-th, from the `first`-th on (1: the first), and the last one. */
export function everyNth(points: readonly number[], stride: number, first = 1): number[] {
  const places = new Set(pointsOf(points.length, first, stride));
  return points.filter((_point, at) => places.has(at + 1));
}

/** The first change of each kind that moves something: names appear, change and go outside of the object store. */
export function turningPoints(calls: readonly string[]): number[] {
  const kinds = new Map<string, number>();
  for (const [at, call] of calls.entries()) {
    if (!/^(rename|link|unlink)Sync /.test(call) || /\/objects\//.test(call)) continue;
    const kind = call.replace(/[0-9a-f]{8,}|\d+/g, '…');
    if (!kinds.has(kind)) kinds.set(kind, at + 1);
  }
  return [...kinds.values()];
}

/** Runs the attempts one after the other; what they find wrong, each kind once, with the first call it was seen at. */
export async function problemsOfAll(attempts: Iterable<() => Promise<string[]>>): Promise<string[]> {
  const kinds = new Map<string, { first: string; times: number }>();
  for (const attempt of attempts) {
    for (const problem of await attempt()) {
      const [label = '', text = ''] = problem.split(/: (.*)/s);
      const kind = text.replace(/[0-9a-f]{12,40}|_\d+_|\d+\.\d+\.|tok\d+x/g, '…');
      const seen = kinds.get(kind);
      if (seen === undefined) kinds.set(kind, { first: `${label}: ${text}`, times: 1 });
      else seen.times += 1;
    }
  }
  return [...kinds.values()].map(({ first, times }) => (times === 1 ? first : `${times} times, first at ${first}`));
}
