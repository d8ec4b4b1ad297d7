import { dirname, join, resolve } from 'node:path';
import { register, requireFreeName } from '../config/registry.js';
import { addGitConfig, setGitConfig } from '../config/git-config-edit.js';
import { insteadOf } from '../config/git-instead-of.js';
import { loadSettings, parseDuration, type Settings } from '../config/settings.js';
import { asStorageError, isErrno } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';
import { KbError } from '../errors.js';
import { asRefName, shortName, type Oid, type RefName } from '../git/ids.js';
import { GitIndex } from '../git/index/index-file.js';
import { initRepository, probeVolume, type VolumeTraits } from '../git/init-repository.js';
import { readCommit } from '../git/objects/commit.js';
import { SettlingThread } from '../git/objects/settling-thread.js';
import { writeShallow } from '../git/objects/history.js';
import { ObjectStore, type ReceivedPack } from '../git/objects/store.js';
import { Refs } from '../git/refs/refs.js';
import { withPauses } from '../git/steps.js';
import type { Rest } from '../git/worktree/fresh-checkout.js';
import { GITLINK } from '../git/worktree/modes.js';
import type { BlobSource } from '../git/worktree/apply.js';
import type { SparseCone } from '../git/worktree/sparse-cone.js';
import { Worktree } from '../git/worktree/worktree.js';
import { reportWait } from './hold.js';
import { withLock } from '../lock/lock.js';
import { openRemote } from '../remote/open.js';
import type { Remote } from '../remote/remote.js';
import { parseRemoteUrl, type RemoteUrl } from '../remote/url.js';
import { remoteOptions, userGitConfig } from './connect.js';
import { bringLargeFiles, pointersIn } from './lfs/bring.js';
import { leftOutFiles } from './lfs/left-out.js';
import { conversionsOf } from './content-rules.js';
import { GitConfig } from '../config/git-config.js';
import { homeDirectory } from '../config/locations.js';
import { typedRemote, type TypedRemote } from './remote-address.js';
import { CloneCheckout } from './clone-checkout.js';
import { chooseTarget, commitOf, refsToAsk, type CloneTarget } from './clone-target.js';
import { CloneRecord, lookAtClone } from './clone-record.js';
import { CloneStage, finishCompleteStage, hasCompleteStage, isLeftover, removeStages } from './clone-stage.js';
import { measureDisk } from './disk-use.js';
import { type FreeSpace, mebibytes, watchSpace } from './free-space.js';
import { noSuchBranch } from './no-such-branch.js';
import { openKbAt, optional, type Kb } from './open.js';
import { ProgressMeter } from './progress-meter.js';
import { coneOf, countFilesHere, requireFolders, writeSparseCheckout } from './sparse.js';
import { inBatches, promisorMark } from './fetch-objects.js';
import { BLOB_NONE, writePromisor } from './promisor.js';
import { sshCommandWith, type SshFiles, userSshSettings } from './ssh-settings.js';
import { StopSignal } from './stop-signal.js';
import { submodulesIn, submodulesLeftAlone } from './submodules.js';
import type { Surroundings } from './surroundings.js';
import { untilSent } from './until-sent.js';

/** A history of so many objects takes long enough for a second thread to be worth its start. */
const SECOND_THREAD_FROM = 20_000;

export interface CloneRequest {
  /** Default: the setting `repoUrl`. */
  readonly url?: string;
  /** undefined: named after the repository, in the current directory */
  readonly directory?: string;
  readonly depth: number | 'full';
  /** Also a tag or the whole id of a commit. Default: the setting `branch`, else the remote's own default branch. */
  readonly branch?: string;
  /** The branch to work on; begins at the other one where it does not exist. Default: the setting `sessionBranch`. */
  readonly sessionBranch?: string;
  /** Folders whose files are to be here, with those at the root and in the folders above; default: all files. */
  readonly sparse?: readonly string[];
  /** Register the KB under this name. */
  readonly name?: string;
  /** For the whole clone, such as `300s`. */
  readonly timeout: string;
  /** Default: the setting `lockTimeout`. */
  readonly lockTimeout?: string;
  /** Allow credentials over plain http to other machines. */
  readonly insecure: boolean;
  /** Files for ssh; also kept for later, in the clone's `.git/config`. */
  readonly ssh?: SshFiles;
}

