import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKbError } from '../../src/errors.js';
import { sweepDeadLocks } from '../../src/disk/lock-marks.js';
import { unlock } from '../../src/kb/unlock.js';
import type { Surroundings } from '../../src/kb/surroundings.js';
import { LOCK_NAME, withLock } from '../../src/lock/lock.js';
import { parseOwner } from '../../src/lock/owner.js';
import { deadWordProbe } from '../../src/lock/process-word.js';
import { acksIn, describe, problemsOf } from './crash-invariants.js';
import { Ledger, type Promised } from './crash-ledger.js';
import type { Network, Passing, Verdict } from './crash-network.js';
import { SimulatedProcess } from './crash-processes.js';
import { forgetRuns, forgetRunsOnceKilled, runOnce } from './crash-run-scenarios.js';
import { note, siteAt, startKb, syncOnce, withKb, write, type Site } from './crash-site.js';
import { entriesOf, promisedBy } from './crash-stage.js';
import type { Failure } from './failing-disk.js';
import type { Deed, Step } from './model-commands.js';
import { damageFile, namesIn, putStrangers } from './model-damage.js';
import { git } from './native-git.js';

/** Who finds the lock held by somebody who is held up gives up after so long. */
const IMPATIENCE = '40ms';
/** Longer than all that is waited for here without being held up: judging a dead holder, passing over a waiter. */
const PATIENCE_MS = 30_000;
const UNREACHABLE = 'http://127.0.0.1:9/remote.git';
/** Enough for each edit to have a place of its own: here in the first half, elsewhere in the other. */
const LINES = Array.from({ length: 1000 }, (_, line) => `line ${line}\n`);

/** One who takes part, until it has ended. */
interface Actor {
  readonly process: SimulatedProcess;
  /** What it brings. */
  readonly token: string | undefined;
  /** Never rejects. */
  done: Promise<void>;
  /** Stopped in the middle by the test. */
  heldUp: { goOn(): void } | undefined;
  isFrozen: boolean;
  /** Where it is to be held up; it goes over http then. */
  pause: Pause | undefined;
}

interface Pause {
  readonly request: number;
  readonly when: 'before' | 'after';
}

/** The KB and its remote as every history finds them, made once. */
export class ModelTemplate {
  private constructor(
    readonly site: Site,
    readonly network: Network,
    private readonly copy: string,
  ) {}

  /** @param network serves `live` in the directory */
  static async make(directory: string, network: Network): Promise<ModelTemplate> {
    const site = siteAt(join(directory, 'live'));
    mkdirSync(site.root, { recursive: true });
    await startKb(site);
    write(site.kb, {
      'log.md': 'log\n',
      'shared.md': LINES.join(''),
      'clash.md': 'the line\n',
      'runs.md': 'runs\n',
    });
    const process = new SimulatedProcess(site, 'first');
    await syncOnce(process.world);
    process.end();
    cpSync(site.root, join(directory, 'template'), {
      recursive: true,
      verbatimSymlinks: true,
      preserveTimestamps: true,
    });
    return new ModelTemplate(site, network, join(directory, 'template'));
  }

  putUp(): void {
    rmSync(this.site.root, { recursive: true, force: true });
    cpSync(this.copy, this.site.root, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    this.network.reset();
  }
}

/**
 * Plays a history with a KB, a remote and many processes at once, against a model that knows of each edit only its word
 * and what was promised for it.
 * @returns what is wrong in the end; nothing: all is well
 */
export async function playHistory(template: ModelTemplate, steps: readonly Step[]): Promise<string[]> {
  template.putUp();
  const world = new ModelWorld(template);
  for (const step of steps) await world.take(step);
  return world.finish();
}

export class ModelWorld {
  private readonly site: Site;
  private readonly network: Network;
  private readonly ledger = new Ledger();
  private readonly problems: string[] = [];
  private readonly actors = new Set<Actor>();
  private readonly pathUrl: string;
  private readonly configFile: string;
  private readonly duringRun = new Set<string>();
  private readonly runs: string[] = [];
  private wasLockTaken = false;
  private wasAnswerDamaged = false;
  private lastToken = 0;
  private edits = 0;
  private readonly keyed = new Map<number, string>();

  constructor({ site, network }: ModelTemplate) {
    this.site = site;
    this.network = network;
    this.pathUrl = site.remote;
    this.configFile = join(site.kb, '.git/config');
    network.watcher = {
      before: (passing) => this.pass('before', passing),
      after: (passing) => this.pass('after', passing),
    };
  }

