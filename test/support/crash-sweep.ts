import { cpSync, existsSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isKbError } from '../../src/errors.js';
import {
  acksIn,
  describe,
  filesOf,
  isDueToKill,
  listing,
  outcomeAt,
  problemsOf,
  type Outcome,
} from './crash-invariants.js';
import type { Network, Watcher } from './crash-network.js';
import type { SimulatedProcess } from './crash-processes.js';
import type { Scenario } from './crash-scenarios.js';
import { setRemoteUrl, siteAt, syncOnce, type Site } from './crash-site.js';
import { Stage } from './crash-stage.js';
import type { Failure } from './failing-disk.js';
import { git } from './native-git.js';

/** The process dies at a request: before the server sees it, or when the server has done it and nobody knows. */
export interface RequestFailure {
  readonly kind: 'request';
  /** 1: the first. */
  readonly at: number;
  readonly when: 'before' | 'after';
}

/** One attempt takes no longer than this, ms, or somebody waits for what never comes. */
const LONGEST_ATTEMPT_MS = 60_000;

/** A scenario made ready once, and put back to that state before each attempt. */
export class Sweep {
  private readonly site: Site;
  private readonly template: string;
  private prepared: Stage;
  private withoutEdit: Outcome | undefined;
  private withEdit: Outcome | undefined;

  private constructor(
    private readonly scenario: Scenario,
    directory: string,
    private readonly network: Network | undefined,
  ) {
    this.site = siteAt(join(directory, 'live'));
    this.template = join(directory, 'template');
    this.prepared = new Stage(this.site, network);
  }

  /** @param network serves `live` in the directory; the remote is then asked through it */
  static async prepare(scenario: Scenario, directory: string, network?: Network): Promise<Sweep> {
    const sweep = new Sweep(scenario, directory, network);
    const { site, prepared } = sweep;
    mkdirSync(site.root, { recursive: true });
    await scenario.prepare(prepared);
    prepared.end();
    if (network !== undefined && existsSync(site.kb)) setRemoteUrl(site, prepared.url);
    copy(site.root, sweep.template);
    if (scenario.lands !== undefined) sweep.withoutEdit = await sweep.outcomeOf(async () => Promise.resolve());
    sweep.withEdit = await sweep.outcomeOf((stage) => scenario.act(stage, stage.start('victim')));
    return sweep;
  }

  /** What the undisturbed scenario does: its changing calls, in order, and how many requests. */
  async observe(): Promise<{ readonly calls: readonly string[]; readonly requests: number }> {
    const stage = this.reset();
    const victim = stage.start('victim');
    await this.scenario.act(stage, victim);
    stage.end();
    return { calls: victim.failing.log, requests: this.network?.sent('victim') ?? 0 };
  }

  /** Kills at the n-th change, or at a request, recovers, and gives what is wrong then; nothing: all is well. */
  async kill(failure: Extract<Failure, { kind: 'kill' }> | RequestFailure): Promise<string[]> {
    const { stage, acknowledged, wasReached, label, error } = await this.attempt(failure);
    // A process that is dead says nothing; but an error other than the kill would be hidden by it.
    const isCut = this.network !== undefined && isKbError(error, 'E_NETWORK');
    if (error !== undefined && !isDueToKill(error) && !isCut) return [`${label}: ended with ${describe(error)}`];
    const problems = await this.problemsAfterRecovery(stage, acknowledged);
    // Of changes there are now more and now fewer, as object ids fall into folders.
    if (!wasReached && failure.kind === 'request')
      problems.push('the process came to its end before it could be killed');
    return problems.map((problem) => `${label}: ${problem}`);
  }

