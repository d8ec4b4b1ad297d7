export type EditKind = 'note' | 'append' | 'keyed' | 'offline' | 'hand' | 'run';

/** One edit. Its token stands in exactly one line of what it writes, and nowhere else. */
export interface StormEdit {
  readonly token: string;
  readonly kind: EditKind;
  /** Idempotence key. */
  readonly key?: string;
  /** `no`: whatever became of it, it may be there once at most. */
  acknowledged: 'no' | 'landed' | 'kept';
  /** How often its command was started. */
  attempts: number;
  /** The commit that an acknowledgement named as landed. */
  commit?: string;
  /** How each attempt ended: when, exit code, commit or error. */
  readonly history: string[];
}

/** Self-delimiting, so that no token is part of another one. */
export const TOKEN = /kbt-c\d+w\d+-\d+z/g;

/** What the writers have asked for and what kb has answered: the other side of the books that the verdict balances. */
export class StormLedger {
  readonly edits: StormEdit[] = [];
  readonly exits = new Map<string, number>();
  readonly #problems = new Map<string, string[]>();

  open(writer: string, kind: EditKind, key?: string): StormEdit {
    const token = `kbt-${writer}-${this.edits.length + 1}z`;
    const edit: StormEdit = {
      token,
      kind,
      acknowledged: 'no',
      attempts: 0,
      history: [],
      ...(key === undefined ? {} : { key }),
    };
    this.edits.push(edit);
    return edit;
  }

  countExit(command: string, code: number | null): void {
    const name = `${command} ${code ?? 'killed'}`;
    this.exits.set(name, (this.exits.get(name) ?? 0) + 1);
  }

  /** @param invariant the sentence that turned out not to hold */
  break(invariant: string, detail: string): void {
    const details = this.#problems.get(invariant) ?? [];
    details.push(detail);
    this.#problems.set(invariant, details);
  }

  get broken(): number {
    return [...this.#problems.values()].reduce((sum, details) => sum + details.length, 0);
  }

  /** Each invariant once, with how often it broke and the first cases. */
  problems(): string[] {
    return [...this.#problems].map(
      ([invariant, details]) => `${invariant} (broken ${details.length} times): ${details.slice(0, 4).join(' | ')}`,
    );
  }

  get acknowledged(): number {
    return this.edits.filter(({ acknowledged }) => acknowledged !== 'no').length;
  }
}
