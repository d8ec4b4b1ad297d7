import {
  namesIn,
  readFileIfExists,
  removeFile,
  removeTree,
  syncDirectory,
  writeFileAtomic,
} from '../../disk/durable.js';
import type { Oid } from '../ids.js';
import { encodeCruftTimes } from './cruft-times.js';
import { LOOSE } from './object-table.js';
import { PackOutput } from './pack-output.js';
import type { Roots } from './roots.js';
import { changedMeanwhile, StoredObjects, type LooseFile, type StoredPack } from './stored-objects.js';
import { NEEDED_BY_YOUNG, REACHABLE, Walk, type Breathe } from './walk.js';
import { ObjectWriter } from './write-objects.js';

export interface RepackRequest {
  readonly roots: Roots;
  readonly shallow: ReadonlySet<Oid>;
  /** What nothing leads to is dropped if it was last of use before this moment, seconds since 1970; −Infinity: never. */
  readonly pruneBefore: number;
  readonly breathe: (phase: RepackPhase) => Breathe;
}

export type RepackPhase = 'looking' | 'packing';

/** What a repack is going to do; nothing has been changed so far. */
export interface RepackPlan {
  readonly objects: StoredObjects;
  /** To be written into one pack, in this order; empty: nothing is to be gained. */
  readonly kept: readonly number[];
  /** Of packs, and reached by nothing, but too young to go: to be written into a cruft pack. */
  readonly cruft: readonly number[];
  /** To go. */
  readonly dropped: readonly number[];
  /** All that anything names is here, so what holds none of it is of no use. */
  readonly isComplete: boolean;
  readonly otherVersions: Int32Array;
  /** The pack that holds exactly what would be written, and stays. */
  readonly keptPack: StoredPack | undefined;
  readonly cruftPack: StoredPack | undefined;
}

/**
 * Decides what becomes of each object.
 *
 * Invariant: dropped is only what (a) no root leads to, (b) nothing young leads to, and (c) was last of use before
 * `pruneBefore`; never in a partial clone, and never when a root could not be read.
 * (Broken by: test/integration/gc.test.ts, "drops by age only what nothing leads to")
 * @throws KbError E_CORRUPT when something that must be here is missing or damaged
 */
export async function planRepack(objects: StoredObjects, request: RepackRequest): Promise<RepackPlan> {
  const { table, packs } = objects;
  const { roots, pruneBefore } = request;
  const isPartial = packs.some(({ isPromised }) => isPromised);
  const walk = new Walk(objects, request.shallow, isPartial, request.breathe('looking'));
  await walk.from(roots.named, REACHABLE, false);
  await walk.from(roots.hinted, REACHABLE, true);
  const { commits, tags, trees, blobs } = walk.reached;
  const kept = [...commits, ...tags, ...trees, ...blobs].filter((number) => !objects.isKept(number));
  const unreached: number[] = [];
  for (let number = 0; number < table.count; number++) {
    if (table.marks[number] === 0 && !objects.isKept(number)) unreached.push(number);
  }
  const mayDrop = !isPartial && roots.unreadable === undefined;
  const isOld = (number: number): boolean => mayDrop && (table.seconds[number] as number) < pruneBefore;
  if (unreached.some(isOld)) {
    const young = unreached.filter((number) => !isOld(number));
    await walk.fromNumbers(young, NEEDED_BY_YOUNG, true);
  }
  const dropped = unreached.filter((number) => isOld(number) && table.marks[number] !== NEEDED_BY_YOUNG);
  const droppedSet = new Set(dropped);
  // Loose ones stay where they are: their file carries their age, and another program may touch it to keep them.
  const cruft = unreached.filter((number) => !droppedSet.has(number) && table.sources[number] !== LOOSE);
  cruft.sort(
    (a, b) => (table.sources[a] as number) - (table.sources[b] as number) || objects.offsetOf(a) - objects.offsetOf(b),
  );
  return {
    objects,
    kept,
    cruft,
    dropped,
    isComplete: mayDrop && !walk.hasMissed,
    otherVersions: walk.otherVersions,
    keptPack: packOfExactly(objects, kept, false),
    cruftPack: packOfExactly(objects, cruft, true),
  };
}

/** What the new packs will take at most, bytes. */
export function bytesNeeded({ objects, kept, cruft, keptPack, cruftPack }: RepackPlan): number {
  const { table } = objects;
  const packed = new Map<number, number>();
  let bytes = 0;
  const looseBytes = new Map(objects.loose.map((file) => [file.number, file.bytes]));
  for (const number of [...(keptPack === undefined ? kept : []), ...(cruftPack === undefined ? cruft : [])]) {
    const source = table.sources[number] as number;
    if (source === LOOSE) bytes += (looseBytes.get(number) ?? 0) + 32;
    else packed.set(source, (packed.get(source) ?? 0) + 1);
    bytes += 28;
  }
  for (const [source, count] of packed) {
    const { rows, bytes: size } = objects.packs[source] as StoredPack;
    bytes += Math.ceil((size * count) / Math.max(1, rows.count));
  }
  return bytes;
}