  async take(step: Step): Promise<void> {
    switch (step.step) {
      case 'command':
        await this.command(step.deed, step.killAt);
        break;
      case 'pause':
        await this.pauseAt(step.deed, step);
        break;
      case 'hold':
        await this.hold();
        break;
      case 'goOn':
        this.heldUp()[0]?.heldUp?.goOn();
        break;
      case 'kill':
      case 'freeze':
        this.stop([...this.actors][step.which], step.step);
        break;
      case 'come':
        for (const deed of step.deeds) this.start(deed, { timeout: '60s' });
        break;
      case 'remote':
        this.pushFromElsewhere(step.what);
        break;
      case 'offline':
        await this.goOffline(step.where);
        break;
      case 'unlock':
        await this.unlock(step.force);
        break;
      case 'garbage':
        if (step.into === 'acks' || step.into === 'entry') this.wasAnswerDamaged = true;
        if (step.into === 'owner') this.wasLockTaken = true;
        damageFile(this.site, step, this.ledger, this.waiting());
        break;
      case 'strangers':
        putStrangers(this.site);
        break;
    }
    await this.settle();
  }

  /** Lets everybody come to an end, gives the commands that are always given in the end, and looks. */
  async finish(): Promise<string[]> {
    for (let round = 0; this.actors.size > 0 && round < 100; round += 1) {
      const [first] = this.heldUp();
      first?.heldUp?.goOn();
      await this.settle();
      if (first !== undefined) continue;
      for (const actor of this.actors) if (actor.isFrozen) this.bury(actor);
      await this.unlockDamaged();
    }
    if (this.actors.size > 0) this.problems.push('somebody waits for what never comes');
    this.setUrl(this.pathUrl);
    try {
      await this.unlockDamaged();
      await this.inTheEnd((process) => syncOnce(process.world, { onConflict: 'copy' }));
      await this.inTheEnd((process) => syncOnce(process.world));
    } catch (error) {
      return [...this.problems, `the next command failed: ${describe(error)}`];
    }
    const { site } = this;
    this.problems.push(...problemsOf(site), ...this.ledger.problems(site.remote));
    if (this.hasAnswersToTheDead()) this.problems.push('there are answers that nobody will come for');
    const saved = git(site.kb, ['log', '-p', '--format=', '--glob=refs/kb/stash/*', 'main']);
    for (const token of this.duringRun)
      if (!saved.includes(token)) this.problems.push(`an edit by hand is nowhere (${token})`);
    for (const token of this.runs)
      if (existsSync(this.ranFile(token)) && !saved.includes(`+${token}`))
        this.problems.push(`what a command did is nowhere (${token})`);
    const marked = git(site.remote, ['grep', '-l', '-E', '^(<<<<<<<|>>>>>>>)', 'main'], { allowFailure: true });
    if (marked !== '') this.problems.push(`conflict markers in ${marked}`);
    return this.problems;
  }

  /** Whose entry was damaged is not known to be dead: its answer lies there for a day. */
  private hasAnswersToTheDead(): boolean {
    const { site } = this;
    return acksIn(site).some(
      (name) => !readFileSync(join(site.kb, '.git/kb/queue', name), 'utf8').includes('"waiter":""'),
    );
  }

  private async inTheEnd(work: (process: SimulatedProcess) => Promise<void>): Promise<void> {
    const process = new SimulatedProcess(this.site, 'last');
    try {
      await work(process);
    } finally {
      process.end();
    }
  }

  private async command(deed: Deed, killAt?: number | 'index' | 'branch'): Promise<void> {
    const failure: Failure | undefined =
      typeof killAt === 'number' ? { kind: 'kill', at: killAt, torn: killAt % 2 === 0 } : undefined;
    const timeout = this.isBlocked() ? IMPATIENCE : '60s';
    const actor = this.start(deed, { timeout, ...(failure === undefined ? {} : { failure }) });
    if (typeof killAt === 'string') actor.process.failing.killWhen = (call) => REPLACED[killAt].test(call);
    if (timeout === IMPATIENCE) await actor.done;
  }

  /** Over http, where requests can be held up. */
  private async pauseAt(deed: Deed, pause: Pause): Promise<void> {
    this.setUrl(this.network.urlOf('remote.git'));
    const actor = this.start(deed, { timeout: '60s' });
    actor.pause = pause;
    // Once it stands in line its settings are read; those who come after it go by path.
    while (this.actors.has(actor) && actor.process.failing.changes === 0) await sleep(2);
    this.setUrl(this.pathUrl);
  }

