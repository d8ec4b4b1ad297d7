import { textStatsOf, type TextStats } from './text-stats.js';

/** What becomes of line ends. `native`: as `core.autocrlf` and `core.eol` say. */
export interface LineEnds {
  /** `auto`: only where the content is text by git's count, and has not been committed with CRLF. */
  readonly text: boolean | 'auto';
  /** What text has on disk. */
  readonly onDisk: 'lf' | 'crlf';
}

export const KEEP_LINE_ENDS: LineEnds = { text: false, onDisk: 'lf' };

const CR = 0x0d;
const LF = 0x0a;

/**
 * What the repository is to hold of a file.
 * @param recorded what it holds now, asked for when that matters; undefined: nothing
 */
export function lineEndsToBlob(data: Buffer, ends: LineEnds, recorded: () => Buffer | undefined): Buffer {
  if (!losesCrlf(data, ends, recorded)) return data;
  const result = Buffer.allocUnsafe(data.length);
  let length = 0;
  for (let at = 0; at < data.length; at += 1) {
    const byte = data[at] as number;
    if (byte === CR && data[at + 1] === LF) continue;
    result[length] = byte;
    length += 1;
  }
  return result.subarray(0, length);
}

function losesCrlf(data: Buffer, { text }: LineEnds, recorded: () => Buffer | undefined): boolean {
  if (text === false || !data.includes('\r\n')) return false;
  return text === true || (!textStatsOf(data).isBinary && !hasCrlf(recorded()));
}

/** A text that was committed with CRLF keeps it under `text=auto`, whoever edits it. */
function hasCrlf(recorded: Buffer | undefined): boolean {
  if (recorded === undefined || !recorded.includes('\r\n')) return false;
  return !textStatsOf(recorded).isBinary;
}

/** What a file is to hold of a blob. */
export function lineEndsToFile(data: Buffer, ends: LineEnds): Buffer {
  if (ends.text === false || ends.onDisk === 'lf' || data.length === 0) return data;
  const stats = textStatsOf(data);
  if (!gainsCrlf(stats, ends)) return data;
  const result = Buffer.allocUnsafe(data.length + stats.loneLf);
  let length = 0;
  for (let at = 0; at < data.length; at += 1) {
    const byte = data[at] as number;
    if (byte === LF && data[at - 1] !== CR) result[length++] = CR;
    result[length++] = byte;
  }
  return result;
}

function gainsCrlf(stats: Pick<TextStats, 'crlf' | 'loneCr' | 'loneLf' | 'isBinary'>, ends: LineEnds): boolean {
  if (ends.text === false || ends.onDisk === 'lf' || stats.loneLf === 0) return false;
  return ends.text === true || (stats.loneCr === 0 && stats.crlf === 0 && !stats.isBinary);
}

/**
 * Whether a file comes back as it was when it is committed and checked out again: what `core.safecrlf` asks.
 * @returns what would be lost; undefined: nothing
 */
export function lineEndsLost(
  data: Buffer,
  ends: LineEnds,
  recorded: () => Buffer | undefined,
): 'crlf' | 'lf' | undefined {
  if (ends.text === false || data.length === 0) return undefined;
  const stats = textStatsOf(data);
  if (ends.text === 'auto' && stats.isBinary) return undefined;
  const loses = losesCrlf(data, ends, recorded);
  const committed = loses ? { ...stats, crlf: 0, loneLf: stats.loneLf + stats.crlf } : stats;
  const gains = gainsCrlf(committed, ends);
  const crlfAfter = gains ? committed.crlf + committed.loneLf : committed.crlf;
  const lfAfter = gains ? 0 : committed.loneLf;
  if (stats.crlf > 0 && crlfAfter === 0) return 'crlf';
  return stats.loneLf > 0 && lfAfter === 0 ? 'lf' : undefined;
}