export interface NewPacks {
  /** Paths without endings of all packs that hold what is to be kept, new or not. */
  readonly paths: ReadonlySet<string>;
}

/**
 * Writes the new packs, durable and visible. Nothing is removed yet: until then every object is there twice.
 * @throws KbError E_STORAGE, E_CORRUPT, E_UNSAFE_STATE; nothing has changed then but for packs that are complete
 */
export async function writePacks(plan: RepackPlan, breathe: (phase: RepackPhase) => Breathe): Promise<NewPacks> {
  const { objects, kept, cruft, keptPack, cruftPack } = plan;
  const paths = new Set<string>();
  if (keptPack !== undefined) paths.add(keptPack.path);
  else if (kept.length > 0) paths.add(await writePack(plan, kept, breathe('packing')));
  if (cruftPack !== undefined) paths.add(cruftPack.path);
  else if (cruft.length > 0) {
    const { table } = objects;
    const times = (sortedIds: Buffer, packChecksum: Buffer): Buffer => {
      const seconds = Array.from(cruft, (_, place) => table.seconds[table.find(sortedIds, place * 20)] as number);
      return encodeCruftTimes(seconds, packChecksum);
    };
    paths.add(await writePack(plan, cruft, breathe('packing'), times));
  }
  return { paths };
}

async function writePack(
  { objects, otherVersions }: RepackPlan,
  numbers: readonly number[],
  breathe: Breathe,
  times?: (sortedIds: Buffer, packChecksum: Buffer) => Buffer,
): Promise<string> {
  const directory = `${objects.objectsDirectory}/pack`;
  objects.disk.mkdirSync(directory, { recursive: true });
  const output = new PackOutput(objects.disk, directory, numbers.length);
  try {
    await new ObjectWriter(objects, output, numbers, otherVersions).writeAll(numbers, breathe);
    return output.publish(times).path;
  } finally {
    output.discard();
  }
}

/** The pack that holds these objects, all of them and nothing else. */
function packOfExactly(objects: StoredObjects, numbers: readonly number[], isCruft: boolean): StoredPack | undefined {
  const pack = numbers[0] === undefined ? undefined : objects.packOf(numbers[0]);
  if (pack === undefined || pack.rows.count !== numbers.length || pack.isCruft !== isCruft) return undefined;
  return numbers.every((number) => objects.packOf(number) === pack) ? pack : undefined;
}

/**
 * Removes what is in the new packs now: old packs, and loose copies. What holds an object that is to be dropped stays.
 *
 * Invariant: a file is removed only when each object in it can be read from a pack that is visible and durable.
 * (Broken by: test/integration/gc-crash.test.ts)
 */
export function removeDoubles(plan: RepackPlan, { paths }: NewPacks): void {
  const { objects } = plan;
  requireVisible(objects, paths);
  const { table } = objects;
  const isDropped = bitsOf(table.count, plan.dropped);
  removePacks(
    objects,
    objects.packs.filter(
      (pack) => isReplaced(pack, paths) && isUntouched(objects, pack) && !holdsAny(objects, pack, isDropped),
    ),
  );
  // A second copy of a cruft object stays: its file may say that the object was of use lately.
  const isKept = bitsOf(table.count, plan.kept);
  for (const file of objects.loose) {
    if (isKept[file.number] === 1 || objects.isKept(file.number)) removeLoose(objects, file);
  }
}

/**
 * Removes what is to be dropped. What was of use meanwhile (another program touches the file to say so) stays.
 * @returns how many objects went
 */
export function removeDropped(plan: RepackPlan, { paths }: NewPacks): number {
  const { objects, dropped } = plan;
  const { table, disk } = objects;
  requireVisible(objects, paths);
  const isDropped = bitsOf(table.count, dropped);
  const stays = new Set<number>();
  const packs = objects.packs.filter((pack) => isReplaced(pack, paths) && holdsAny(objects, pack, isDropped));
  const removable = packs.filter((pack) => {
    if (isUntouched(objects, pack)) return true;
    for (let place = 0; place < pack.rows.count; place++) stays.add(table.find(pack.rows.ids, pack.rows.idAt(place)));
    return false;
  });
  const loose = objects.loose.filter(({ number, path, mtimeMs }) => {
    if (isDropped[number] === 0) return false;
    if (disk.lstatSync(path, { throwIfNoEntry: false })?.mtimeMs === mtimeMs) return true;
    stays.add(number);
    return false;
  });
  // A graph of commits must name none that is gone.
  if (dropped.length > 0) removeCommitGraph(objects);
  removePacks(objects, removable);
  for (const file of loose) removeLoose(objects, file);
  return dropped.filter((number) => !stays.has(number)).length;
}

