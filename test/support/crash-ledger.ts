import { git } from './native-git.js';

/** How often an edit may be in the remote branch in the end. */
export type Promised =
  /** Its writer was told that it landed, or that it is kept; or its entry lay whole in the queue when its writer died. */
  | 'once'
  /** Nobody was told anything. */
  | 'at most once'
  /** Its writer was told that nothing happened. */
  | 'never'
  /** An edit of the same line as somebody else's: both versions are kept, wherever. */
  | 'somewhere'
  /** Its record was damaged from outside in a way that nothing can be told from. */
  | 'nothing';

/** Edits carry a word of this form, in a line of their own. */
const TOKEN = /\btok\d+x\b/g;

/** What was promised for each edit, and whether it was kept. An edit goes by a word that is in no other. */
export class Ledger {
  private readonly promised: Map<string, Promised>;
  private readonly fixed: Set<string>;

  constructor(before?: Ledger) {
    this.promised = new Map(before?.promised);
    this.fixed = new Set(before?.fixed);
  }

  static token(number: number): string {
    return `tok${number}x`;
  }

  get tokens(): string[] {
    return [...this.promised.keys()];
  }

  of(token: string): Promised | undefined {
    return this.promised.get(token);
  }

  promise(token: string, promised: Promised): void {
    if (!this.fixed.has(token)) this.promised.set(token, promised);
  }

  /** Whatever its writer is told from now on. */
  fix(token: string, promised: Promised): void {
    if (!this.fixed.has(token) || promised === 'nothing') this.promised.set(token, promised);
    this.fixed.add(token);
  }

  /** The text holds edits that are whole on disk: they must not be lost any more. */
  keepAllIn(text: string): void {
    for (const token of text.match(TOKEN) ?? []) {
      if (this.promised.get(token) === 'at most once') this.promise(token, 'once');
    }
  }

  /** @param remote a bare repository whose history is linear */
  problems(remote: string): string[] {
    if (this.promised.size === 0) return [];
    const history = git(remote, ['log', '-p', '--format=commit %h', '--no-color', '--no-ext-diff', 'main']);
    const added = new Map<string, number>();
    const removed = new Map<string, number>();
    for (const line of history.split('\n')) {
      if (/^([+-])\1\1 /.test(line)) continue;
      const counts = line.startsWith('+') ? added : line.startsWith('-') ? removed : undefined;
      if (counts === undefined) continue;
      for (const token of line.match(TOKEN) ?? []) counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    const problems: string[] = [];
    for (const [token, promised] of this.promised) {
      const times = added.get(token) ?? 0;
      const isKept =
        promised === 'nothing' ||
        (promised === 'somewhere'
          ? times >= 1
          : (removed.get(token) ?? 0) === 0 &&
            (promised === 'once' ? times === 1 : promised === 'never' ? times === 0 : times <= 1));
      if (!isKept) {
        const what = `came ${times} times and was removed ${removed.get(token) ?? 0} times`;
        problems.push(`an edit that should be there ${promised} ${what} (${token})`);
      }
    }
    for (const token of new Set([...added.keys()])) {
      if (!this.promised.has(token)) problems.push(`an edit that nobody made is there (${token})`);
    }
    return problems;
  }
}
