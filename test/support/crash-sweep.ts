import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { nodeDisk } from '../../src/disk/disk.js';
import { isKbError } from '../../src/errors.js';
import { cloneKb } from '../../src/kb/clone.js';
import { initKb } from '../../src/kb/init.js';
import { addNote, type NoteRequest } from '../../src/kb/note.js';
import { openKb, type Kb } from '../../src/kb/open.js';
import { surroundings, type Surroundings } from '../../src/kb/surroundings.js';
import { sync, type SyncRequest } from '../../src/kb/sync.js';
import { currentProcess } from '../../src/lock/owner.js';
import { FailingDisk, Killed, type Failure } from './failing-disk.js';
import { git } from './native-git.js';

/** A remote and a KB below one directory, always at the same paths: the remote's path is in the KB's settings. */
export interface Site {
  readonly root: string;
  readonly remote: string;
  readonly kb: string;
  readonly home: string;
}

export interface Scenario {
  readonly name: string;
  prepare(site: Site): Promise<void> | void;
  /** What is killed. */
  act(site: Site, world: Surroundings): Promise<void>;
  /** What happens on other devices before the next command. */
  meanwhile?(site: Site): void;
  /** What the user types next. Default: `kb sync`. */
  recover?(site: Site, world: Surroundings): Promise<void>;
  /** `always`: the edits are in files of the user, so that they land with the next sync whatever was killed. */
  readonly lands: 'when acknowledged' | 'always';
}

/** What the remote holds in the end, without anything that differs from run to run. */
interface Outcome {
  readonly tree: string;
  /** Subjects, the newest first. */
  readonly commits: readonly string[];
}

const NOW = { epochMs: Date.UTC(2026, 0, 2, 3, 4, 5), offsetMinutes: 0 };

export function siteAt(root: string): Site {
  return { root, remote: join(root, 'remote.git'), kb: join(root, 'kb'), home: join(root, 'home') };
}

export function worldOf(site: Site, over: Partial<Surroundings> = {}): Surroundings {
  const env = {
    HOME: site.home,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Ann',
    GIT_AUTHOR_EMAIL: 'ann@example.com',
  };
  return surroundings({ env, cwd: existsSync(site.kb) ? site.kb : site.root, ...over });
}

export async function withKb<T>(world: Surroundings, work: (kb: Kb) => Promise<T>): Promise<T> {
  const kb = await openKb(world, {});
  try {
    return await work(kb);
  } finally {
    kb.objects.close();
  }
}

export async function syncOnce(world: Surroundings, request: Partial<SyncRequest> = {}): Promise<void> {
  await withKb(world, (kb) => sync(kb, { direction: 'both', commit: true, ...request }));
}

export async function note(world: Surroundings, over: Partial<NoteRequest> & Pick<NoteRequest, 'text'>): Promise<void> {
  await withKb(world, (kb) =>
    addNote(kb, {
      target: { kind: 'new' },
      tags: [],
      properties: [],
      frontmatter: true,
      now: NOW,
      settings: kb.settings,
      push: true,
      pull: true,
      ...over,
    }),
  );
}