export interface CloneResult {
  /** `cloning`: a clone in the background is under way; what is not known before its end is null or 0. */
  readonly status: 'cloned' | 'already_cloned' | 'cloning';
  readonly dir: string;
  readonly url: string;
  readonly branch: string | null;
  readonly head: Oid | null;
  readonly shallow: boolean | null;
  readonly fileCount: number;
  /** Size of the repository on disk. */
  readonly bytes: number;
  /** Large files (Git LFS) whose content could not be had: the pointer lies there. */
  readonly lfsMissing: readonly string[];
  /** Folders that belong to other repositories; they are left empty. */
  readonly submodules: readonly string[];
  readonly durationMs: number;
}

/**
 * Clones a remote into a directory that is empty, missing, or a mount point. All is staged inside the
 * target and moved up at the end, `.git` last: until then the directory is no KB, and a failure or a kill
 * leaves nothing that the next clone does not clear away.
 * @throws KbError E_NO_KB when the directory holds something else; E_NETWORK, E_AUTH, E_STORAGE, E_USAGE
 */
export async function cloneKb(surroundings: Surroundings, request: CloneRequest): Promise<CloneResult> {
  const plan = await planClone(surroundings, request);
  return cloneAsPlanned(surroundings, request, plan, undefined);
}

/** A request with all that it leaves open settled, and checked as far as nothing is changed for it. */
export interface ClonePlan extends TypedRemote {
  readonly settings: Settings;
  /** Absolute. */
  readonly directory: string;
  readonly timeoutMs: number;
  readonly startMs: number;
  /** `core.sshCommand` of the clone, where the request asks for one of its own. */
  readonly sshCommand: string | undefined;
}

/** @throws KbError E_USAGE, E_NO_KB when the directory holds something else */
export async function planClone(surroundings: Surroundings, request: CloneRequest): Promise<ClonePlan> {
  const { disk, env, cwd, clock } = surroundings;
  const startMs = clock.monotonic();
  const { settings } = await loadSettings({
    disk,
    env,
    flags: {
      branch: request.branch,
      sessionBranch: request.sessionBranch,
      lockTimeout: request.lockTimeout,
    },
  });
  const address = request.url ?? settings.repoUrl;
  if (address === undefined) {
    throw new KbError('E_USAGE', 'no URL to clone', { hint: 'give one: kb clone URL, or set KB_GIT_REPO_URL' });
  }
  const { url, configuredUrl } = typedRemote(surroundings, address, request.insecure);
  const directory = resolve(cwd, request.directory ?? url.suggestedDirectory);
  if (request.sparse !== undefined) coneOf(request.sparse);
  if (request.name !== undefined) requireFreeName(disk, env, request.name, directory);
  if (!hasCompleteStage(disk, directory)) requireUsable(disk, directory, url);
  const sshCommand = sshCommandWith(surroundings, request.ssh ?? {}, url, userSshSettings(surroundings).command);
  return { settings, url, configuredUrl, directory, timeoutMs: parseDuration(request.timeout), startMs, sshCommand };
}

/**
 * @param background of a clone that nobody waits for: called when the record of its progress can be seen. How it ends
 *   is then left in that record.
 */
export async function cloneAsPlanned(
  surroundings: Surroundings,
  request: CloneRequest,
  plan: ClonePlan,
  background: (() => void) | undefined,
): Promise<CloneResult> {
  const { disk, env, clock, signal } = surroundings;
  const { directory, url, settings } = plan;
  const firstCreated = makeDirectory(disk, directory);
  const record = new CloneRecord(surroundings, directory, url.display, background !== undefined);
  try {
    if (background !== undefined) {
      if (lookAtClone(surroundings, directory)?.state !== 'running') record.write();
      background();
    }
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
        await cloneInto(surroundings, { ...request, ...plan }, record);
        return 'cloned' as const;
      },
      { disk, identity: surroundings.identity },
    );
    if (request.name !== undefined) register(disk, env, { name: request.name, directory });
    const result = await describeClone(surroundings, directory, status === 'already_cloned' ? url : undefined);
    if (status === 'cloned') tellOfSubmodules(surroundings, result);
    return { ...result, status, durationMs: Math.round(clock.monotonic() - plan.startMs) };
  } catch (thrown) {
    const error = asStorageError(thrown, `clone into ${directory}`);
    if (background !== undefined) record.end(error);
    if (firstCreated !== undefined) removeEmptyUpTo(disk, directory, firstCreated);
    throw error;
  }
}

