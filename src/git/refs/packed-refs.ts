import { join } from 'node:path';
import type { Disk } from '../../disk/disk.js';
import { asStorageError, readFileIfExists } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { asOid, isOid, type Oid, type RefName } from '../ids.js';
import { isRefName } from './loose.js';

const LF = 0x0a;
const HASH = 0x23;
const CARET = 0x5e;

/**
 * One reading of `packed-refs`, searched as bytes: a KB with thousands of tags pays for no string that
 * it does not ask for. Format: gitrepository-layout(5) and git's refs/packed-backend.c — a header line
 * `# pack-refs with: …`, then `OID SP NAME LF`, each perhaps followed by `^PEELED-OID LF`.
 */
export class PackedRefs {
  private constructor(private readonly bytes: Buffer) {}

  /** @throws KbError E_CORRUPT when the last line is cut off */
  static read(disk: Disk, gitDir: string): PackedRefs {
    let bytes: Buffer | undefined;
    try {
      bytes = readFileIfExists(disk, join(gitDir, 'packed-refs'));
    } catch (error) {
      throw asStorageError(error, 'read packed-refs');
    }
    if (bytes !== undefined && bytes.length > 0 && bytes[bytes.length - 1] !== LF)
      throw corrupt('its last line is cut off');
    return new PackedRefs(bytes ?? Buffer.alloc(0));
  }

  get(name: RefName): Oid | undefined {
    const start = this.lineOf(name);
    return start === undefined
      ? undefined
      : asOid(this.bytes.toString('latin1', start, start + 40), 'object id in packed-refs');
  }

  /** Every ref whose name starts with `prefix`, in the order of the file. */
  *entries(prefix: string): Generator<[RefName, Oid]> {
    for (let start = 0; start < this.bytes.length;) {
      const end = this.bytes.indexOf(LF, start);
      const kind = this.bytes[start];
      if (kind !== HASH && kind !== CARET) {
        const name = this.bytes.toString('utf8', start + 41, end) as RefName;
        const oid = this.bytes.toString('latin1', start, start + 40);
        if (!isOid(oid) || this.bytes[start + 40] !== 0x20)
          throw corrupt(`line ${JSON.stringify(`${oid} ${name}`.slice(0, 120))}`);
        // A name that git does not allow is passed over, as git does: it must not become a path.
        if (name.startsWith(prefix) && isRefName(name)) yield [name, oid];
      }
      start = end + 1;
    }
  }

  /** The file without this ref and its peeled line; every other byte as it was. Undefined when it is not in it. */
  without(name: RefName): Buffer | undefined {
    const start = this.lineOf(name);
    if (start === undefined) return undefined;
    let end = this.bytes.indexOf(LF, start) + 1;
    if (this.bytes[end] === CARET) end = this.bytes.indexOf(LF, end) + 1;
    return Buffer.concat([this.bytes.subarray(0, start), this.bytes.subarray(end)]);
  }

  private lineOf(name: RefName): number | undefined {
    const needle = ` ${name}\n`;
    for (let at = this.bytes.indexOf(needle); at !== -1; at = this.bytes.indexOf(needle, at + 1)) {
      const start = at - 40;
      if (start === 0 || (start > 0 && this.bytes[start - 1] === LF)) return start;
    }
    return undefined;
  }
}

function corrupt(what: string): KbError {
  return new KbError('E_CORRUPT', `packed-refs is damaged: ${what}`, {
    hint: 'check the repository with: git fsck, or clone the KB again into another directory',
  });
}
