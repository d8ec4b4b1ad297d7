/**
 * The line inside one process, by KB: first come, first served, at no cost of disk. Only its first joins the
 * line on disk, so a process with a hundred callers waits as one.
 */
export class InProcessQueue {
  private readonly lines = new Map<string, Array<() => void>>();

  /** @returns a turn whose `leave` must be called, once, whether it came or not */
  join(key: string): Turn {
    const line = this.lines.get(key) ?? [];
    this.lines.set(key, line);
    let start!: () => void;
    const came = new Promise<void>((resolve) => (start = resolve));
    line.push(start);
    if (line.length === 1) start();
    return {
      came,
      place: () => line.indexOf(start) + 1,
      leave: () => {
        const place = line.indexOf(start);
        line.splice(place, 1);
        if (line.length === 0) this.lines.delete(key);
        else if (place === 0) line[0]?.();
      },
    };
  }
}

export interface Turn {
  /** Resolves when everyone ahead has left. */
  readonly came: Promise<void>;
  /** 1: it is this one's turn. */
  place(): number;
  leave(): void;
}
