import { KbError } from '../../../../src/errors.js';
import type { Oid } from '../../../../src/git/ids.js';
import { hashObject, type GitObject, type ObjectSource, type ObjectType } from '../../../../src/git/objects/object.js';

/** Objects in memory; `reads` counts, to prove what was not opened. */
export class MemoryObjects implements ObjectSource {
  readonly objects = new Map<Oid, GitObject>();
  readonly reads: Oid[] = [];

  add(type: ObjectType, data: Buffer): Oid {
    const oid = hashObject(type, data);
    this.objects.set(oid, { type, data });
    return oid;
  }

  find(oid: Oid): GitObject | undefined {
    this.reads.push(oid);
    return this.objects.get(oid);
  }

  read(oid: Oid): GitObject {
    const object = this.find(oid);
    if (object === undefined) throw new KbError('E_CORRUPT', `object ${oid} is missing`);
    return object;
  }

  has(oid: Oid): boolean {
    return this.objects.has(oid);
  }
}
