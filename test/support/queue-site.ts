import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { KbError } from '../../src/errors.js';
import { cloneKb } from '../../src/kb/clone.js';
import { holdKb, type Hold } from '../../src/kb/hold.js';
import { addNote, type NoteRequest, type NoteResult } from '../../src/kb/note.js';
import { openKbAt, type Kb } from '../../src/kb/open.js';
import { surroundings, type Surroundings } from '../../src/kb/surroundings.js';
import { sync, type SyncRequest, type SyncResult } from '../../src/kb/sync.js';
import type { SettingFlags } from '../../src/config/settings.js';
import { EntryQueue } from '../../src/lock/entry-queue.js';
import { placesInLine, type PlaceName } from '../../src/lock/lock.js';
import { currentProcess, parseProcessStat } from '../../src/lock/owner.js';
import { expectNativeGitAgrees } from './agree.js';
import { FailingDisk } from './failing-disk.js';
import { createBareRepository, startGitServer, type GitServer, type ServedRequest } from './http-backend.js';
import { git, makeTemporaryDirectory } from './native-git.js';

/** A remote and one KB of it, written to by several writers, all of them in the process of the tests. */
export interface QueueSite {
  readonly root: string;
  readonly remote: string;
  /** What the KB was cloned from: the remote's URL on the server, or its path. */
  readonly url: string;
  readonly kb: string;
}

/** Who does something, and what differs from the plain machine. */
export interface Writer {
  /** Default: Ann. */
  readonly author?: string;
  readonly over?: Partial<Surroundings>;
  readonly flags?: SettingFlags;
  /** Default: the site's KB. */
  readonly kb?: string;
}

export const DIARY = 'first line\nsecond line\n';
const NOW = { epochMs: Date.UTC(2026, 0, 2, 3, 4, 5), offsetMinutes: 0 };

let made = 0;
let processes = 0;

/** One server for all tests of a file, and a new site on it for each of them. For the body of a `describe`. */
export function serveSites(): { readonly server: GitServer; readonly site: QueueSite } {
  const root = makeTemporaryDirectory();
  let server: GitServer;
  let site: QueueSite;
  beforeAll(async () => {
    server = await startGitServer({ root });
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    server.faults = undefined;
    server.latencyMs = 0;
    site = await makeSite({ server, root });
  });
  return {
    get server() {
      return server;
    },
    get site() {
      return site;
    },
  };
}

/** Nobody waits, no push is in doubt, and native git finds the KB sound, clean and equal to its remote. */
export function expectSettled(site: QueueSite): void {
  expect(queueOf(site).look()).toMatchObject({ waiting: [], claimed: [], plans: [] });
  expectNativeGitAgrees(site.kb, site.remote);
}

/**
 * A remote with `diary.md` and `inbox/one.md`, and a whole clone of it.
 * @param served the server, and the directory that it serves; without it the remote is a path
 */
export async function makeSite(served?: { readonly server: GitServer; readonly root: string }): Promise<QueueSite> {
  const root = makeTemporaryDirectory();
  made += 1;
  const name = `remote${made}.git`;
  const remote = createBareRepository(served?.root ?? root, name);
  const first = join(root, 'first');
  git(root, ['clone', '-q', remote, first]);
  writeFiles(first, { 'diary.md': DIARY, 'inbox/one.md': 'one\n' });
  git(first, ['add', '-A']);
  git(first, ['commit', '-q', '-m', 'Start']);
  git(first, ['push', '-q', 'origin', 'HEAD:main']);
  rmSync(first, { recursive: true });
  const site = {
    root,
    remote,
    url: served === undefined ? remote : `${served.server.url}/${name}`,
    kb: join(root, 'kb'),
  };
  await cloneOf(site, site.kb, 'full');
  served?.server.reset();
  return site;
}

