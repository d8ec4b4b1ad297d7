import { dirname, join, resolve } from 'node:path';
import { register, requireFreeName } from '../config/registry.js';
import { setGitConfig } from '../config/git-config-edit.js';
import { loadSettings, parseDuration, type Settings } from '../config/settings.js';
import { asStorageError, isErrno } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';
import { KbError } from '../errors.js';
import { asRefName, branchRef, EMPTY_TREE, shortName, type Oid, type RefName } from '../git/ids.js';
import { GitIndex, IndexLock } from '../git/index/index-file.js';
import { initRepository, probeVolume, type VolumeTraits } from '../git/init-repository.js';
import { readCommit } from '../git/objects/commit.js';
import { writeShallow } from '../git/objects/history.js';
import { ObjectStore } from '../git/objects/store.js';
import { diffTrees } from '../git/objects/tree-diff.js';
import { Refs } from '../git/refs/refs.js';
import { findCollisions } from '../git/worktree/collisions.js';
import { Worktree } from '../git/worktree/worktree.js';
import { reportWait } from './hold.js';
import { withLock } from '../lock/lock.js';
import { openRemote } from '../remote/open.js';
import type { Discovery, Remote } from '../remote/remote.js';
import { parseRemoteUrl, type RemoteUrl } from '../remote/url.js';
import { remoteOptions } from './connect.js';
import { CloneStage, finishCompleteStage, hasCompleteStage, isLeftover, removeStages } from './clone-stage.js';
import { measureDisk } from './disk-use.js';
import { openKbAt, type Kb } from './open.js';
import type { Surroundings } from './surroundings.js';

export interface CloneRequest {
  /** Default: the setting `repoUrl`. */
  readonly url?: string;
  /** undefined: named after the repository, in the current directory */
  readonly directory?: string;
  readonly depth: number | 'full';
  /** Default: the setting `branch`, else the remote's own default branch. */
  readonly branch?: string;
  /** Register the KB under this name. */
  readonly name?: string;
  /** For the whole clone, such as `300s`. */
  readonly timeout: string;
  /** Default: the setting `lockTimeout`. */
  readonly lockTimeout?: string;
  /** Allow credentials over plain http to other machines. */
  readonly insecure: boolean;
}

export interface CloneResult {
  readonly status: 'cloned' | 'already_cloned';
  readonly dir: string;
  readonly url: string;
  readonly branch: string;
  readonly head: Oid | null;
  readonly shallow: boolean;
  readonly fileCount: number;
  /** Size of the repository on disk. */
  readonly bytes: number;
  readonly durationMs: number;
}

/**
 * Clones a remote into a directory that is empty, missing, or a mount point. All is staged inside the
 * target and moved up at the end, `.git` last: until then the directory is no KB, and a failure or a kill
 * leaves nothing that the next clone does not clear away.
 * @throws KbError E_NO_KB when the directory holds something else; E_NETWORK, E_AUTH, E_STORAGE, E_USAGE
 */
export async function cloneKb(surroundings: Surroundings, request: CloneRequest): Promise<CloneResult> {
  const { disk, env, cwd, clock, signal } = surroundings;
  const start = clock.monotonic();
  const { settings } = await loadSettings({
    disk,
    env,
    flags: { branch: request.branch, lockTimeout: request.lockTimeout },
  });
  const address = request.url ?? settings.repoUrl;
  if (address === undefined) {
    throw new KbError('E_USAGE', 'no URL to clone', { hint: 'give one: kb clone URL, or set KB_GIT_REPO_URL' });
  }
  const url = parseRemoteUrl(address, { cwd, insecure: request.insecure });
  const directory = resolve(cwd, request.directory ?? url.suggestedDirectory);
  if (request.name !== undefined) requireFreeName(disk, env, request.name, directory);
  if (!hasCompleteStage(disk, directory)) requireUsable(disk, directory, url);
  const firstCreated = makeDirectory(disk, directory);
  const within = (result: Omit<CloneResult, 'durationMs'>): CloneResult => ({
    ...result,
    durationMs: Math.round(clock.monotonic() - start),
  });
  try {
    const status = await withLock(
      {
        directory,
        operation: 'clone',
        command: 'kb clone',
        timeoutMs: settings.lockTimeoutMs,
        onWait: reportWait(surroundings),
        ...(signal === undefined ? {} : { signal }),
      },
      async () => {
        // Another clone may have finished while this one waited, or died after its stage was complete.
        finishCompleteStage(disk, directory);
        removeStages(disk, directory);
        if (requireUsable(disk, directory, url)) return 'already_cloned' as const;
        await cloneInto(
          surroundings,
          { ...request, settings, timeoutMs: parseDuration(request.timeout) },
          url,
          directory,
        );
        return 'cloned' as const;
      },
      { disk, identity: surroundings.identity },
    );
    if (request.name !== undefined) register(disk, env, { name: request.name, directory });
    return within(await describeClone(surroundings, directory, url, status));
  } catch (error) {
    if (firstCreated !== undefined) removeEmptyUpTo(disk, directory, firstCreated);
    throw asStorageError(error, `clone into ${directory}`);
  }
}

