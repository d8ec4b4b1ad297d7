/** From `first` on every `stride`-th of `total` points, and the last one. */
export function pointsOf(total: number, first: number, stride: number): number[] {
  if (total === 0) throw new Error('the disk does not see the work');
  const points: number[] = [];
  for (let at = first; at < total; at += stride) points.push(at);
  return [...points, total];
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