/** One more KB of the same remote. */
export async function cloneOf(site: QueueSite, directory: string, depth: number | 'full'): Promise<void> {
  await cloneKb(world(site), { url: site.url, directory, depth, timeout: '60s', insecure: false });
}

export function writeFiles(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

/** The machine as kb sees it: an identity, and nothing of whoever runs the tests. */
export function world(site: Pick<QueueSite, 'root'>, { author = 'Ann', over = {} }: Writer = {}): Surroundings {
  const env = {
    HOME: join(site.root, 'home'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: author,
    GIT_AUTHOR_EMAIL: `${author.toLowerCase()}@example.com`,
  };
  return surroundings({ env, cwd: site.root, ...over });
}

export async function withSite<T>(site: QueueSite, writer: Writer, work: (kb: Kb) => Promise<T>): Promise<T> {
  const kb = await openKbAt(world(site, writer), writer.kb ?? site.kb, writer.flags ?? {});
  try {
    return await work(kb);
  } finally {
    kb.objects.close();
  }
}

/** `kb note`, by a call of its own. */
export function addTo(
  site: QueueSite,
  note: string | (Partial<NoteRequest> & Pick<NoteRequest, 'text'>),
  writer: Writer = {},
): Promise<NoteResult> {
  return withSite(site, writer, (kb) => addNote(kb, noteRequest(kb, typeof note === 'string' ? { text: note } : note)));
}

export function noteRequest(kb: Kb, over: Partial<NoteRequest> & Pick<NoteRequest, 'text'>): NoteRequest {
  return {
    target: { kind: 'new' },
    tags: [],
    properties: [],
    frontmatter: false,
    now: NOW,
    settings: kb.settings,
    push: true,
    pull: true,
    ...over,
  };
}

export function appendTo(path: string, text: string): Pick<NoteRequest, 'text' | 'target'> {
  return { text, target: { kind: 'append', path } };
}

/** `kb sync`, by a call of its own. */
export function syncAt(site: QueueSite, writer: Writer = {}, request: Partial<SyncRequest> = {}): Promise<SyncResult> {
  return withSite(site, writer, (kb) => sync(kb, { direction: 'both', commit: true, ...request }));
}

/**
 * Surroundings of a call that stands in the line on disk as if it came from another process: callers of one process
 * queue by the KB's path before they do so, and this one knows the KB by another.
 */
export function fromElsewhere(site: QueueSite, disk: Disk = nodeDisk): Pick<Surroundings, 'disk'> {
  processes += 1;
  const link = `${site.kb}-${processes}`;
  symlinkSync(site.kb, link);
  const realpathSync = ((path: string) =>
    disk.realpathSync(path) === site.kb ? link : disk.realpathSync(path)) as Disk['realpathSync'];
  // Through a proxy: the disk may be one that fails at will.
  return {
    disk: new Proxy(disk, {
      get: (target, name: keyof Disk): unknown => (name === 'realpathSync' ? realpathSync : target[name]),
    }),
  };
}

/** A writer that is killed when the test says so: nothing it does then reaches the disk, and everybody finds it dead. */
export interface Mortal {
  readonly over: Pick<Surroundings, 'disk' | 'identity'>;
  /** Makes a call of this writer, and ends its process when the call ends. */
  run<T>(call: () => Promise<T>): Promise<T>;
  kill(): void;
}

/** It goes by the identity of a real process, so that its end is proved as that of any other. */
export function mortal(): Mortal {
  const failing = new FailingDisk();
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 600_000)'], { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('close', resolve));
  onTestFinished(() => void child.kill('SIGKILL'));
  const pid = child.pid ?? 0;
  const self = currentProcess(nodeDisk);
  const stat = self.startTime === '' ? undefined : parseProcessStat(nodeDisk.readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return {
    over: { disk: failing.disk, identity: { ...self, pid, startTime: stat?.startTime ?? '' } },
    run: async (call) => {
      try {
        return await call();
      } finally {
        child.kill('SIGKILL');
        await gone;
      }
    },
    kill: () => (failing.isKilled = true),
  };
}

export interface Holding {
  readonly hold: Hold;
  /** Resolves when the lock is given back. */
  release(): Promise<void>;
}

/** Takes the KB's lock and keeps it: whoever comes now has to wait. */
export async function holdLock(site: QueueSite): Promise<Holding> {
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  let ended: Promise<void> | undefined;
  const hold = await new Promise<Hold>((resolve, reject) => {
    ended = withSite(site, { over: fromElsewhere(site) }, (kb) =>
      holdKb(kb, 'test', async (held) => {
        resolve(held);
        await released;
      }),
    );
    ended.catch(reject);
  });
  return {
    hold,
    release: async () => {
      release();
      await ended;
    },
  };
}

export function queueOf(site: Pick<QueueSite, 'kb'>): EntryQueue {
  return new EntryQueue(nodeDisk, join(site.kb, '.git', 'kb', 'queue'), 'nobody');
}

/** The outcome of a call, for calls that may fail before anybody looks. */
export function outcomeOf<T>(call: Promise<T>): Promise<PromiseSettledResult<T>> {
  return Promise.allSettled([call]).then(([outcome]) => outcome);
}

/** Starts calls one by one, the next when the one before stands in the queue, and keeps their outcomes. */
export async function lineUp<T>(
  site: QueueSite,
  calls: readonly (() => Promise<T>)[],
): Promise<Promise<PromiseSettledResult<T>>[]> {
  const places = (): PlaceName[] => {
    const { waiting, claimed } = queueOf(site).look();
    return [...waiting, ...claimed].map(({ place }) => place);
  };
  const outcomes: Promise<PromiseSettledResult<T>>[] = [];
  for (const call of calls) {
    const before = places();
    let isOver = false;
    outcomes.push(outcomeOf(call().finally(() => (isOver = true))));
    await until(() => isOver || places().some((place) => !before.includes(place)), 'a note stands in the queue');
  }
  return outcomes;
}

/** Waits until so many stand in the line for the lock, with an entry or without. */
export function lineOf(site: QueueSite, length: number): Promise<void> {
  return until(() => placesInLine(nodeDisk, site.kb).length === length, `${length} in the line for the lock`);
}

/** Looks again and again, for machines of any speed. @throws Error after a minute */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 60_000; !condition();) {
    if (performance.now() > end) throw new Error(`this did not come: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function valueOf<T>(outcome: PromiseSettledResult<T>): T {
  if (outcome.status === 'fulfilled') return outcome.value;
  throw outcome.reason;
}

/** @throws Error when it went well, or failed with something else than a KbError */
export function errorOf(outcome: PromiseSettledResult<unknown>): KbError {
  if (outcome.status === 'fulfilled') throw new Error(`it worked: ${JSON.stringify(outcome.value)}`);
  if (outcome.reason instanceof KbError) return outcome.reason;
  throw outcome.reason;
}

export function isPush({ method, path }: ServedRequest): boolean {
  return method === 'POST' && path.endsWith('/git-receive-pack');
}

/** How many pushes reached the server. */
export function pushesOf(server: GitServer): number {
  return server.requests.filter(isPush).length;
}

/** `author: subject` of the commits after the start, the oldest first. */
export function historyOf(repository: string, branch = 'main'): string[] {
  const lines = git(repository, ['log', '--reverse', '--format=%an: %s', branch]).trim().split('\n');
  return lines.filter((line) => !line.endsWith(': Start'));
}

/** In how many files of the remote's tip a line stands, each occurrence counted. */
export function timesOnRemote(site: QueueSite, text: string): number {
  const found = git(site.remote, ['grep', '-h', '-F', '-o', '-e', text, 'main'], { allowFailure: true });
  return found.split('\n').filter((line) => line === text).length;
}

export function readKb(site: QueueSite, path: string): string {
  return readFileSync(join(site.kb, path), 'utf8');
}