/** @returns the topmost directory that had to be made. @throws KbError E_STORAGE */
function makeDirectory(disk: Disk, directory: string): string | undefined {
  try {
    return disk.mkdirSync(directory, { recursive: true });
  } catch (error) {
    throw asStorageError(error, `make ${directory}`);
  }
}

/** @returns whether the directory is a clone of this very remote already. @throws KbError E_NO_KB when it holds anything else */
function requireUsable(disk: Disk, directory: string, url: RemoteUrl): boolean {
  let names: string[];
  try {
    names = disk.readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    if (isErrno(error, 'ENOTDIR'))
      throw new KbError('E_NO_KB', `${directory} is a file`, { hint: 'name another directory: kb clone URL DIR' });
    throw error;
  }
  if (names.includes('.git')) return true;
  const foreign = names.filter((name) => !isLeftover(name));
  if (foreign.length === 0) return false;
  throw new KbError(
    'E_NO_KB',
    `${directory} is not empty (it holds ${foreign.slice(0, 3).join(', ')}) and is no KB; nothing was touched`,
    {
      hint: `name another directory: kb clone ${url.display} DIR`,
    },
  );
}

/** The request with what the settings add to it. */
interface CloneOrder extends CloneRequest {
  readonly settings: Settings;
  readonly timeoutMs: number;
}

async function cloneInto(
  surroundings: Surroundings,
  request: CloneOrder,
  url: RemoteUrl,
  directory: string,
): Promise<void> {
  const { disk } = surroundings;
  const stop = new AbortController();
  const tooLong = (): void =>
    stop.abort(
      new KbError('E_NETWORK', `the clone took longer than ${request.timeoutMs / 1000} s`, {
        hint: 'give it more time with --timeout',
      }),
    );
  const timer = setTimeout(tooLong, request.timeoutMs);
  // AbortSignal.any would do this, but Node 20 has it only from 20.3 on.
  const passOn = (): void => stop.abort(surroundings.signal?.reason);
  if (surroundings.signal?.aborted === true) passOn();
  else surroundings.signal?.addEventListener('abort', passOn, { once: true });
  const { signal } = stop;
  const stage = CloneStage.make(disk, directory);
  let remote: Remote | undefined;
  try {
    remote = await openRemote(url, {
      ...remoteOptions(surroundings),
      timeoutMs: request.timeoutMs,
      insecure: request.insecure,
      signal,
    });
    surroundings.report({ kind: 'step', text: `cloning ${url.display}` });
    const { branch: named } = request.settings;
    const wanted = named === undefined ? undefined : branchRef(named);
    const discovery = await remote.discover('read', [
      'HEAD',
      ...(wanted === undefined ? ['refs/heads/main', 'refs/heads/master'] : [wanted]),
    ]);
    const branch = chooseBranch(discovery, wanted, url);
    const traits = probeVolume(disk, stage.tree);
    initRepository(disk, stage.gitDir, { bare: false, branch: shortName(branch.ref) });
    writeRemoteConfig(disk, stage.gitDir, request, url, branch.ref);
    if (branch.commit !== undefined)
      await fill(surroundings, request, stage, remote, { ...branch, commit: branch.commit }, traits, signal);
    signal.throwIfAborted();
    stage.finish(traits);
  } catch (error) {
    stage.remove();
    throw signal.aborted && !(error instanceof KbError) ? (signal.reason as Error) : error;
  } finally {
    clearTimeout(timer);
    surroundings.signal?.removeEventListener('abort', passOn);
    remote?.close();
  }
}

async function fill(
  surroundings: Surroundings,
  request: CloneOrder,
  stage: CloneStage,
  remote: Remote,
  branch: { ref: RefName; commit: Oid },
  traits: VolumeTraits,
  signal: AbortSignal,
): Promise<void> {
  const { disk, report } = surroundings;
  const objects = ObjectStore.open(disk, stage.gitDir);
  try {
    const receiver = objects.receivePack({
      keepLooseUnder: 0,
      onProgress: ({ objects: done, total, bytes }) =>
        report({ kind: 'progress', phase: 'receiving', done, total, bytes }),
    });
    try {
      const fetched = await remote.fetch({
        wants: [branch.commit],
        haves: [],
        shallow: new Set(),
        sink: receiver,
        ...(request.depth === 'full' ? {} : { depth: request.depth }),
      });
      receiver.finish();
      if (fetched.shallow.length > 0) writeShallow(disk, stage.gitDir, new Set(fetched.shallow));
    } catch (error) {
      receiver.abort();
      throw error;
    }
    objects.refresh();
    const tree = readCommit(objects, branch.commit).tree;
    const changes = diffTrees(objects, EMPTY_TREE, tree);
    if (traits.ignoreCase || traits.precomposeUnicode) requireNoCollisions(changes.map(({ path }) => path));
    const worktree = new Worktree(disk, stage.tree, stage.gitDir, { ...traits, trustCtime: true });
    const entries = worktree.apply(changes, objects, {
      durable: false,
      signal,
      onFile: (done, total) => report({ kind: 'progress', phase: 'checking out', done, total }),
    });
    const lock = IndexLock.acquire(disk, stage.gitDir);
    try {
      lock.commit(entries, { source: objects, root: tree });
    } finally {
      lock.release();
    }
    const refs = Refs.open(disk, stage.gitDir);
    const who = `kb <kb@localhost> ${Math.floor(surroundings.clock.wall() / 1000)} +0000`;
    const message = `clone: from ${remote.displayUrl}`;
    refs.update({
      name: asRefName(`refs/remotes/${request.settings.remote}/${shortName(branch.ref)}`),
      to: branch.commit,
      message,
      who,
    });
    refs.update({ name: branch.ref, to: branch.commit, expected: null, message, who });
  } finally {
    objects.close();
  }
}

