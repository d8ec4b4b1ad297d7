import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FaultProxy, type FaultChoice } from './fault-proxy.js';
import { createBareRepository, startGitServer } from './http-backend.js';
import { git } from './native-git.js';
import { Chance } from './storm-chance.js';
import { StormLedger } from './storm-ledger.js';
import { StormProcesses, type Ended } from './storm-processes.js';
import { judgeClone, judgeRemote } from './storm-verdict.js';
import { SHARED_FILES, StormWriter } from './storm-writer.js';

export interface StormOptions {
  /** `bin/run.js` of the program under test. */
  readonly program: string;
  /** An empty directory. */
  readonly place: string;
  readonly seed: number;
  readonly kills: number;
  readonly clones: number;
  readonly writersPerClone: number;
  /** `kb run` is part of the program. */
  readonly withRun: boolean;
}

export interface StormResult {
  /** One line of figures. */
  readonly summary: string;
  /** Broken invariants; none is what is wanted. */
  readonly problems: readonly string[];
}

/** After so many kills everything is killed at once, recovery is timed, and the books are balanced. */
const KILLS_PER_ROUND = 200;
/** So many breaches are enough: more of the same would only take time. */
const ENOUGH_BROKEN = 12;
const RECOVERS_WITHIN_MS = 2000;
/** So many syncs before the storm tell how fast this machine is when it is left alone. */
const CALM_SYNCS = 5;
/** A clone that waits for the others' commits needs two passes; one more is for what the second brings up. */
const PASSES_TO_CLEAN = 3;

/**
 * Writers on several clones of one remote, while processes are killed and paused and connections go wrong.
 * A black box: it knows the built program's commands, exit codes and files, and native git; nothing of its code.
 */
export async function runStorm(options: StormOptions): Promise<StormResult> {
  const remote = createBareRepository(options.place, 'kb.git', 'receive.autogc=false', 'gc.auto=0');
  startHistory(options.place, remote);
  const server = await startGitServer({ root: options.place });
  const proxy = await FaultProxy.start(server.url);
  const storm = new Storm(options, remote, proxy);
  try {
    return await storm.run();
  } finally {
    await storm.processes.killAll();
    await proxy.close();
    await server.close();
  }
}

function startHistory(place: string, remote: string): void {
  const work = join(place, 'start');
  git(place, ['init', '--quiet', work]);
  for (const path of SHARED_FILES) {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    writeFileSync(join(work, path), '# Log\n\n## Later\n');
  }
  git(work, ['add', '-A']);
  git(work, ['commit', '--quiet', '-m', 'Start']);
  git(work, ['push', '--quiet', remote, 'main']);
}

class Storm {
  readonly processes: StormProcesses;
  readonly #ledger = new StormLedger();
  readonly #chance: Chance;
  readonly #clones: readonly string[];
  readonly #writers: readonly StormWriter[];
  #kills = 0;
  #holdersKilled = 0;
  #pauses = 0;
  #longPauses = 0;
  #recoveryMs: number[] = [];
  /** A sync with nothing to do, before the storm. */
  #calmMs = Infinity;
  #isRaging = false;