  /** A request on its way. */
  private async pass(when: Pause['when'], { from, number }: Passing): Promise<Verdict> {
    const actor = [...this.actors].find(({ process }) => process.name === from);
    const verdict = (): Verdict => (actor === undefined || actor.process.isKilled ? 'cut' : 'pass');
    if (verdict() === 'pass' && actor?.pause?.request === number && actor.pause.when === when) {
      await new Promise<void>((resolve) => (actor.heldUp = { goOn: resolve }));
      actor.heldUp = undefined;
    }
    return verdict();
  }

  private start(deed: Deed, { timeout, failure }: { timeout: string; failure?: Failure }): Actor {
    const process = new SimulatedProcess(this.site, `p${this.actors.size}-${(this.lastToken += 1)}`, failure);
    const world = { ...process.world };
    world.env = { ...world.env, KB_LOCK_TIMEOUT: timeout };
    if (deed.do === 'sync') {
      if (deed.edit !== undefined) this.editHere(deed.edit);
      const { onConflict } = deed;
      return this.follow(process, undefined, () => syncOnce(world, onConflict === undefined ? {} : { onConflict }));
    }
    if (deed.do === 'run') return this.run(process, world, deed.fails);
    const token = deed.key === undefined ? this.token() : this.tokenOfKey(deed.key);
    const target =
      deed.where === 'new' ? ({ kind: 'new', name: token } as const) : ({ kind: 'append', path: 'log.md' } as const);
    const id = deed.key === undefined ? {} : { id: `key-${deed.key}` };
    return this.follow(process, token, () => note(world, { text: token, target, ...id }), 'note');
  }

  private run(process: SimulatedProcess, world: Surroundings, fails: boolean): Actor {
    const token = this.token();
    const script =
      `echo ${token} >> runs.md; echo of a run > made-${token}.md; : > '${this.ranFile(token)}'; ` +
      `exit ${fails ? 1 : 0}`;
    this.runs.push(token);
    const actor = this.follow(process, token, () => runOnce(world, script), 'run');
    forgetRunsOnceKilled(process);
    return actor;
  }

  /** Takes part from now on; the ledger learns what it is told. */
  private follow(
    process: SimulatedProcess,
    token: string | undefined,
    work: () => Promise<void>,
    brings?: 'note' | 'run',
  ): Actor {
    const actor: Actor = {
      process,
      token,
      done: Promise.resolve(),
      heldUp: undefined,
      isFrozen: false,
      pause: undefined,
    };
    const promise = (promised: Promised): void => {
      // With a key another process may bring the same edit: what one of them is told holds for all.
      const isWeaker = promised !== 'once' && [...this.keyed.values()].includes(token ?? '');
      if (token !== undefined && !(isWeaker && this.ledger.of(token) !== undefined))
        this.ledger.promise(token, promised);
    };
    promise('at most once');
    const onKill = process.failing.onKill;
    process.failing.onKill = () => {
      onKill?.();
      this.ledger.keepAllIn(entriesOf(this.site, process));
    };
    const run = async (): Promise<void> => {
      try {
        await work();
        promise('once');
      } catch (error) {
        if (process.isKilled) return; // whatever it says, nobody hears it
        const promised = promisedTo(brings, error);
        if (promised !== undefined) promise(promised);
        if (!this.mayBeTold(error)) this.problems.push(`somebody was told ${describe(error)}`);
      } finally {
        if (!actor.isFrozen) {
          process.end();
          this.actors.delete(actor);
        }
      }
    };
    this.actors.add(actor);
    actor.done = run();
    return actor;
  }

  /** Whether anything in this history gives a reason for it. */
  private mayBeTold(error: unknown): boolean {
    if (isKbError(error, 'E_LOCK_LOST')) return this.wasLockTaken;
    if (isKbError(error, 'E_QUEUED') && error.details['queued'] === null) return this.wasAnswerDamaged;
    return promisedBy(error) !== undefined || NOTHING_DONE.some((code) => isKbError(error, code));
  }

  private async hold(): Promise<void> {
    if (this.isBlocked()) return;
    const process = new SimulatedProcess(this.site, 'holder');
    const { disk, identity, cwd } = process.world;
    const actor = this.follow(process, undefined, () =>
      withLock(
        { directory: cwd, operation: 'test', timeoutMs: 60_000 },
        async () => {
          await new Promise<void>((resolve) => (actor.heldUp = { goOn: resolve }));
          actor.heldUp = undefined;
        },
        { disk, identity },
      ),
    );
    await Promise.resolve();
  }