function chooseBranch(
  discovery: Discovery,
  wanted: RefName | undefined,
  url: RemoteUrl,
): { ref: RefName; commit: Oid | undefined } {
  const found = (ref: RefName): { ref: RefName; commit: Oid | undefined } | undefined =>
    discovery.refs.has(ref) ? { ref, commit: discovery.refs.get(ref) } : undefined;
  if (wanted !== undefined) {
    const there = found(wanted) ?? (discovery.empty ? { ref: wanted, commit: undefined } : undefined);
    if (there !== undefined) return there;
    throw new KbError('E_USAGE', `${url.display} has no branch ${shortName(wanted)}`, {
      hint: 'leave out --branch to take its default branch',
    });
  }
  if (discovery.head !== undefined) return { ref: discovery.head, commit: discovery.refs.get(discovery.head) };
  return found(branchRef('main')) ?? found(branchRef('master')) ?? { ref: branchRef('main'), commit: undefined };
}

function writeRemoteConfig(disk: Disk, gitDir: string, request: CloneOrder, url: RemoteUrl, ref: RefName): void {
  const name = request.settings.remote;
  const branch = shortName(ref);
  setGitConfig(
    disk,
    join(gitDir, 'config'),
    new Map([
      [`remote.${name}.url`, url.href],
      [`remote.${name}.fetch`, `+${ref}:refs/remotes/${name}/${branch}`],
      ...(request.insecure ? [[`remote.${name}.kbInsecure`, 'true'] as const] : []),
      [`branch.${branch}.remote`, name],
      [`branch.${branch}.merge`, ref],
    ]),
  );
}

/** On a volume that folds names, one of the files would silently take the other's place. */
function requireNoCollisions(paths: Parameters<typeof findCollisions>[0]): void {
  const collisions = findCollisions(paths);
  if (collisions.length === 0) return;
  const named = collisions.slice(0, 3).map((group) => group.join(' and '));
  throw new KbError('E_UNSAFE_STATE', `this volume cannot tell apart: ${named.join('; ')}`, {
    hint: 'clone onto a case-sensitive volume, or rename the files where both are visible',
    details: { collisions: collisions.slice(0, 100) },
  });
}

async function describeClone(
  surroundings: Surroundings,
  directory: string,
  url: RemoteUrl,
  status: CloneResult['status'],
): Promise<Omit<CloneResult, 'durationMs'>> {
  const kb = await openKbAt(surroundings, directory, {});
  try {
    if (status === 'already_cloned') requireSameRemote(kb, url);
    const head = kb.refs.head();
    return {
      status,
      dir: directory,
      url: url.display,
      branch: head.branch === undefined ? '' : shortName(head.branch),
      head: head.oid ?? null,
      shallow: kb.shallow().size > 0,
      fileCount: GitIndex.read(surroundings.disk, kb.gitDir).entryCount,
      bytes: measureDisk(surroundings.disk, directory, kb.gitDir).repoBytes,
    };
  } finally {
    kb.objects.close();
  }
}

function requireSameRemote(kb: Kb, url: RemoteUrl): void {
  const configured = kb.gitConfig.get(`remote.${kb.settings.remote}.url`);
  if (
    configured !== undefined &&
    sameRepository(parseRemoteUrl(configured, { cwd: kb.root, insecure: true }).href, url.href)
  )
    return;
  throw new KbError(
    'E_NO_KB',
    `${kb.root} is a KB of another remote${configured === undefined ? '' : ` (${parseRemoteUrl(configured, { cwd: kb.root, insecure: true }).display})`}; nothing was touched`,
    {
      hint: `name another directory: kb clone ${url.display} DIR`,
    },
  );
}

function sameRepository(a: string, b: string): boolean {
  const plain = (href: string): string => href.replace(/\/+$/, '').replace(/\.git$/, '');
  return plain(a) === plain(b);
}

/** Removes the directories that this clone made, as long as nobody put anything into them. */
function removeEmptyUpTo(disk: Disk, directory: string, first: string): void {
  for (let at = directory; at.startsWith(first); at = dirname(at)) {
    try {
      disk.rmdirSync(at);
    } catch {
      return; // not empty: somebody else's by now
    }
  }
}
