/**
 * The line inside one process, by KB: first come, first served, at no cost of disk. Callers that share a turn
 * (notes, which one of them can take along for all) go on together; every other caller goes on alone.
 */
export class InProcessQueue {
  private readonly lines = new Map<string, Caller[]>();

  /** @returns a turn whose `leave` must be called, once, whether it came or not */
  join(key: string, isShared: boolean): Turn {
    const line = this.lines.get(key) ?? [];
    this.lines.set(key, line);
    let start!: () => void;
    const came = new Promise<void>((resolve) => (start = resolve));
    const caller: Caller = { isShared, start };
    line.push(caller);
    startFirst(line);
    return {
      came,
      hasCome: () => line.slice(0, countFirst(line)).includes(caller),
      place: () => line.indexOf(caller) + 1,
      leave: () => {
        line.splice(line.indexOf(caller), 1);
        if (line.length === 0) this.lines.delete(key);
        else startFirst(line);
      },
    };
  }
}

interface Caller {
  readonly isShared: boolean;
  readonly start: () => void;
}

export interface Turn {
  /** Resolves when it is this one's turn. */
  readonly came: Promise<void>;
  hasCome(): boolean;
  /** 1: first in line. */
  place(): number;
  leave(): void;
}

/** How many callers, from the first on, have their turn now. */
function countFirst(line: readonly Caller[]): number {
  const alone = line.findIndex(({ isShared }) => !isShared);
  return alone < 0 ? line.length : Math.max(1, alone);
}

function startFirst(line: readonly Caller[]): void {
  for (const { start } of line.slice(0, countFirst(line))) start();
}