/** Whether one of the roots, as they are now, leads to something that is to be dropped. */
export async function leadsToDropped(
  plan: RepackPlan,
  roots: Roots,
  shallow: ReadonlySet<Oid>,
  breathe: Breathe,
): Promise<boolean> {
  if (roots.unreadable !== undefined) return true;
  const before = plan.objects.table;
  const id = Buffer.alloc(20);
  const fresh = [...roots.named, ...roots.hinted].filter((oid) => {
    id.write(oid, 'hex');
    const number = before.find(id);
    return number < 0 || before.marks[number] !== REACHABLE;
  });
  if (fresh.length === 0) return false;
  const now = StoredObjects.survey(plan.objects.disk, plan.objects.objectsDirectory);
  try {
    const walk = new Walk(now, shallow, true, breathe);
    // What was reached before leads to nothing new: the walk ends where it meets it.
    for (let number = 0; number < before.count; number++) {
      if (before.marks[number] !== REACHABLE) continue;
      const same = now.table.find(before.ids, number * 20);
      if (same >= 0) now.table.marks[same] = REACHABLE;
    }
    await walk.from(fresh, REACHABLE, true);
    return plan.dropped.some((number) => {
      const same = now.table.find(before.ids, number * 20);
      return same >= 0 && now.table.marks[same] !== 0;
    });
  } finally {
    now.close();
  }
}

function isReplaced(pack: StoredPack, paths: ReadonlySet<string>): boolean {
  return !pack.isKept && !paths.has(pack.path);
}

/** Git touches a pack when it needs an object in it that it would else have written: then all in it count as young. */
function isUntouched({ disk }: StoredObjects, { path, mtimeMs }: StoredPack): boolean {
  return disk.statSync(`${path}.pack`, { throwIfNoEntry: false })?.mtimeMs === mtimeMs;
}

function holdsAny({ table }: StoredObjects, { rows }: StoredPack, bits: Uint8Array): boolean {
  for (let place = 0; place < rows.count; place++) {
    if (bits[table.find(rows.ids, rows.idAt(place))] === 1) return true;
  }
  return false;
}

function bitsOf(count: number, numbers: readonly number[]): Uint8Array {
  const bits = new Uint8Array(count);
  for (const number of numbers) bits[number] = 1;
  return bits;
}

/** Somebody who does not keep to git's lock for it may have repacked the new packs away. */
function requireVisible({ disk }: StoredObjects, paths: ReadonlySet<string>): void {
  for (const path of paths) {
    for (const ending of ['.pack', '.idx']) {
      if (disk.statSync(`${path}${ending}`, { throwIfNoEntry: false }) === undefined) throw changedMeanwhile();
    }
  }
}

/** The index goes first: without it nobody takes the pack for one. */
const PACK_ENDINGS = ['.idx', '.rev', '.bitmap', '.mtimes', '.pack'];

function removePacks({ disk, objectsDirectory }: StoredObjects, packs: readonly StoredPack[]): void {
  if (packs.length === 0) return;
  const directory = `${objectsDirectory}/pack`;
  // It names packs; git takes one that is not there for damage.
  for (const name of namesIn(disk, directory)) {
    if (name.startsWith('multi-pack-index')) removeTree(disk, `${directory}/${name}`);
  }
  for (const { path } of packs) {
    // Made a kept one by somebody meanwhile: as git does, it stays.
    if (disk.statSync(`${path}.keep`, { throwIfNoEntry: false }) !== undefined) continue;
    for (const ending of PACK_ENDINGS) removeFile(disk, path + ending);
  }
  syncDirectory(disk, directory);
  rewritePackList(disk, objectsDirectory);
}

/** `objects/info/packs`, for those who fetch over plain HTTP; kept right where it is there. */
function rewritePackList(disk: StoredObjects['disk'], objectsDirectory: string): void {
  const path = `${objectsDirectory}/info/packs`;
  if (readFileIfExists(disk, path) === undefined) return;
  const packs = namesIn(disk, `${objectsDirectory}/pack`).filter((name) => /^pack-[0-9a-f]{40}\.pack$/.test(name));
  writeFileAtomic(disk, path, `${packs.map((name) => `P ${name}\n`).join('')}\n`);
}

function removeLoose({ disk }: StoredObjects, { path }: LooseFile): void {
  removeFile(disk, path);
}

function removeCommitGraph({ disk, objectsDirectory }: StoredObjects): void {
  removeFile(disk, `${objectsDirectory}/info/commit-graph`);
  removeTree(disk, `${objectsDirectory}/info/commit-graphs`);
}