  /**
   * Kills at the n-th change, then the next command at its own changes, or at all; what comes after that must find
   * everything well.
   * @param secondsOf which of the next command's changes, 1: the first
   */
  async killTwice(at: number, secondsOf: (calls: readonly string[]) => readonly number[]): Promise<string[]> {
    const { stage, acknowledged, label, error } = await this.attempt({ kind: 'kill', at });
    if (error !== undefined && !isDueToKill(error)) return [`${label}: ended with ${describe(error)}`];
    this.scenario.meanwhile?.(stage);
    const between = `${this.template}-between`;
    rmSync(between, { recursive: true, force: true });
    copy(this.site.root, between);
    const problems = stage.problems.map((problem) => `${label}: ${problem}`);
    stage.end();
    const undisturbed = new Stage(this.site, this.network, stage);
    const observed = undisturbed.start('next');
    await inTime(this.recover(undisturbed, observed));
    undisturbed.end();
    for (const second of secondsOf(observed.failing.log)) {
      this.putBack(between);
      const now = new Stage(this.site, this.network, stage);
      const next = now.start('next', { kind: 'kill', at: second });
      const found: string[] = [];
      try {
        await inTime(this.recover(now, next));
      } catch (failed) {
        if (!isDueToKill(failed)) found.push(`the next command ended with ${describe(failed)}`);
      } finally {
        next.end();
      }
      found.push(...(await this.judge(now, acknowledged)));
      const place = `${label}, then ${this.nameOf(next.failing.failedCall)} (kill at ${second})`;
      problems.push(...found.map((problem) => `${place}: ${problem}`));
    }
    return problems;
  }

  /**
   * Lets the disk fail, checks the error and, where the command is alone, that nothing moved; then recovers as after a
   * kill.
   */
  async fail(failure: Exclude<Failure, { kind: 'kill' }>): Promise<string[]> {
    const before = this.snapshot();
    const { stage, acknowledged, label, error } = await this.attempt(failure);
    const problems: string[] = [];
    if (error !== undefined) {
      if (!isKbError(error, 'E_STORAGE')) problems.push(`ended with ${describe(error)}`);
      const after = this.snapshotNow();
      for (const key of Object.keys(before) as (keyof typeof before)[]) {
        // A removal that fails comes after the change itself, and is nothing that a full disk does.
        if (this.scenario.lands === undefined || before[key] === after[key] || /^(unlink|rmdir)/.test(label)) continue;
        // Half a work tree is told by the journal, and finished by the next command.
        if (key === 'work tree' && existsSync(join(this.site.kb, '.git/kb/advance.json'))) continue;
        if (key !== 'remote' && existsSync(join(this.site.kb, '.git/kb/switch.json'))) continue;
        problems.push(`it failed, but the ${key} changed: ${before[key]} → ${after[key]}`.replaceAll('\n', ' '));
      }
    }
    problems.push(...(await this.problemsAfterRecovery(stage, acknowledged)));
    return problems.map((problem) => `${label}: ${problem}`);
  }

  private async attempt(
    failure: Failure | RequestFailure,
  ): Promise<{ stage: Stage; acknowledged: boolean; wasReached: boolean; label: string; error?: unknown }> {
    const stage = this.reset();
    const victim = stage.start('victim', failure.kind === 'request' ? undefined : failure);
    if (this.network !== undefined) this.network.watcher = cutOff(victim, failure);
    const label = (): string =>
      failure.kind === 'request'
        ? `request ${failure.at} (killed ${failure.when} it)`
        : `${this.nameOf(victim.failing.failedCall)} (${failure.kind} at ${failure.at})`;
    try {
      await inTime(this.scenario.act(stage, victim));
      return { stage, acknowledged: true, wasReached: victim.isKilled, label: label() };
    } catch (error) {
      return { stage, acknowledged: false, wasReached: victim.isKilled, label: label(), error };
    } finally {
      // It is gone now, whatever became of it: nobody may wait for it.
      victim.end();
    }
  }

  private async problemsAfterRecovery(stage: Stage, acknowledged: boolean): Promise<string[]> {
    this.scenario.meanwhile?.(stage);
    return this.judge(stage, acknowledged);
  }

  /** Gives the next command, and says what is wrong after it. */
  private async judge(stage: Stage, acknowledged: boolean): Promise<string[]> {
    const { site, scenario } = this;
    const problems = [...stage.problems];
    try {
      await inTime(this.recover(stage, stage.start('last')));
      // The answers to those who died are swept by the command after.
      if (acksIn(site).length > 0) await inTime(syncOnce(stage.start('after').world));
    } catch (error) {
      return [...problems, `the next command failed: ${describe(error)}`];
    } finally {
      stage.end();
    }
    problems.push(...problemsOf(site), ...stage.ledger.problems(site.remote));
    problems.push(...(scenario.check?.(stage) ?? []));
    if (acksIn(site).length > 0) problems.push('there are answers that nobody will come for');
    if (scenario.lands === undefined) return problems;
    const outcome = outcomeAt(site);
    const allowed = [this.withEdit, ...(acknowledged || scenario.lands === 'always' ? [] : [this.withoutEdit])];
    if (!allowed.some((one) => one?.tree === outcome.tree && one.commits.length === outcome.commits.length)) {
      const commits = (one?: Outcome): string => (one?.commits ?? []).join(', ');
      problems.push(
        `the remote has the commits ${commits(outcome)} instead of ${allowed.map(commits).join(' or ')}` +
          (allowed.some((one) => one?.tree === outcome.tree)
            ? ''
            : `, and its files are ${filesOf(site, outcome.tree)}`),
      );
    }
    return problems;
  }