export function write(root: string, files: Readonly<Record<string, string | null>>): void {
  for (const [path, content] of Object.entries(files)) {
    if (content === null) rmSync(join(root, path), { recursive: true });
    else {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
  }
}

/** A commit that another device pushed. */
export function pushFromElsewhere(site: Site, change: (work: string) => void): void {
  const work = join(site.root, 'elsewhere');
  git(site.root, ['clone', '-q', site.remote, work]);
  change(work);
  git(work, ['add', '-A']);
  git(work, ['commit', '-q', '-m', 'From elsewhere']);
  git(work, ['push', '-q', 'origin', 'HEAD']);
  rmSync(work, { recursive: true });
}

export const LINES = Array.from({ length: 12 }, (_, line) => `line ${line}\n`).join('');

export async function startKb(site: Site): Promise<void> {
  mkdirSync(site.home, { recursive: true });
  git(site.root, ['init', '-q', '--bare', 'remote.git']);
  const work = join(site.root, 'first');
  git(site.root, ['init', '-q', 'first']);
  write(work, {
    'diary.md': LINES,
    'inbox/one.md': 'one\n',
    'inbox/two.md': 'two\n',
    'deep/er/three.md': 'three\n',
    'becomes-folder': 'file\n',
    'becomes-file/inside.md': 'inside\n',
  });
  git(work, ['add', '-A']);
  git(work, ['commit', '-q', '-m', 'Start']);
  git(work, ['push', '-q', site.remote, 'main']);
  rmSync(work, { recursive: true });
  await clone(site, worldOf(site));
}

const CLONE = { depth: 1, timeout: '60s', insecure: false } as const;

function remoteEdits(work: string): void {
  write(work, {
    'diary.md': LINES.replace('line 1\n', 'line 1, remotely\n'),
    'inbox/two.md': null,
    'deep/er/three.md': null,
    'deep/four.md': 'four\n',
    'becomes-folder': null,
    'becomes-file': null,
  });
  write(work, { 'becomes-folder/inside.md': 'inside\n', 'becomes-file': 'file\n', 'tool.sh': '#!/bin/sh\n' });
  chmodSync(join(work, 'tool.sh'), 0o755);
  symlinkSync('diary.md', join(work, 'link.md'));
}

function localEdits(site: Site): void {
  write(site.kb, {
    'diary.md': LINES.replace('line 10\n', 'line 10, locally\n'),
    'inbox/one.md': null,
    'inbox/new.md': 'new\n',
    'new/folder/five.md': 'five\n',
  });
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a new note',
    prepare: startKb,
    act: (_site, world) => note(world, { text: 'a thought' }),
    lands: 'when acknowledged',
  },
  {
    name: 'a new note, the remote has moved',
    prepare: async (site) => {
      await startKb(site);
      pushFromElsewhere(site, remoteEdits);
    },
    act: (_site, world) => note(world, { text: 'a thought' }),
    lands: 'when acknowledged',
  },
  {
    name: 'a new note with a key, repeated',
    prepare: startKb,
    act: (_site, world) => note(world, { text: 'a thought', id: 'key-1' }),
    recover: (_site, world) => note(world, { text: 'a thought', id: 'key-1' }),
    lands: 'always',
  },
  {
    name: 'an append, the remote has moved in the same file',
    prepare: async (site) => {
      await startKb(site);
      pushFromElsewhere(site, (work) => write(work, { 'diary.md': `${LINES}appended elsewhere\n` }));
    },
    act: (_site, world) => note(world, { text: 'a thought', target: { kind: 'append', path: 'diary.md' } }),
    lands: 'when acknowledged',
  },
  {
    name: 'a note kept locally',
    prepare: startKb,
    act: (_site, world) => note(world, { text: 'a thought', push: false, pull: false }),
    lands: 'when acknowledged',
  },
  {
    name: 'a sync of local edits',
    prepare: async (site) => {
      await startKb(site);
      localEdits(site);
    },
    act: (_site, world) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'a sync that merges',
    prepare: async (site) => {
      await startKb(site);
      localEdits(site);
      pushFromElsewhere(site, remoteEdits);
    },
    act: (_site, world) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'a sync that only pulls',
    prepare: async (site) => {
      await startKb(site);
      pushFromElsewhere(site, remoteEdits);
    },
    act: (_site, world) => syncOnce(world, { direction: 'pull' }),
    lands: 'always',
  },
  {
    // Files of half an advance, taken for edits of the user, would now meet other edits of the same lines.
    name: 'a sync that only pulls, and the remote moves again',
    prepare: async (site) => {
      await startKb(site);
      pushFromElsewhere(site, remoteEdits);
      const first = git(site.remote, ['rev-parse', 'main']).trim();
      pushFromElsewhere(site, (work) => {
        write(work, {
          'diary.md': LINES.replace('line 1\n', 'line 1, again\n'),
          'tool.sh': null,
          'becomes-file': 'again\n',
        });
        write(work, { 'becomes-folder/inside.md': 'again\n', 'deep/four.md': 'again\n' });
      });
      git(site.remote, ['update-ref', 'refs/keep/later', 'main']);
      git(site.remote, ['update-ref', 'refs/heads/main', first]);
    },
    act: (_site, world) => syncOnce(world, { direction: 'pull' }),
    meanwhile: (site) => void git(site.remote, ['update-ref', 'refs/heads/main', 'refs/keep/later']),
    lands: 'always',
  },
  {
    name: 'init with a new remote',
    prepare: (site) => {
      mkdirSync(site.home, { recursive: true });
      write(site.kb, { 'first.md': 'first\n', 'folder/second.md': 'second\n' });
    },
    act: init,
    recover: async (site, world) => {
      await init(site, world);
      await syncOnce({ ...world, cwd: site.kb });
    },
    lands: 'always',
  },
  {
    name: 'the first sync into an empty remote',
    prepare: async (site) => {
      mkdirSync(site.home, { recursive: true });
      write(site.kb, { 'first.md': 'first\n', 'folder/second.md': 'second\n' });
      await init(site, worldOf(site));
    },
    act: (_site, world) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'a clone',
    prepare: async (site) => {
      await startKb(site);
      rmSync(site.kb, { recursive: true });
    },
    act: clone,
    recover: async (site, world) => {
      await clone(site, world);
      await syncOnce({ ...world, cwd: site.kb });
    },
    lands: 'always',
  },
];

