import { KbError } from '../errors.js';
import { writeFileAtomic } from '../disk/durable.js';
import type { Disk } from '../disk/disk.js';

export interface MergeFilesRequest {
  /** Files of this machine; an empty BASE: both sides added the file. */
  readonly base: string;
  readonly ours: string;
  readonly theirs: string;
  /** What the file is called where it belongs; its ending says what kind of text it is. Default: the name of OURS. */
  readonly path?: string;
  /** Where the result goes; default: it is given back only. */
  readonly output?: string;
  /** Characters of a marker; 7 as in git. */
  readonly markerSize?: number;
  /** What stands behind the markers of ours, base and theirs; default: the files' names. */
  readonly labels?: readonly string[];
}

export interface MergeFilesResult {
  readonly result: 'merged' | 'conflict';
  readonly path: string;
  /** What settled the places that git would have left to a person. */
  readonly rules: readonly string[];
  /** In how many places the sides contradict each other. */
  readonly conflicts: number;
  /** Why there is a conflict; null: there is none. */
  readonly reason: 'overlap' | 'binary' | 'encoding' | null;
  /** The merged text, with markers around what is left; undefined where the files are no text. */
  readonly data: Buffer | undefined;
}

const USAGE_EXIT_CODE = 2;
const MARKER_SIZE = 7;

/**
 * Merges three files, the merge engine by itself. Its exit codes are those of a merge driver (gitattributes(5)), so
 * every failure is 2: 1 would be taken for a conflict whose text is in the output.
 * @throws KbError with exit code 2; nothing was written
 */
export async function mergeFiles(disk: Disk, request: MergeFilesRequest): Promise<MergeFilesResult> {
  const { base, ours, theirs, path = ours, output, labels = [] } = request;
  const size = request.markerSize ?? MARKER_SIZE;
  if (!Number.isInteger(size) || size < 1 || size > 1000)
    throw usage(`a marker has 1 to 1000 characters, not ${String(request.markerSize)}`);
  if (labels.length > 3) throw usage('there are three labels at most: ours, base, theirs');
  const { mergeFile } = await import('../merge/merge-file.js');
  const versions = { base: read(disk, base), ours: read(disk, ours), theirs: read(disk, theirs) };
  const merged = mergeFile({ ...versions, path });
  const style = { size, ours: labels[0] ?? ours, base: labels[1] ?? base, theirs: labels[2] ?? theirs };
  const data = merged.kind === 'merged' ? merged.data : merged.marked?.(style);
  if (output !== undefined && data !== undefined) write(disk, output, data);
  return merged.kind === 'merged'
    ? { result: 'merged', path, rules: merged.rules, conflicts: 0, reason: null, data }
    : { result: 'conflict', path, rules: [], conflicts: merged.regions, reason: merged.reason, data };
}

function usage(message: string): KbError {
  return new KbError('E_USAGE', message, { hint: 'see: kb merge-file --help' });
}

function read(disk: Disk, path: string): Buffer {
  try {
    return disk.readFileSync(path);
  } catch (error) {
    throw new KbError('E_USAGE', `cannot read ${path}: ${reasonOf(error)}`, {
      hint: 'name three files: kb merge-file BASE OURS THEIRS',
      cause: error,
    });
  }
}

function write(disk: Disk, path: string, data: Buffer): void {
  try {
    writeFileAtomic(disk, path, data, { durable: false });
  } catch (error) {
    throw new KbError('E_STORAGE', `cannot write ${path}: ${reasonOf(error)}`, {
      exitCode: USAGE_EXIT_CODE,
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