  private stop(actor: Actor | undefined, how: 'kill' | 'freeze'): void {
    if (actor === undefined || actor.isFrozen) return;
    if (how === 'freeze') {
      actor.isFrozen = true;
      this.ledger.keepAllIn(entriesOf(this.site, actor.process));
      actor.process.freeze();
      forgetRuns(this.site);
    } else actor.process.kill();
    actor.heldUp?.goOn();
  }

  private bury(actor: Actor): void {
    actor.process.end();
    this.actors.delete(actor);
  }

  private editHere(what: 'own' | 'shared' | 'clash'): void {
    const token = this.token();
    const { kb } = this.site;
    const isDuringRun = namesIn(join(kb, '.git/kb'), /^run-/).length > 0;
    // It lies in the work tree. What is edited while a command runs, or before a run that was killed was mended, nobody
    // can tell from what the command did: it goes with that.
    if (what === 'clash') this.ledger.promise(token, isDuringRun ? 'nothing' : 'somewhere');
    else this.ledger.promise(token, isDuringRun ? 'at most once' : 'once');
    if (isDuringRun) this.duringRun.add(token);
    if (what === 'own') write(kb, { [`own/${token}.md`]: `${token}\n` });
    else {
      const path = `${what}.md`;
      edit(kb, path, (text) => addTo(path, text, this.place(0), token));
    }
  }

  private pushFromElsewhere(what: 'new' | 'shared' | 'clash' | 'append'): void {
    const { remote } = this.site;
    this.clearRemote();
    const token = this.token();
    this.ledger.promise(token, what === 'clash' ? 'somewhere' : 'once');
    const path = { new: `elsewhere/${token}.md`, shared: 'shared.md', clash: 'clash.md', append: 'log.md' }[what];
    // Somebody who is still at it may push in the same instant: then once more, as everybody does.
    for (let tries = 5; !commitTo(remote, path, (old) => addTo(path, old, this.place(500), token)); tries -= 1)
      if (tries === 0) throw new Error('another device could not push');
  }

  private async goOffline(where: 'new' | 'append'): Promise<void> {
    this.setUrl(UNREACHABLE);
    await this.command({ do: 'note', where });
    await this.settle();
    this.setUrl(this.pathUrl);
  }

  /** Git's own server and native git do not know the locks that a killed kb left: the next kb there does. */
  private clearRemote(): void {
    const { remote } = this.site;
    if (!['HEAD.lock', 'refs/heads/main.lock'].some((lock) => existsSync(join(remote, lock)))) return;
    const process = new SimulatedProcess(this.site, 'other');
    const { disk, identity } = process.world;
    sweepDeadLocks(disk, remote, deadWordProbe(disk, identity), process.word);
    process.end();
  }

  private async unlock(force: boolean): Promise<void> {
    const process = new SimulatedProcess(this.site, 'unlocker');
    if (force) {
      this.wasLockTaken = true;
      forgetRuns(this.site);
    }
    try {
      await withKb(process.world, (kb) => unlock(kb, { force }));
    } catch (error) {
      if (!isKbError(error, 'E_LOCK_TIMEOUT')) this.problems.push(`unlock: ${describe(error)}`);
    } finally {
      process.end();
    }
  }

  /** A lock that is held by nobody knows whom is the one thing that a person must see to. */
  private async unlockDamaged(): Promise<void> {
    const lock = join(this.site.kb, LOCK_NAME);
    if (existsSync(lock) && readOwnerIn(lock) === undefined) await this.unlock(true);
  }

  /** Until all that can move has come to its end, or stands behind one who is held up. */
  private async settle(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let quiet = 0, done = -1; ; await sleep(4)) {
      const moving = [...this.actors].filter(({ heldUp, isFrozen }) => heldUp === undefined && !isFrozen);
      const isOverHttp = moving.some(({ pause }) => pause !== undefined);
      if (isOverHttp) this.clearRemote();
      // A request takes its time.
      if (quiet > (isOverHttp ? 10 : 3)) return;
      if (moving.length === 0) return;
      if (performance.now() > deadline) {
        this.problems.push(`nothing moves any more: ${moving.map(({ process }) => process.name).join(' ')}`);
        return;
      }
      const before = done;
      done = moving.reduce((sum, { process }) => sum + process.failing.changes + this.network.sent(process.name), 0);
      quiet = this.isBlocked() && done === before ? quiet + 1 : 0;
    }
  }

