import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Chance } from './storm-chance.js';
import type { StormEdit, StormLedger } from './storm-ledger.js';
import type { Ended, StormProcesses } from './storm-processes.js';

export const SHARED_FILES = ['log/first.md', 'log/second.md', 'log/third.md'];

/** Durably kept, though not landed: exit codes 3 (E_NETWORK) and 12 (E_QUEUED) of the contract. */
const KEPT = [3, 12];

export interface WriterOptions {
  /** `c1w2`. */
  readonly name: string;
  readonly clone: string;
  readonly chance: Chance;
  readonly ledger: StormLedger;
  readonly processes: StormProcesses;
  /** `kb run` is part of the program. */
  readonly withRun: boolean;
}

/**
 * Somebody who writes: one command after the other, in every way that kb offers. Files that are edited without kb
 * belong to one writer alone, so that no conflict is anybody's fault but kb's.
 */
export class StormWriter {
  /** Edits of the writer's own file that no `kb sync` has confirmed. */
  readonly #byHand: StormEdit[] = [];
  /** Keys that have to be repeated until they are in. */
  readonly #unfinished: { readonly edit: StormEdit; readonly args: readonly string[] }[] = [];

  constructor(private readonly options: WriterOptions) {}

  /** One command, and for a key as many as it takes while `goesOn`. */
  async writeOnce(goesOn: () => boolean): Promise<void> {
    const { chance } = this.options;
    const kinds = { note: 5, append: 6, keyed: 5, hand: 5, offline: 1, status: 1, run: this.options.withRun ? 3 : 0 };
    switch (chance.weighted(kinds)) {
      case 'note':
        return this.#note(this.options.ledger.open(this.options.name, 'note'));
      case 'append':
        return this.#append(this.options.ledger.open(this.options.name, 'append'));
      case 'offline':
        return this.#offline(this.options.ledger.open(this.options.name, 'offline'));
      case 'keyed':
        this.#startKeyed();
        return this.finishKeys(goesOn);
      case 'hand':
        return this.#editByHand();
      case 'run':
        return this.#runCommand(this.options.ledger.open(this.options.name, 'run'));
      case 'status':
        await this.#start('status', ['status', '--json']);
    }
  }

  /** Repeats every key that has had no exit 0 yet; a key never gets another command than its first. */
  async finishKeys(goesOn: () => boolean): Promise<void> {
    while (this.#unfinished.length > 0 && goesOn()) {
      const next = this.#unfinished[0];
      if (next === undefined) return;
      const ended = await this.#write('keyed', next.edit, next.args);
      if (ended.code === 0) this.#unfinished.shift();
      else if (!ended.killed && !KEPT.includes(ended.code ?? -1)) return; // reported; no use in repeating it for ever
    }
  }

  async #note(edit: StormEdit): Promise<void> {
    await this.#write('note', edit, ['note', '--json', ...this.#place(), this.#text(edit)]);
  }

  async #append(edit: StormEdit): Promise<void> {
    await this.#write('append', edit, ['note', '--json', ...this.#sharedFile(), edit.token]);
  }

  async #offline(edit: StormEdit): Promise<void> {
    // A name of its own: what another clone puts there meanwhile would be a conflict made by the two who wrote.
    await this.#write('offline', edit, [
      'note',
      '--json',
      '--no-push',
      '--title',
      `offline ${edit.token.slice(4)}`,
      edit.token,
    ]);
  }

  #startKeyed(): void {
    const { ledger, name, chance } = this.options;
    const key = `key-${name}-${ledger.edits.length}`;
    const edit = ledger.open(name, 'keyed', key);
    const target = chance.happens(0.5) ? [...this.#sharedFile(), edit.token] : [...this.#place(), this.#text(edit)];
    this.#unfinished.push({ edit, args: ['note', '--json', '--id', key, ...target] });
  }

  async #editByHand(): Promise<void> {
    const { ledger, name, clone, chance } = this.options;
    const file = join(clone, 'hand', `${name}.md`);
    mkdirSync(dirname(file), { recursive: true });
    for (let edits = 1 + chance.below(2); edits > 0; edits -= 1) {
      const edit = ledger.open(name, 'hand');
      edit.attempts = 1;
      appendFileSync(file, `${edit.token}\n`); // one write: nobody sees half a line
      this.#byHand.push(edit);
    }
    const pending = [...this.#byHand];
    const ended = await this.#start('sync', ['sync', '--json']);
    if (ended.code !== 0 && !KEPT.includes(ended.code ?? -1)) return;
    for (const edit of pending) edit.acknowledged = ended.code === 0 ? 'landed' : 'kept';
    this.#byHand.length = 0;
  }

  /** The command takes a lock of its own, which dies with it: two commands at once in one KB cannot go unseen. */
  async #runCommand(edit: StormEdit): Promise<void> {
    const file = `run/${this.options.name}.md`;
    const nap = this.options.chance.happens(0.3) ? '/bin/sleep 0.2; ' : '';
    const script = `/bin/mkdir -p run; ${nap}echo ${edit.token} >> ${file}`;
    const alone = ['/usr/bin/flock', '--nonblock', '--conflict-exit-code', '99', '.git/storm-inside'];
    await this.#write('run', edit, ['run', '--json', '--path', file, '--', ...alone, '/bin/sh', '-c', script]);
  }

  async #write(name: string, edit: StormEdit, args: readonly string[]): Promise<Ended> {
    edit.attempts += 1;
    const startedAt = new Date().toISOString().slice(14);
    const ended = await this.#start(name, args);
    edit.history.push(
      `${startedAt} +${Math.round(ended.durationMs)} ms: ${ended.killed ? 'killed' : ended.stdout.trim()}`.slice(
        0,
        400,
      ),
    );
    if (ended.code === 0) {
      const { landed, commit } = JSON.parse(ended.stdout) as { landed?: boolean; commit?: string };
      edit.acknowledged = landed === false ? 'kept' : 'landed';
      if (landed === true && commit !== undefined) edit.commit = commit;
    } else if (KEPT.includes(ended.code ?? -1)) edit.acknowledged = 'kept';
    return ended;
  }

  async #start(name: string, args: readonly string[]): Promise<Ended> {
    const { ledger, processes, clone } = this.options;
    const ended = await processes.run({ clone, args });
    ledger.countExit(name, ended.killed ? null : (ended.code ?? -1));
    if (!ended.killed && ended.code !== 0 && !KEPT.includes(ended.code ?? -1)) {
      const said = `${ended.stderr}${ended.stdout}`.trim().slice(0, 600);
      ledger.break(
        `a command that may be killed but not refused ended with ${ended.code}`,
        `${this.options.name}, kb ${args.join(' ')}: ${said}`,
      );
    }
    return ended;
  }

  #sharedFile(): string[] {
    const { chance } = this.options;
    const heading = chance.happens(0.3) ? ['--heading', '## Later'] : [];
    return ['--append', chance.pick(SHARED_FILES) ?? '', ...heading];
  }

  /** Few names for many notes: that each gets one of its own is kb's task. */
  #place(): string[] {
    return this.options.chance.happens(0.3) ? ['--dir', `notes/${this.options.chance.below(4)}`] : [];
  }

  #text(edit: StormEdit): string {
    return `thought ${this.options.chance.below(40)}\n\n${edit.token}`;
  }
}
