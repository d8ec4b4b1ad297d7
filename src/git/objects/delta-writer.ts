import { sharedEnd, sharedLength } from './shared-length.js';
import { compareEntries, skipAlike } from './tree-diff.js';
import { TreeScanner } from './tree.js';

const MAX_COPY = 0xffffff;
const MAX_INSERT = 127;

/** Source of the format: gitformat-pack, "Deltified representation". */
class DeltaWriter {
  private readonly parts: Buffer[];

  constructor(baseSize: number, resultSize: number) {
    this.parts = [encodeSize(baseSize), encodeSize(resultSize)];
  }

  copy(from: number, size: number): void {
    for (let done = 0; done < size;) {
      const length = Math.min(MAX_COPY, size - done);
      const at = from + done;
      const bytes = [0x80];
      for (const [bit, value] of [
        at,
        at / 0x100,
        at / 0x10000,
        at / 0x1000000,
        length,
        length / 0x100,
        length / 0x10000,
      ].entries()) {
        const byte = Math.floor(value) & 0xff;
        if (byte === 0) continue;
        bytes[0] = (bytes[0] as number) | (1 << bit);
        bytes.push(byte);
      }
      this.parts.push(Buffer.from(bytes));
      done += length;
    }
  }

  insert(data: Buffer): void {
    for (let at = 0; at < data.length; at += MAX_INSERT) {
      const piece = data.subarray(at, at + MAX_INSERT);
      this.parts.push(Buffer.from([piece.length]), piece);
    }
  }

  take(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** A delta for two versions of a folder: entries that stay are copied, the others inserted. */
export function makeTreeDelta(base: Buffer, target: Buffer): Buffer {
  const delta = new DeltaWriter(base.length, target.length);
  const old = new TreeScanner(base);
  const fresh = new TreeScanner(target);
  const copyAlike = (): void => {
    const from = old.end;
    skipAlike(old, fresh);
    delta.copy(from, old.end - from);
  };
  copyAlike();
  let hasOld = old.next();
  let hasFresh = fresh.next();
  while (hasFresh) {
    const order = hasOld ? compareEntries(old, fresh) : 1;
    if (order < 0) {
      hasOld = old.next();
      continue;
    }
    const isAlike = order === 0 && base.compare(target, fresh.start, fresh.end, old.start, old.end) === 0;
    if (isAlike) delta.copy(old.start, old.end - old.start);
    else delta.insert(target.subarray(fresh.start, fresh.end));
    if (order === 0) {
      copyAlike();
      hasOld = old.next();
    }
    hasFresh = fresh.next();
  }
  return delta.take();
}

/** A delta for two versions of a file that differ in one stretch: appended to, or edited in one place. */
export function makeBlobDelta(base: Buffer, target: Buffer): Buffer {
  const delta = new DeltaWriter(base.length, target.length);
  const start = sharedLength(base, 0, target, 0);
  const end = sharedEnd(base, target, Math.min(base.length, target.length) - start);
  delta.copy(0, start);
  delta.insert(target.subarray(start, target.length - end));
  delta.copy(base.length - end, end);
  return delta.take();
}

function encodeSize(size: number): Buffer {
  const bytes: number[] = [];
  let rest = size;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
