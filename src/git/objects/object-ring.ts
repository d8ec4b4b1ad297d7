import type crypto from 'node:crypto';

/** What became of an object in a ring. */
export const MADE = { named: 1, unchecked: 2, unmade: 3 } as const;

/** The objects of a pack that came last, end to end in one piece of memory; each by the number that it has in the pack. */
export interface ObjectRing {
  /**
   * Takes in a whole object.
   * @param type number as in a pack
   * @param id gets its 20 bytes from `idAt` on, unless it is `unmade`
   * @returns one of `MADE`: `unchecked`, it is named, but is not plain enough to be known as well-formed here
   */
  whole(index: number, type: number, from: Uint8Array, at: number, size: number, id: Uint8Array, idAt: number): number;
  /** As `whole`, for what a delta makes of an object; `unmade` also where that one is gone, or the delta is damaged. */
  delta(
    index: number,
    type: number,
    base: number,
    from: Uint8Array,
    at: number,
    size: number,
    id: Uint8Array,
    idAt: number,
  ): number;
}

/**
 * Makes objects whole, names them, and looks whether they are plain. Nothing is allocated for an object but the view of
 * it that is hashed: with 100,000 of them that counts.
 *
 * Invariant: it refers to nothing but its parameters, because its text is the second thread's program too.
 * Invariant: it says of nothing that it is plain that `verifyTree` or `verifyCommit` would refuse (test: "says plain of
 * nothing that …"); what it is not sure of is looked at by them.
 * @param bytes of objects that it holds
 * @param most no object is larger than this; bytes
 */