  constructor(
    private readonly options: StormOptions,
    private readonly remote: string,
    private readonly proxy: FaultProxy,
  ) {
    this.processes = new StormProcesses(options.program);
    this.#chance = new Chance(options.seed);
    this.#clones = Array.from({ length: options.clones }, (_, index) => join(options.place, `clone-${index + 1}`));
    this.#writers = this.#clones.flatMap((clone, index) =>
      Array.from({ length: options.writersPerClone }, (_, writer) => {
        const name = `c${index + 1}w${writer + 1}`;
        const chance = this.#chance.fork();
        const { processes } = this;
        return new StormWriter({ name, clone, chance, ledger: this.#ledger, processes, withRun: options.withRun });
      }),
    );
  }

  async run(): Promise<StormResult> {
    const { options, proxy } = this;
    const start = performance.now();
    for (const [index, clone] of this.#clones.entries()) {
      const depth = index === 0 ? ['--depth', 'full'] : [];
      const args = ['clone', ...depth, `${proxy.url}/kb.git`, clone];
      const { code, stderr } = await this.processes.run({ clone: options.place, args });
      if (code !== 0) throw new Error(`the storm cannot begin: ${stderr}`);
    }
    for (let sync = 0; sync < CALM_SYNCS; sync += 1) {
      for (const clone of this.#clones) this.#calmMs = Math.min(this.#calmMs, (await this.#sync(clone)).durationMs);
    }
    while (this.#kills < options.kills && this.#ledger.broken === 0) {
      await this.#rage(Math.min(options.kills, this.#kills + KILLS_PER_ROUND));
      await this.#recover();
    }
    const summary = this.#summary(performance.now() - start);
    // Where everything is killed before it has done anything, nothing was tested.
    if (this.#ledger.acknowledged < this.#kills / 50) this.#ledger.break('the storm leaves time to write', summary);
    return { summary, problems: this.#ledger.problems() };
  }

  /** Until so many kills; ends with the death of everything at once. */
  async #rage(untilKills: number): Promise<void> {
    this.#isRaging = true;
    this.proxy.faults = this.#chooseFaults(this.#chance.fork());
    const writing = this.#writers.map(async (writer) => {
      while (this.#isRaging) await writer.writeOnce(() => this.#isRaging);
    });
    const pausing = this.#pauseAtRandom(this.#chance.fork());
    await this.#killAtRandom(this.#chance.fork(), untilKills);
    this.#isRaging = false;
    this.proxy.faults = undefined;
    this.#kills += this.processes.living.length;
    await this.processes.killAll();
    await Promise.all([...writing, pausing]);
  }

  /** What a user would do next, and no more: `kb sync`, the same keys again, `kb sync`. Then the verdict. */
  async #recover(): Promise<void> {
    for (const clone of this.#clones) {
      const line = describeLine(clone);
      const recovery = await this.#sync(clone);
      const took = recovery.durationMs;
      this.#recoveryMs.push(took);
      // A machine that is busy with other things takes its time for a sync with nothing to mend, too. The quicker of
      // two is compared, so that a slow moment after the recovery excuses nothing.
      const idle = Math.min((await this.#sync(clone)).durationMs, (await this.#sync(clone)).durationMs);
      const allowed = RECOVERS_WITHIN_MS * Math.max(1, idle / this.#calmMs);
      const found = `kb sync took ${Math.round(took)} ms, with nothing to mend ${Math.round(idle)} ms, ${Math.round(this.#calmMs)} ms before the storm; ${line}; ${figuresOf(recovery)}`;
      if (took > allowed) this.#ledger.break('recovery takes under 2 s', found);
    }
    for (const writer of this.#writers) await writer.finishKeys(() => true);
    for (let pass = 0; pass < PASSES_TO_CLEAN; pass += 1) for (const clone of this.#clones) await this.#sync(clone);
    judgeRemote(this.remote, this.#ledger);
    for (const clone of this.#clones) judgeClone(clone, this.remote, this.#ledger);
  }

  async #sync(clone: string): Promise<Ended> {
    const ended = await this.processes.run({ clone, args: ['sync', '--json', '--verbose'] });
    const { code, stderr } = ended;
    this.#ledger.countExit('sync', code);
    if (code !== 0)
      this.#ledger.break('the command after the storm needs no manual step', `kb sync ended with ${code}: ${stderr}`);
    return ended;
  }

  async #killAtRandom(chance: Chance, until: number): Promise<void> {
    while (this.#kills < until && this.#ledger.broken < ENOUGH_BROKEN) {
      await pause(50 + 450 * chance.next() ** 1.5);
      const { living, holders } = this.processes;
      const holder = chance.happens(0.5) ? chance.pick(holders) : undefined;
      const victim = holder ?? chance.pick(living);
      if (victim === undefined) continue;
      victim.kill(chance.happens(0.5));
      this.#kills += 1;
      if (holders.includes(victim)) this.#holdersKilled += 1;
    }
  }

  /** Now and then for longer than the lock's heartbeat: a living holder is never passed over, however long it stands still. */
  async #pauseAtRandom(chance: Chance): Promise<void> {
    while (this.#isRaging) {
      await pause(chance.between(200, 1800));
      const { living, holders } = this.processes;
      const victim = chance.pick(chance.happens(0.5) && holders.length > 0 ? holders : living);
      if (victim === undefined) continue;
      const isLong = chance.happens(0.25);
      victim.pause();
      this.#pauses += 1;
      if (isLong) this.#longPauses += 1;
      setTimeout(() => victim.resume(), isLong ? chance.between(1000, 8000) : chance.between(20, 1000));
    }
  }

  #chooseFaults(chance: Chance): FaultChoice {
    const size = (): number => Math.floor(10 ** chance.between(0, 3.6));
    return ({ method, path }) => {
      const isPush = method === 'POST' && path.endsWith('/git-receive-pack');
      const push = { 'lose-reply': isPush ? 6 : 0, 'cut-request': isPush ? 4 : 1 };
      const kind = chance.weighted({ none: 75, delay: 8, 'cut-reply': 3, 'too-many': 2, broken: 1, ...push });
      switch (kind) {
        case 'none':
          return undefined;
        case 'delay':
          return { kind, ms: chance.between(5, 600) };
        case 'cut-reply':
        case 'cut-request':
          return { kind, at: size() };
        case 'lose-reply':
          return { kind };
        case 'too-many':
          return { kind: 'status', status: 429, retryAfterS: chance.below(2) };
        case 'broken':
          return { kind: 'status', status: 500 };
      }
    };
  }

  #summary(tookMs: number): string {
    const { seed } = this.options;
    const edits = this.#ledger.edits.length;
    const faults = [...this.proxy.hits].map(([kind, hits]) => `${kind} ${hits}`).join(', ');
    const exits = [...this.#ledger.exits].sort().map(([name, times]) => `${name}: ${times}`);
    const slowest = Math.round(Math.max(0, ...this.#recoveryMs));
    return [
      `storm of seed ${seed}, ${Math.round(tookMs / 1000)} s: ${this.processes.started} commands`,
      `${this.#kills} kills (${this.#holdersKilled} of lock holders), ${this.#pauses} pauses (${this.#longPauses} over 1 s)`,
      `${this.proxy.requests} requests, faults: ${faults}`,
      `${edits} edits, ${this.#ledger.acknowledged} acknowledged`,
      `slowest of ${this.#recoveryMs.length} recoveries ${slowest} ms (a calm sync ${Math.round(this.#calmMs)} ms)`,
      `exits: ${exits.join(', ')}`,
    ].join('; ');
  }
}

/** What a sync had to do, and when it first spoke of what, ms. */
function figuresOf({ stdout, timeline }: Ended): string {
  const seen = new Map<string, number>();
  for (const { text, atMs } of timeline) {
    const [, name = ''] = /"(?:phase|text)":"(\w+ ?\w*)/.exec(text) ?? [];
    if (!seen.has(name)) seen.set(name, Math.round(atMs));
  }
  const { pulled, pushed, requests, waitedMs } = JSON.parse(stdout || '{}') as Record<string, unknown>;
  return JSON.stringify({ pulled, pushed, requests, waitedMs, ...Object.fromEntries(seen) });
}

/** What the dead have left at the lock, for the case that recovery takes long. */
function describeLine(clone: string): string {
  const side = join(clone, '.kb_tmp_lock');
  const names = existsSync(side) ? readdirSync(side) : [];
  const waiters = names.filter((name) => name.startsWith('wait_'));
  const nameless = waiters.filter((name) => !existsSync(join(side, name, 'owner.json')));
  const isHeld = existsSync(join(clone, '.kb_operations.lock'));
  return `there were ${isHeld ? 'a lock, ' : ''}${waiters.length} waiters, ${nameless.length} of them without a record`;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