async function init(site: Site, world: Surroundings): Promise<void> {
  await initKb(world, { directory: site.kb, remote: site.remote, branch: 'main', name: 'notes' });
}

async function clone(site: Site, world: Surroundings): Promise<void> {
  await cloneKb(world, { ...CLONE, url: site.remote, directory: site.kb });
}

/** A scenario made ready once, and put back to that state before each attempt. */
export class Sweep {
  private readonly site: Site;
  private readonly template: string;
  private withoutEdit: Outcome | undefined;
  private withEdit: Outcome | undefined;

  private constructor(
    private readonly scenario: Scenario,
    directory: string,
  ) {
    this.site = siteAt(join(directory, 'live'));
    this.template = join(directory, 'template');
  }

  static async prepare(scenario: Scenario, directory: string): Promise<Sweep> {
    const sweep = new Sweep(scenario, directory);
    mkdirSync(sweep.site.root, { recursive: true });
    await scenario.prepare(sweep.site);
    copy(sweep.site.root, sweep.template);
    sweep.withoutEdit = await sweep.outcomeOf(async () => Promise.resolve());
    sweep.withEdit = await sweep.outcomeOf((world) => scenario.act(sweep.site, world));
    return sweep;
  }

  /** How many changing calls the undisturbed scenario makes. */
  async countChanges(): Promise<number> {
    this.reset();
    const counting = new FailingDisk();
    await this.scenario.act(this.site, worldOf(this.site, { disk: counting.disk }));
    return counting.changes;
  }

  /** Kills at the n-th change, recovers, and gives what is wrong then; nothing: all is well. */
  async kill(at: number, torn: boolean): Promise<string[]> {
    const { acknowledged, label, error } = await this.attempt({ kind: 'kill', at, torn });
    if (error !== undefined && !isDueToKill(error)) {
      // A process that is dead says nothing; but an error other than the kill would be hidden by it.
      return [`${label}: ended with ${describe(error)}`];
    }
    return (await this.problemsAfterRecovery(acknowledged)).map((problem) => `${label}: ${problem}`);
  }

  /** Lets the disk fail, checks the error and that nothing moved, then recovers as after a kill. */
  async fail(failure: Exclude<Failure, { kind: 'kill' }>): Promise<string[]> {
    const before = this.snapshot();
    const { acknowledged, label, error } = await this.attempt(failure);
    const problems: string[] = [];
    if (error !== undefined) {
      if (!isKbError(error, 'E_STORAGE')) problems.push(`ended with ${describe(error)}`);
      const after = this.snapshotNow();
      for (const key of Object.keys(before) as (keyof typeof before)[]) {
        // A removal that fails comes after the change itself, and is nothing that a full disk does.
        if (before[key] === after[key] || /^(unlink|rmdir)/.test(label)) continue;
        // Half a work tree is told by the journal, and finished by the next command.
        if (key === 'work tree' && existsSync(join(this.site.kb, '.git/kb/advance.json'))) continue;
        problems.push(`it failed, but the ${key} changed: ${before[key]} → ${after[key]}`.replaceAll('\n', ' '));
      }
    }
    problems.push(...(await this.problemsAfterRecovery(acknowledged)));
    return problems.map((problem) => `${label}: ${problem}`);
  }

  private async attempt(failure: Failure): Promise<{ acknowledged: boolean; label: string; error?: unknown }> {
    this.reset();
    const failing = new FailingDisk(failure);
    // Another process by its start time: one that has provably ended when the next command looks.
    const identity = { ...currentProcess(nodeDisk), startTime: '1' };
    const world = worldOf(this.site, { disk: failing.disk, identity });
    const label = (): string =>
      `${failing.failedCall.replaceAll(this.site.root, '')} (${failure.kind} at ${failure.at})`;
    try {
      await this.scenario.act(this.site, world);
      return { acknowledged: true, label: label() };
    } catch (error) {
      return { acknowledged: false, label: label(), error };
    }
  }

