import type { Oid } from '../../../../src/git/ids.js';
import { type GitObject, type ObjectSource, hashObject } from '../../../../src/git/objects/object.js';
import type { FileMode, Leaf } from '../../../../src/git/objects/tree.js';

/** Objects without a disk; counts what is read. */
export class MemoryObjects implements ObjectSource {
  private readonly objects = new Map<Oid, GitObject>();

  leaf(content: string | Buffer, mode: FileMode = 0o100644): Leaf {
    const data = Buffer.from(content);
    const oid = hashObject('blob', data);
    this.objects.set(oid, { type: 'blob', data });
    return { mode, oid };
  }

  read(oid: Oid): GitObject {
    const object = this.objects.get(oid);
    if (object === undefined) throw new Error(`no object ${oid}`);
    return object;
  }

  find(oid: Oid): GitObject | undefined {
    return this.objects.get(oid);
  }

  has(oid: Oid): boolean {
    return this.objects.has(oid);
  }
}