  /** A lock is held by one who is held up, or by nobody knows whom. */
  private isBlocked(): boolean {
    const { kb } = this.site;
    // A run that lost its lock keeps the one that those inside of it queue for, and so the next run waits for it.
    return [kb, join(kb, '.git/kb/inside/1')].some((root) => this.isHeldUpAt(join(root, LOCK_NAME)));
  }

  private isHeldUpAt(lock: string): boolean {
    if (!existsSync(lock)) return false;
    const owner = readOwnerIn(lock);
    if (owner === undefined) return existsSync(lock);
    return [...this.actors].some(
      ({ process, heldUp, isFrozen }) => process.identity.pid === owner && (isFrozen || heldUp !== undefined),
    );
  }

  /** The edits of those who are under way. */
  private waiting(): string[] {
    return [...this.actors].flatMap(({ token }) => token ?? []);
  }

  private heldUp(): Actor[] {
    return [...this.actors].filter(({ heldUp }) => heldUp !== undefined);
  }

  /** A line that nobody has edited yet, nor one beside it. */
  private place(first: number): number {
    return first + 3 * (this.edits += 1);
  }

  /** There once the command of that run has made all its changes. */
  private ranFile(token: string): string {
    return join(this.site.root, `ran-${token}`);
  }

  private token(): string {
    return Ledger.token((this.lastToken += 1));
  }

  private tokenOfKey(key: number): string {
    const token = this.keyed.get(key) ?? this.token();
    this.keyed.set(key, token);
    return token;
  }

  /** By hand: nobody else writes it. */
  private setUrl(url: string): void {
    edit(this.site.kb, '.git/config', (text) => text.replace(/^(\s*url = ).*$/m, `$1${url}`));
    if (!readFileSync(this.configFile, 'utf8').includes(url)) throw new Error('the remote has no address');
  }
}

/** The call that puts the KB's new index, or its new branch, in the place of the old one. */
const REPLACED = {
  index: /^renameSync \S*\/\.git\/index\.lock /,
  branch: /^renameSync \S*\/\.git\/refs\/heads\/main\.lock /,
};

/** Whoever is told so about a note may give the same command again: it must not have landed. */
const NOTHING_DONE = ['E_CONFLICT', 'E_UNSAFE_STATE', 'E_LOCK_LOST'] as const;

function promisedTo(brings: 'note' | 'run' | undefined, error: unknown): Promised | undefined {
  // Whoever runs a command may be kept waiting behind a run that hangs, and its time be up, with its command done.
  if (brings === 'run' && isKbError(error, 'E_LOCK_TIMEOUT')) return undefined;
  const isNowhere = brings === 'note' && NOTHING_DONE.some((code) => isKbError(error, code));
  return promisedBy(error) ?? (isNowhere ? 'never' : undefined);
}

/**
 * In `shared.md` a line of its own behind a line that is always there, in `clash.md` at the end of the one line, elsewhere
 * at the end.
 */
function addTo(path: string, text: string, behind: number, token: string): string {
  if (path === 'clash.md') return text.replace(/^the line.*$/m, (line) => `${line} ${token}`);
  if (path === 'shared.md') return text.replace(`line ${behind}\n`, `line ${behind}\n${token}\n`);
  return `${text}${token}\n`;
}

/** Commits a change of one file in a bare repository. @returns whether the branch has not moved meanwhile */
function commitTo(remote: string, path: string, change: (old: string) => string): boolean {
  const tip = git(remote, ['rev-parse', 'main']).trim();
  const text = change(git(remote, ['show', `${tip}:${path}`], { allowFailure: true }));
  const stream =
    `commit refs/heads/main\ncommitter Else Where <else@example.com> 1750000000 +0000\ndata 4\nelse\n` +
    `from ${tip}\nM 100644 inline ${path}\ndata ${Buffer.byteLength(text)}\n${text}\n`;
  try {
    git(remote, ['fast-import', '--quiet'], { input: stream });
    return true;
  } catch {
    return false;
  }
}

function edit(root: string, path: string, change: (text: string) => string): void {
  const file = join(root, path);
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

function readOwnerIn(lock: string): number | undefined {
  try {
    return parseOwner(readFileSync(join(lock, 'owner.json')))?.pid;
  } catch {
    return undefined; // it was given back meanwhile
  }
}
