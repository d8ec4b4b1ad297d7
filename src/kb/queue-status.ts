import type { QueuedEntry } from '../lock/entry-queue.js';
import { readWaiters, type PlaceName } from '../lock/lock.js';
import { openQueue } from './group-commit.js';
import { parseEntry } from './note-entry.js';
import type { Kb } from './open.js';

/** One who waits, or whose note waits, for the lock. */
export interface QueueItem {
  /** 1: next. */
  readonly place: number;
  /** `user@host pid N`. */
  readonly who: string;
  readonly operation: string;
  /** RFC 3339. */
  readonly since: string;
  /** `claimed`: a holder has the note and is bringing it out; `turn`: a command that waits for the lock itself. */
  readonly state: 'claimed' | 'entry' | 'turn';
}

/** The queue in the order in which it is served. Reads only; what can't be read is listed without a name. */
export function readQueue(kb: Kb): QueueItem[] {
  const queue = openQueue(kb);
  const { claimed, waiting } = queue.look();
  const line = readWaiters(kb.surroundings.disk, kb.root);
  const inLine = new Set(line.map(({ place }) => place));
  const byPlace = new Map<PlaceName, QueuedEntry>(waiting.map((entry) => [entry.place, entry]));
  const ofEntry = (entry: QueuedEntry): Omit<QueueItem, 'place'> => {
    const data = queue.read(entry);
    const waiter = data === undefined ? undefined : parseEntry(data)?.waiter;
    return {
      who: describe(waiter),
      operation: 'note',
      since: waiter?.since ?? '',
      state: entry.claimer === undefined ? 'entry' : 'claimed',
    };
  };
  const items = [
    ...claimed.map(ofEntry),
    ...waiting.filter(({ place }) => !inLine.has(place)).map(ofEntry),
    ...line.map(({ place, owner }): Omit<QueueItem, 'place'> => {
      const entry = byPlace.get(place);
      if (entry !== undefined) return ofEntry(entry);
      return { who: describe(owner), operation: owner?.operation ?? '', since: owner?.since ?? '', state: 'turn' };
    }),
  ];
  return items.map((item, index) => ({ place: index + 1, ...item }));
}

function describe(who: { readonly user: string; readonly host: string; readonly pid: number } | undefined): string {
  return who === undefined ? 'somebody' : `${who.user}@${who.host} pid ${who.pid}`;
}