/** @returns the topmost directory that had to be made. @throws KbError E_STORAGE, E_NO_KB */
function makeDirectory(disk: Disk, directory: string): string | undefined {
  try {
    return disk.mkdirSync(directory, { recursive: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT'))
      throw new KbError('E_NO_KB', `${directory} is or is below a link that leads nowhere`, {
        hint: 'remove the link, or name another directory: kb clone URL DIR',
        cause: error,
      });
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

type CloneOrder = Omit<CloneRequest, keyof ClonePlan> & ClonePlan;

async function cloneInto(surroundings: Surroundings, order: CloneOrder, record: CloneRecord): Promise<void> {
  const { disk, clock, report } = surroundings;
  const { url, directory, settings, timeoutMs } = order;
  const stop = new StopSignal([surroundings.signal]);
  const tooLong = new KbError('E_NETWORK', `the clone took longer than ${timeoutMs / 1000} s`, {
    hint: 'give it more time with --timeout',
  });
  const timer = setTimeout(() => stop.stop(tooLong), timeoutMs);
  const { signal } = stop;
  let stage: CloneStage | undefined;
  let remote: Remote | undefined;
  try {
    // Asked first: on a full volume not even the record can be written.
    const space = watchSpace(disk, directory, `clone into ${directory}`);
    space?.require(0);
    record.write();
    remote = await openRemote(url, {
      ...remoteOptions(surroundings, { gitConfig: userGitConfig(surroundings), settings, remoteName: settings.remote }),
      ssh: () => ({ ...userSshSettings(surroundings), ...optional('command', order.sshCommand) }),
      timeoutMs,
      insecure: order.insecure,
      signal,
    });
    report({ kind: 'step', text: `cloning ${url.display}` });
    const wanted = { named: settings.branch, session: settings.sessionBranch };
    const asked = remote.discover('read', refsToAsk(wanted));
    await untilSent(remote, asked, clock);
    stage = CloneStage.make(disk, directory);
    const traits = probeVolume(disk, stage.tree);
    const target = chooseTarget(await asked, wanted);
    if (target === undefined) throw await noSuchBranch(remote, settings.branch ?? 'main');
    const branch = target.kind === 'branch' ? shortName(target.ref) : 'main';
    initRepository(disk, stage.gitDir, { bare: false, branch });
    writeRemoteConfig(disk, stage.gitDir, order, target);
    const cone = order.sparse === undefined ? undefined : coneOf(order.sparse);
    if (cone !== undefined) writeSparseCheckout(disk, stage.gitDir, cone);
    const { want } = target;
    if (want !== undefined) {
      const isPartial = cone !== undefined && (await remote.canFilter?.()) === true;
      if (isPartial) writePromisor(disk, stage.gitDir, settings.remote);
      else if (cone !== undefined)
        report({ kind: 'step', text: 'the remote leaves out no files: those of all folders are fetched' });
      const meter = new ProgressMeter(clock, (progress) => {
        report(progress);
        record.follow(progress);
      });
      await fill({
        surroundings,
        order,
        stage,
        remote,
        target,
        want,
        traits,
        cone,
        isPartial,
        space,
        packs: { bytes: 0 },
        meter,
        signal,
      });
    }
    signal.throwIfAborted();
    stage.finish(traits);
  } catch (error) {
    stage?.remove();
    const reason = signal.aborted && !(error instanceof KbError) ? (signal.reason as Error) : error;
    // Under the lock: who waits must find it free and the word of how it ended there, never neither.
    record.end(asStorageError(reason, `clone into ${directory}`));
    throw reason;
  } finally {
    clearTimeout(timer);
    stop.release();
    await remote?.close();
  }
}

/** What is at hand while the stage is filled. */
interface Filling {
  readonly surroundings: Surroundings;
  readonly order: CloneOrder;
  readonly stage: CloneStage;
  readonly remote: Remote;
  readonly target: CloneTarget;
  readonly want: Oid;
  readonly traits: VolumeTraits;
  /** undefined: all files are to be here */
  readonly cone: SparseCone | undefined;
  /** Files that are not to be here stay with the remote until they are needed. */
  readonly isPartial: boolean;
  /** undefined: the volume does not say how much room it has */
  readonly space: FreeSpace | undefined;
  /** What all packs of this clone have brought so far. */
  readonly packs: { bytes: number };
  readonly meter: ProgressMeter;
  readonly signal: AbortSignal;
}

async function fill(filling: Filling): Promise<void> {
  const { surroundings, order, stage, remote, target, want, traits, cone, space } = filling;
  const { disk, env, report } = surroundings;
  const objects = ObjectStore.open(disk, stage.gitDir);
  const gitConfig = GitConfig.load({ disk, gitDir: stage.gitDir, env, home: homeDirectory(env) });
  const place = { root: stage.tree, gitDir: stage.gitDir, gitConfig };
  const conversions = conversionsOf(surroundings, place, {
    index: () => ({ get: () => undefined }),
    blob: (oid) => objects.find(oid)?.data,
  });
  const settings = { ...traits, trustCtime: true, conversions, ...optional('cone', cone && ((): SparseCone => cone)) };
  const worktree = new Worktree(disk, stage.tree, stage.gitDir, settings);
  const checkout = new CloneCheckout(worktree, want, order.depth === 1, space?.blockBytes ?? 1, () =>
    space?.follow(0, 0, checkout.onDisk.files),
  );
  try {
    let { largestBytes } = await receive(filling, objects, checkout);
    const commit = commitOf(objects, want);
    const { tree } = readCommit(objects, commit);
    if (filling.isPartial) largestBytes = await receiveFiles(filling, objects, checkout, tree);
    await checkOut(filling, objects, checkout, { tree, largestBytes, gitConfig });
    const refs = Refs.open(disk, stage.gitDir);
    const who = `kb <kb@localhost> ${Math.floor(surroundings.clock.wall() / 1000)} +0000`;
    const message = `clone: from ${remote.displayUrl}`;
    if (target.kind === 'branch') {
      const name = asRefName(`refs/remotes/${order.settings.remote}/${shortName(target.from)}`);
      refs.update({ name, to: commit, message, who });
      refs.update({ name: target.ref, to: commit, expected: null, message, who });
      return;
    }
    const { name, tag } = target;
    if (tag !== undefined) refs.update({ name: tag, to: want, expected: null, message, who });
    const pin = new Map([
      ['kb.pinned', name],
      ['kb.pinnedCommit', commit],
    ]);
    setGitConfig(disk, join(stage.gitDir, 'config'), pin);
    refs.detach(commit, { message, who });
    const what = tag === undefined ? 'a commit' : 'a tag';
    report({ kind: 'warning', text: `${name} is ${what}: this KB is read-only, and follows no branch` });
  } finally {
    await checkout.close();
    objects.close();
  }
}

/** @param blobs undefined: the history, as far as it is wanted */
async function receive(
  filling: Filling,
  objects: ObjectStore,
  checkout: CloneCheckout,
  blobs?: readonly Oid[],
): Promise<ReceivedPack> {
  const { surroundings, order, stage, remote, want, isPartial, space, meter, signal } = filling;
  const { disk, clock } = surroundings;
  const wants = blobs ?? [want];
  const before = checkout.onDisk.written;
  const receiver = objects.receivePack({
    keepLooseUnder: 0,
    ...(isPartial ? { promisor: promisorMark(wants) } : {}),
    beforeWrite: (bytes) => {
      const { written, soon, files } = checkout.onDisk;
      space?.follow(filling.packs.bytes + written, bytes + soon, files);
      filling.packs.bytes += bytes;
    },
    onProgress: ({ phase, objects: done, total, bytes, blobBytes }) => {
      const { written, soon, files } = checkout.onDisk;
      const isOfFiles = order.depth === 1 || blobs !== undefined;
      // Of one commit every file will be written out; of a longer history only some.
      space?.follow(
        filling.packs.bytes + written,
        Math.max(soon, isOfFiles ? blobBytes - (written - before) : 0),
        files,
      );
      meter.follow(phase, { done, total, bytes });
    },
    ...(order.depth === 1 || blobs !== undefined
      ? {
          onObject: (oid, type, data, total) => checkout.take(oid, type, data, total),
          onLargeBlob: (size) => {
            const taker = checkout.takeLarge(size);
            // All of it may be in the piece of the pack that is here: nothing is counted again before it is written.
            if (taker !== undefined) space?.require(checkout.onDisk.soon);
            return taker;
          },
        }
      : { secondThread: { fromObjects: SECOND_THREAD_FROM, start: (settled) => SettlingThread.start(settled) } }),
  });
  try {
    const fetched = await remote.fetch({
      wants,
      haves: [],
      shallow: new Set(),
      sink: receiver,
      ...(order.depth === 'full' || blobs !== undefined ? {} : { depth: order.depth }),
      ...(isPartial && blobs === undefined ? { filter: BLOB_NONE } : {}),
    });
    const received = await withPauses(receiver.finishInSteps(), () => clock.monotonic(), signal);
    if (fetched.shallow.length > 0) writeShallow(disk, stage.gitDir, new Set(fetched.shallow));
    return received;
  } catch (error) {
    receiver.abort();
    throw error;
  }
}

/**
 * Of a partial clone: the files that are to be here, in one further request.
 * @returns no file is larger; bytes
 */
async function receiveFiles(
  filling: Filling,
  objects: ObjectStore,
  checkout: CloneCheckout,
  tree: Oid,
): Promise<number> {
  const blobs = new Set<Oid>();
  for (const { oid, mode } of checkout.rest(objects, tree).missing) if (mode !== GITLINK) blobs.add(oid);
  let largest = 0;
  for (const wants of inBatches([...blobs])) {
    const { largestBytes } = await receive(filling, objects, checkout, wants);
    largest = Math.max(largest, largestBytes);
  }
  return largest;
}

interface CheckedOut {
  readonly tree: Oid;
  /** No file is larger. */
  readonly largestBytes: number;
  readonly gitConfig: GitConfig;
}

async function checkOut(
  filling: Filling,
  objects: ObjectStore,
  checkout: CloneCheckout,
  { tree, largestBytes, gitConfig }: CheckedOut,
): Promise<void> {
  const { surroundings, order, stage, cone, space, meter, signal } = filling;
  const { clock } = surroundings;
  if (cone !== undefined) requireFolders(objects, tree, cone, surroundings.report);
  const rest = checkout.rest(objects, tree);
  if (space !== undefined) requireRoom(surroundings, space, stage, objects, rest, largestBytes);
  await bringLargeFiles(
    { root: stage.tree, gitDir: stage.gitDir, gitConfig, settings: order.settings, surroundings },
    pointersIn(checkout.filtered('lfs', objects), objects),
    {
      tree,
      objects,
      from: () => ({ remoteName: order.settings.remote, remote: order.url, insecure: order.insecure, signal }),
    },
  );
  const source: BlobSource = {
    read: (oid) => objects.read(oid),
    find: (oid) => objects.find(oid),
    has: (oid) => objects.has(oid),
    readBlob: (oid) => objects.readBlobJustReceived(oid),
  };
  const steps = checkout.finish(source, ({ done, total, bytes }) => {
    const { written, soon, files } = checkout.onDisk;
    space?.follow(written, soon, files);
    meter.follow('checking out', { done, total, bytes });
  });
  await withPauses(steps, () => clock.monotonic(), signal);
  objects.close(); // its caches were for the files; the index needs the memory now
  checkout.writeIndex();
}

/**
 * Looks whether the files will fit before the first is written. Their sizes are added up only where it is not certain
 * that they fit: that means a look at each.
 * @throws KbError E_STORAGE; E_CORRUPT when one is missing
 */
function requireRoom(
  { disk, report }: Surroundings,
  space: FreeSpace,
  stage: CloneStage,
  objects: ObjectStore,
  { files, missing }: Rest,
  largestBytes: number,
): void {
  const { repoBytes, freeBytes } = measureDisk(disk, stage.tree, stage.gitDir);
  const onDisk = (size: number): number => Math.ceil(size / space.blockBytes) * space.blockBytes;
  let needed = files * onDisk(largestBytes);
  if (freeBytes - needed < 3 * repoBytes + space.reserve) {
    needed = 0;
    for (const { oid, mode } of missing) {
      if (mode === GITLINK) continue;
      const header = objects.header(oid);
      if (header === undefined) throw objects.missing(oid);
      needed += onDisk(header.size);
    }
  }
  space.require(needed, files);
  if (freeBytes - needed >= 3 * repoBytes) return;
  report({
    kind: 'warning',
    text: `the volume will have less free than 3 times the repository's size (${mebibytes(freeBytes - needed)} for ${mebibytes(repoBytes)}): rewriting its packs may fill it`,
  });
}

/** As git's own clone of one branch writes it. A new session is fetched as well as the branch that it began at. */
function writeRemoteConfig(disk: Disk, gitDir: string, request: CloneOrder, target: CloneTarget): void {
  const name = request.settings.remote;
  const file = join(gitDir, 'config');
  const tracked = (ref: RefName): string => `+${ref}:refs/remotes/${name}/${shortName(ref)}`;
  const isBranch = target.kind === 'branch';
  const fetched = isBranch
    ? tracked(target.from)
    : target.tag === undefined
      ? undefined
      : `+${target.tag}:${target.tag}`;
  setGitConfig(
    disk,
    file,
    new Map([
      [`remote.${name}.url`, request.configuredUrl],
      ...(fetched === undefined ? [] : [[`remote.${name}.fetch`, fetched] as const]),
      ...(request.insecure ? [[`remote.${name}.kbInsecure`, 'true'] as const] : []),
      ...(request.sshCommand === undefined ? [] : [['core.sshCommand', request.sshCommand] as const]),
      ...(isBranch
        ? [
            [`branch.${shortName(target.ref)}.remote`, name] as const,
            [`branch.${shortName(target.ref)}.merge`, target.ref] as const,
          ]
        : []),
    ]),
  );
  if (isBranch && target.ref !== target.from) addGitConfig(disk, file, `remote.${name}.fetch`, tracked(target.ref));
}

/**
 * @param wanted the remote that it must be a clone of, where that is in question
 * @throws KbError E_NO_KB when it is a clone of another one
 */
export async function describeClone(
  surroundings: Surroundings,
  directory: string,
  wanted: RemoteUrl | undefined,
): Promise<Omit<CloneResult, 'status' | 'durationMs'>> {
  const kb = await openKbAt(surroundings, directory, {});
  try {
    if (wanted !== undefined) requireSameRemote(kb, wanted);
    const head = kb.refs.head();
    const index = GitIndex.read(surroundings.disk, kb.gitDir);
    return {
      dir: directory,
      url: remoteOf(kb)?.display ?? '',
      branch: head.branch === undefined ? null : shortName(head.branch),
      head: head.oid ?? null,
      shallow: kb.shallow().size > 0,
      fileCount: countFilesHere(kb, index),
      bytes: measureDisk(surroundings.disk, directory, kb.gitDir).repoBytes,
      lfsMissing: leftOutFiles(surroundings.disk, kb.gitDir),
      submodules: submodulesIn(index),
    };
  } finally {
    kb.objects.close();
  }
}

/** Once, by who sees the clone done: without a word, an empty folder looks like a clone that went wrong. */
export function tellOfSubmodules({ report }: Surroundings, { submodules }: Pick<CloneResult, 'submodules'>): void {
  if (submodules.length === 0) return;
  report({
    kind: 'warning',
    text: `${submodulesLeftAlone(submodules)} (git submodule update --init brings the files)`,
  });
}

function remoteOf(kb: Kb): RemoteUrl | undefined {
  const [configured] = kb.gitConfig.getAll(`remote.${kb.settings.remote}.url`);
  if (configured === undefined) return undefined;
  return parseRemoteUrl(insteadOf(kb.gitConfig, configured), { cwd: kb.root, insecure: true });
}

function requireSameRemote(kb: Kb, url: RemoteUrl): void {
  const configured = remoteOf(kb);
  if (configured !== undefined && sameRepository(configured.href, url.href)) return;
  const other = configured === undefined ? '' : ` (${configured.display})`;
  throw new KbError('E_NO_KB', `${kb.root} is a KB of another remote${other}; nothing was touched`, {
    hint: `name another directory: kb clone ${url.display} DIR`,
  });
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