  private async problemsAfterRecovery(acknowledged: boolean): Promise<string[]> {
    const { site, scenario } = this;
    const problems: string[] = [];
    scenario.meanwhile?.(site);
    try {
      if (scenario.recover === undefined) await syncOnce(worldOf(site));
      else await scenario.recover(site, worldOf(site));
    } catch (error) {
      return [`the next command failed: ${describe(error)}`];
    }
    problems.push(...problemsOf(site));
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

  private async outcomeOf(act: (world: Surroundings) => Promise<void>): Promise<Outcome> {
    this.reset();
    await act(worldOf(this.site));
    this.scenario.meanwhile?.(this.site);
    if (this.scenario.recover === undefined) await syncOnce(worldOf(this.site));
    else await this.scenario.recover(this.site, worldOf(this.site));
    const problems = problemsOf(this.site);
    if (problems.length > 0) throw new Error(`without any failure: ${problems.join('; ')}`);
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

  private reset(): void {
    rmSync(this.site.root, { recursive: true, force: true });
    copy(this.template, this.site.root);
  }
}

/** What a healthy KB and remote must not show after any crash and one recovery. */
export function problemsOf({ kb, remote, home }: Site): string[] {
  const problems: string[] = [];
  const expectEmpty = (what: string, found: string): void => {
    if (found.trim() !== '') problems.push(`${what}: ${found.trim()}`);
  };
  for (const directory of [kb, remote]) {
    try {
      expectEmpty(`git fsck in ${directory}`, git(directory, ['fsck', '--strict', '--no-dangling']));
    } catch (error) {
      problems.push(describe(error));
    }
  }
  const status = git(kb, ['status', '--porcelain=v2', '--branch', '--untracked-files=all']).trim().split('\n');
  expectEmpty('git status', status.filter((line) => !line.startsWith('# ')).join('; '));
  if (!status.includes('# branch.ab +0 -0')) problems.push(`not in step with what was last seen: ${status.join('; ')}`);
  const head = readFileSync(join(remote, 'refs/heads/main'), 'utf8').trim();
  if (!status.includes(`# branch.oid ${head}`)) problems.push(`not in step with the remote: ${status.join('; ')}`);
  const leftovers = [...listing(kb), ...listing(remote), ...listing(home)].filter((path) => LEFTOVER.test(path));
  expectEmpty('left behind', leftovers.join(' '));
  return problems;
}

/**
 * Locks, journal, marks, temporary files, stages of a clone. Not `objects/**\/tmp_*`: under those names git's own
 * housekeeping removes what a killed writer left, see "git prune removes".
 */
const LEFTOVER = /\.lock(\/|$)|advance\.json|kb\/locks\/.|\.kb_(tmp|clone|operations)|incoming/;

function outcomeAt({ remote }: Site): Outcome {
  const log = git(remote, ['log', '--format=%T %s', 'main']).trim().split('\n');
  return { tree: log[0]?.slice(0, 40) ?? '', commits: log.map((line) => line.slice(41)) };
}

function filesOf(site: Site, tree: string): string {
  return git(site.remote, ['ls-tree', '-r', '--abbrev=7', '--format=%(path) %(objectmode) %(objectname)', tree])
    .trim()
    .replaceAll('\n', ', ');
}

/** Every path below a directory, folders included; links are not followed. */
function listing(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
}

function copy(from: string, to: string): void {
  cpSync(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
}

/** From `first` on every `stride`-th of `total` points, and the last one. */
export function pointsOf(total: number, first: number, stride: number): number[] {
  if (total < 20) throw new Error(`only ${total} changes: the disk does not see the work`);
  const points: number[] = [];
  for (let at = first; at < total; at += stride) points.push(at);
  return [...points, total];
}

/** Runs the attempts one after the other; what they find wrong, each kind once, with the first call it was seen at. */
export async function problemsOfAll(attempts: Iterable<() => Promise<string[]>>): Promise<string[]> {
  const kinds = new Map<string, { first: string; times: number }>();
  for (const attempt of attempts) {
    for (const problem of await attempt()) {
      const [label = '', text = ''] = problem.split(/: (.*)/s);
      const kind = text.replace(/[0-9a-f]{12,40}|_\d+_|\d+\.1\./g, '…');
      const seen = kinds.get(kind);
      if (seen === undefined) kinds.set(kind, { first: `${label}: ${text}`, times: 1 });
      else seen.times += 1;
    }
  }
  return [...kinds.values()].map(({ first, times }) => (times === 1 ? first : `${times} times, first at ${first}`));
}

function isDueToKill(error: unknown): boolean {
  return error instanceof Error && (error instanceof Killed || isDueToKill(error.cause));
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return 'something that is no error';
  const cause = error.cause === undefined ? '' : ` (${describe(error.cause)})`;
  return `${isKbError(error) ? `${error.code}: ` : ''}${error.message}${cause}`;
}
