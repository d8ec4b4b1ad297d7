import { AsyncLocalStorage } from 'node:async_hooks';

/** What must be known of a lock to join it. */
export interface JoinableLock {
  /** For `KB_LOCK_TOKEN`. */
  readonly token: string;
  /** @throws KbError E_LOCK_LOST */
  assertHeld(): void;
}

/** Which lock a call joins that is made in this flow of control. */
interface Scope {
  /** @param directory the KB's real path */
  find(directory: string): Inside | undefined;
}

const scopes = new AsyncLocalStorage<Scope>();

/** The body of one lock, and the calls in it that have joined the lock. */
class Inside implements Scope {
  private readonly calls = new Set<Promise<unknown>>();
  private isOver = false;

  constructor(
    private readonly directory: string,
    readonly lock: JoinableLock,
    private readonly outer: Scope | undefined,
  ) {}

  find(directory: string): Inside | undefined {
    return directory === this.directory && !this.isOver ? this : this.outer?.find(directory);
  }

  /** A call may make further calls as long as it lasts, also when the body has ended already. */
  async join<T>(call: () => Promise<T>): Promise<T> {
    const outer = scopes.getStore();
    let isOver = false;
    const scope: Scope = {
      find: (directory) => (directory === this.directory && !isOver ? this : outer?.find(directory)),
    };
    const made = scopes.run(scope, call);
    this.calls.add(made);
    try {
      return await made;
    } finally {
      isOver = true;
      this.calls.delete(made);
    }
  }

  async end(): Promise<void> {
    this.isOver = true;
    while (this.calls.size > 0) await Promise.allSettled(this.calls);
  }
}

/**
 * Runs the body of a lock; calls in it that go through `joinHeldLock` join that lock.
 *
 * Invariant: it does not end, and so the lock is not given back, while a call that joined is under way, even if the
 * body did not wait for that call. What is called after the end of the body, from a timer of it say, waits for
 * the lock like everybody. (Broken by: test/integration/library.test.ts "waits for a call that nobody awaited")
 * @param directory the KB's real path
 */
export async function runInside<T>(directory: string, lock: JoinableLock, body: () => Promise<T>): Promise<T> {
  const inside = new Inside(directory, lock, scopes.getStore());
  try {
    return await scopes.run(inside, body);
  } finally {
    await inside.end();
  }
}

/**
 * Makes a call with the token of the lock that a call around it holds on the same KB; undefined: there is none.
 * @throws KbError E_LOCK_LOST when that lock was taken away; and what the call throws
 */
export async function joinHeldLock<T>(directory: string, call: (token: string | undefined) => Promise<T>): Promise<T> {
  const inside = scopes.getStore()?.find(directory);
  if (inside === undefined) return call(undefined);
  inside.lock.assertHeld();
  return inside.join(() => call(inside.lock.token));
}