  private async recover(stage: Stage, by: SimulatedProcess): Promise<void> {
    if (this.scenario.recover === undefined) await syncOnce(by.world);
    else await this.scenario.recover(stage, by);
    by.end();
  }

  private async outcomeOf(act: (stage: Stage) => Promise<void>): Promise<Outcome> {
    const stage = this.reset();
    await act(stage);
    const problems = await this.problemsAfterRecovery(stage, true);
    const unexpected = problems.filter((problem) => !problem.startsWith('the remote has the commits'));
    if (unexpected.length > 0) throw new Error(`without any failure: ${unexpected.join('; ')}`);
    return outcomeAt(this.site);
  }

  private snapshot(): ReturnType<Sweep['snapshotNow']> {
    this.reset();
    return this.snapshotNow();
  }

  private snapshotNow(): { remote: string; branch: string; 'work tree': string } {
    const { kb, remote } = this.site;
    return {
      remote: existsSync(join(remote, 'HEAD')) ? git(remote, ['for-each-ref']) : '',
      branch: existsSync(join(kb, '.git', 'HEAD')) ? git(kb, ['for-each-ref', 'refs/heads']) : '',
      'work tree': existsSync(kb)
        ? listing(kb)
            .filter((path) => !/^\.(git|kb_)/.test(path))
            .join('\n')
        : '',
    };
  }

  private reset(): Stage {
    this.putBack(this.template);
    this.network?.reset();
    return new Stage(this.site, this.network, this.prepared);
  }

  private putBack(from: string): void {
    rmSync(this.site.root, { recursive: true, force: true });
    mkdirSync(this.site.root);
    copy(from, this.site.root);
  }

  /** A call, without what differs from run to run. */
  private nameOf(call: string): string {
    return call.replaceAll(this.site.root, '').replace(/\/as-\d+/g, '/kb');
  }
}

/** Nothing of a process that is dead reaches the server. */
function cutOff(victim: SimulatedProcess, failure: Failure | RequestFailure): Watcher {
  const isTheOne = (number: number): boolean => failure.kind === 'request' && failure.at === number;
  return {
    before: ({ from, number }) => {
      if (from !== victim.name) return 'pass';
      if (failure.kind === 'request' && failure.when === 'before' && isTheOne(number)) victim.kill();
      return victim.isKilled ? 'cut' : 'pass';
    },
    after: ({ from, number }) => {
      if (from !== victim.name) return 'pass';
      if (failure.kind === 'request' && failure.when === 'after' && isTheOne(number)) victim.kill();
      return victim.isKilled ? 'cut' : 'pass';
    },
  };
}

async function inTime(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('somebody waits for what never comes')), LONGEST_ATTEMPT_MS);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** All but the paths by which processes reached the KB; names of one file stay names of one file. */
function copy(from: string, to: string): void {
  for (const top of readdirSync(from)) {
    if (top.startsWith('as-')) continue;
    cpSync(join(from, top), join(to, top), { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    if (lstatSync(join(from, top)).isDirectory()) linkAgain(join(from, top), join(to, top));
  }
}

/** By being one file with its mark a lock of git's is told to be kb's own. */
function linkAgain(from: string, to: string): void {
  const firstNames = new Map<number, string>();
  for (const name of listing(from)) {
    const stat = lstatSync(join(from, name));
    if (!stat.isFile() || stat.nlink < 2) continue;
    const first = firstNames.get(stat.ino);
    if (first === undefined) firstNames.set(stat.ino, name);
    else {
      unlinkSync(join(to, name));
      linkSync(join(to, first), join(to, name));
    }
  }
}