export function makeObjectRing(
  { hash, createHash }: Pick<typeof crypto, 'createHash'> & { readonly hash?: typeof crypto.hash },
  bytes: number,
  most: number,
): ObjectRing {
  /** A power of two, so that a place is cut out of a number by its last bits. */
  const places = 128 * 1024;
  /** Before an object: what is hashed with it, `commit 123\0`. */
  const headRoom = 32;
  const memory = Buffer.allocUnsafeSlow(bytes);
  const owners = new Int32Array(places).fill(-1);
  /** Counted over all that was ever written: place `n` lies at `n` modulo `bytes` until it is written over. */
  const starts = new Float64Array(places);
  const sizes = new Int32Array(places);
  let written = 0;
  const names = ['', 'commit ', 'tree ', 'blob ', 'tag '].map((name) => Buffer.from(name));

  /** @returns where in the memory the next object goes; what lay there is gone */
  function room(size: number): number {
    let at = written % bytes;
    if (at + headRoom + size > bytes) {
      written += bytes - at;
      at = 0;
    }
    written += headRoom + size;
    return at + headRoom;
  }

  function keep(index: number, size: number): void {
    const place = index & (places - 1);
    owners[place] = index;
    starts[place] = written - size;
    sizes[place] = size;
  }

  function name(type: number, start: number, size: number, id: Uint8Array, idAt: number): void {
    let at = start - 1;
    memory[at] = 0;
    let rest = size;
    do {
      memory[--at] = 0x30 + (rest % 10);
      rest = (rest / 10) | 0;
    } while (rest > 0);
    const prefix = names[type] as Buffer;
    for (let byte = prefix.length - 1; byte >= 0; byte--) memory[--at] = prefix[byte] as number;
    const content = memory.subarray(at, start + size);
    const text =
      hash === undefined
        ? createHash('sha1')
            .update(content)
            .digest('latin1' as 'binary')
        : hash('sha1', content, 'latin1' as 'binary');
    for (let byte = 0; byte < 20; byte++) id[idAt + byte] = text.charCodeAt(byte);
  }

  function applied(base: number, baseSize: number, start: number, from: Uint8Array, at: number, end: number): boolean {
    let size = 0;
    for (let factor = 1, byte = 0x80; byte >= 0x80; factor *= 128) {
      if (at >= end || factor > 0x10_0000) return false;
      byte = from[at++] as number;
      size += (byte & 0x7f) * factor;
    }
    if (size !== baseSize) return false;
    let resultSize = 0;
    for (let factor = 1, byte = 0x80; byte >= 0x80; factor *= 128) {
      if (at >= end || factor > 0x10_0000) return false;
      byte = from[at++] as number;
      resultSize += (byte & 0x7f) * factor;
    }
    let to = start;
    const full = start + resultSize;
    const baseEnd = base + baseSize;
    while (at < end) {
      const command = from[at++] as number;
      if ((command & 0x80) !== 0) {
        let source = base;
        let length = 0;
        if ((command & 0x01) !== 0) source += from[at++] as number;
        if ((command & 0x02) !== 0) source += (from[at++] as number) * 0x100;
        if ((command & 0x04) !== 0) source += (from[at++] as number) * 0x1_0000;
        if ((command & 0x08) !== 0) source += (from[at++] as number) * 0x100_0000;
        if ((command & 0x10) !== 0) length = from[at++] as number;
        if ((command & 0x20) !== 0) length |= (from[at++] as number) << 8;
        if ((command & 0x40) !== 0) length |= (from[at++] as number) << 16;
        if (length === 0) length = 0x1_0000;
        if (at > end || source + length > baseEnd || to + length > full) return false;
        if (length < 64) for (let byte = 0; byte < length; byte++) memory[to + byte] = memory[source + byte] as number;
        else memory.copyWithin(to, source, source + length);
        to += length;
      } else {
        if (command === 0 || at + command > end || to + command > full) return false;
        for (let byte = 0; byte < command; byte++) memory[to + byte] = from[at + byte] as number;
        at += command;
        to += command;
      }
    }
    return to === full;
  }

  /** Of a delta that is whole; 0 where it is not. */
  function sizeOfResult(from: Uint8Array, at: number, end: number): number {
    while (at < end && (from[at] as number) >= 0x80) at++;
    let size = 0;
    for (let factor = 1; ++at < end && factor <= 0x10_0000; factor *= 128) {
      size += ((from[at] as number) & 0x7f) * factor;
      if ((from[at] as number) < 0x80) return size;
    }
    return most + 1;
  }

  function isPlainTree(at: number, end: number): boolean {
    let beforeAt = 0;
    let beforeEnd = 0;
    let isBeforeTree = false;
    /** A file whose name could come again as a folder: the names since then begin with it. */
    let openAt = 0;
    let openEnd = 0;
    while (at < end) {
      let mode = 0;
      let byte = memory[at] as number;
      if (byte === 0x30) return false;
      for (let digits = 0; byte !== 0x20; digits++) {
        if (byte < 0x30 || byte > 0x37 || digits === 6) return false;
        mode = mode * 8 + byte - 0x30;
        byte = memory[++at] as number;
      }
      const kind = mode & 0o170000;
      const isTree = kind === 0o40000;
      const isLink = kind === 0o120000;
      if (!isTree && !isLink && kind !== 0o100000 && kind !== 0o160000) return false;
      const nameAt = ++at;
      let isAscii = true;
      for (byte = memory[at] as number; byte !== 0; byte = memory[++at] as number) {
        // A short name of NTFS has a `~`. Also a name may go on where the tree has ended.
        if (byte === 0x2f || byte === 0x5c || byte === 0x7e || at >= end) return false;
        if (byte > 0x7f) isAscii = false;
      }
      const nameEnd = at;
      at += 21;
      if (nameEnd === nameAt || at > end) return false;
      const first = memory[nameAt] as number;
      if (first === 0x2e && (isLink || !isPlainAfterDot(nameAt + 1, nameEnd))) return false;
      if (!isAscii && (isLink || first === 0xe2 || first === 0xef)) return false;
      if (memory[nameEnd + 1] === 0 && memory[nameEnd + 2] === 0) return false;
      if (beforeEnd > 0) {
        let one = beforeAt;
        let other = nameAt;
        while (one < beforeEnd && memory[one] === memory[other]) {
          one++;
          other++;
        }
        const a = one === beforeEnd ? (isBeforeTree ? 0x2f : 0) : (memory[one] as number);
        const b = other === nameEnd ? (isTree ? 0x2f : 0) : (memory[other] as number);
        if (a >= b) return false;
        if (openEnd > 0 && !beginsWith(nameAt, openAt, openEnd)) openEnd = 0;
        if (openEnd === 0 && one === beforeEnd && !isBeforeTree) {
          openAt = beforeAt;
          openEnd = beforeEnd;
        }
        if (openEnd > 0 && isTree) return false;
      }
      beforeAt = nameAt;
      beforeEnd = nameEnd;
      isBeforeTree = isTree;
    }
    return true;
  }

  /** Of a name that begins with a dot, what follows: a letter that `.git` does not have there. */
  function isPlainAfterDot(at: number, end: number): boolean {
    for (const letter of git) {
      if (at >= end) return false;
      const folded = (memory[at] as number) | 0x20;
      if (folded !== letter) return folded >= 0x61 && folded <= 0x7a;
      at++;
    }
    const folded = (memory[at] as number) | 0x20;
    return at < end && folded >= 0x61 && folded <= 0x7a;
  }

  function beginsWith(at: number, openAt: number, openEnd: number): boolean {
    while (openAt < openEnd && memory[at] === memory[openAt]) {
      at++;
      openAt++;
    }
    return openAt === openEnd;
  }

  /** @returns where the line goes on after the word; -1: it does not begin with it */
  function after(word: Buffer, at: number, end: number): number {
    if (at + word.length > end) return -1;
    for (let byte = 0; byte < word.length; byte++) if (memory[at + byte] !== word[byte]) return -1;
    return at + word.length;
  }

  /** @returns where the next line begins; -1: no id stands there, or not by itself */
  function afterId(at: number, end: number): number {
    if (at < 0 || at + 41 > end || memory[at + 40] !== 0x0a) return -1;
    for (let last = at + 40; at < last; at++) {
      const byte = memory[at] as number;
      if (!((byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x66))) return -1;
    }
    return at + 1;
  }

  /** @returns where the next line begins; -1: it is none of `Name <address> time`, or the last one */
  function afterPerson(at: number, end: number): number {
    if (at < 0) return -1;
    let byte = memory[at] as number;
    for (; byte !== 0x3c; byte = memory[++at] as number) if (byte <= 0x0a || byte === 0x3e || at >= end) return -1;
    let isClosed = false;
    for (; byte !== 0x0a; byte = memory[++at] as number) {
      if (byte === 0 || at >= end) return -1;
      if (byte === 0x3e) isClosed = true;
    }
    return isClosed && at < end ? at + 1 : -1;
  }

  const git = Buffer.from('git');
  const words = ['tree ', 'parent ', 'author ', 'committer '].map((word) => Buffer.from(word));

  function isPlainCommit(at: number, end: number): boolean {
    const [tree, parent, author, committer] = words as [Buffer, Buffer, Buffer, Buffer];
    let line = afterId(after(tree, at, end), end);
    for (let id = 0; line >= 0 && (id = after(parent, line, end)) >= 0;) line = afterId(id, end);
    if (line < 0) return false;
    line = afterPerson(after(author, line, end), end);
    if (line < 0) return false;
    line = afterPerson(after(committer, line, end), end);
    if (line < 0) return false;
    // Further headers may say anything, but for a NUL, up to an empty line.
    for (let before = 0x0a; line < end; line++) {
      const byte = memory[line] as number;
      if (byte === 0) return false;
      if (byte === 0x0a && before === 0x0a) return true;
      before = byte;
    }
    return true;
  }

  function settle(index: number, type: number, start: number, size: number, id: Uint8Array, idAt: number): number {
    name(type, start, size, id, idAt);
    keep(index, size);
    if (type === 3) return 1;
    const end = start + size;
    return (type === 2 && isPlainTree(start, end)) || (type === 1 && isPlainCommit(start, end)) ? 1 : 2;
  }

  return {
    whole(index, type, from, at, size, id, idAt) {
      if (size > most) return 3;
      const start = room(size);
      if (size < 64) for (let byte = 0; byte < size; byte++) memory[start + byte] = from[at + byte] as number;
      else memory.set(from.subarray(at, at + size), start);
      return settle(index, type, start, size, id, idAt);
    },
    delta(index, type, base, from, at, size, id, idAt) {
      const place = base & (places - 1);
      if (owners[place] !== base) return 3;
      const resultSize = sizeOfResult(from, at, at + size);
      if (resultSize > most) return 3;
      const start = room(resultSize);
      // After there is room: what has made it may have been the base.
      const baseAt = starts[place] as number;
      if (written - baseAt > bytes) return 3;
      if (!applied(baseAt % bytes, sizes[place] as number, start, from, at, at + size)) return 3;
      return settle(index, type, start, resultSize, id, idAt);
    },
  };
}
