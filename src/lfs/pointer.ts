declare const brand: unique symbol;

/** The id of a large file: SHA-256 of its content, 64 hexadecimal digits. */
export type LfsOid = string & { readonly [brand]: 'LfsOid' };

/** What an LFS server keeps: one content. */
export interface LfsObject {
  readonly oid: LfsOid;
  /** Bytes. */
  readonly size: number;
}

/** The text that stands in the repository for a large file. */
export interface Pointer extends LfsObject {
  /** Programs have changed the content before it was stored (`ext-…` lines): only they can give it back. */
  readonly hasExtensions: boolean;
}

/** Nothing as long as this is a pointer, bytes. Source: docs/spec.md of git-lfs, "The Pointer". */
export const POINTER_LIMIT = 1024;

const VERSION = 'https://git-lfs.github.com/spec/v1';
/** Also names of the same format from before it had this one. Source: lfs/pointer.go of git-lfs. */
const VERSIONS = new Set([VERSION, 'https://hawser.github.com/spec/v1', 'http://git-media.io/v/2']);
const BEGINNING = 'version ';
const OID = /^sha256:([0-9a-f]{64})$/;
const SIZE = /^(0|[1-9]\d*)$/;
const EXTENSION = /^ext-\d-[A-Za-z0-9_.-]+$/;

/** Whether it can be a pointer: costs nothing for what is none. */
export function looksLikePointer(data: Uint8Array): boolean {
  if (data.length >= POINTER_LIMIT || data.length < BEGINNING.length) return false;
  for (let at = 0; at < BEGINNING.length; at += 1) if (data[at] !== BEGINNING.charCodeAt(at)) return false;
  return true;
}

/**
 * Reads a pointer: lines `key value`, `version` first, then in the order of their keys, none twice, none unknown. The
 * end of the last line may be missing, and lines may end as on Windows: git-lfs takes these, and what git-lfs takes for
 * a pointer must never be stored as a large file of its own.
 * Source: docs/spec.md of git-lfs, "The Pointer"; lfs/pointer.go.
 * @returns undefined when it is none: then it is content like any other
 */
export function parsePointer(data: Uint8Array): Pointer | undefined {
  if (!looksLikePointer(data)) return undefined;
  const text = Buffer.from(data.buffer, data.byteOffset, data.length).toString('latin1');
  const [first = '', ...lines] = text.trimEnd().split(/\r?\n/);
  if (!VERSIONS.has(first.slice(BEGINNING.length))) return undefined;
  const values = readLines(lines);
  const [, oid] = OID.exec(values?.get('oid') ?? '') ?? [];
  const size = values?.get('size') ?? '';
  if (values === undefined || oid === undefined || !SIZE.test(size) || !Number.isSafeInteger(Number(size)))
    return undefined;
  return { oid: oid as LfsOid, size: Number(size), hasExtensions: values.size > 2 };
}

function readLines(lines: readonly string[]): Map<string, string> | undefined {
  const values = new Map<string, string>();
  let before = '';
  for (const line of lines) {
    const blank = line.indexOf(' ');
    const [key, value] = [line.slice(0, blank), line.slice(blank + 1)];
    const isExtension = EXTENSION.test(key);
    if (blank < 1 || key <= before || !(key === 'oid' || key === 'size' || isExtension)) return undefined;
    if (isExtension && !OID.test(value)) return undefined;
    values.set(key, value);
    before = key;
  }
  return values;
}

/** The text for a content, byte for byte as git-lfs writes it. */
export function pointerText({ oid, size }: LfsObject): Buffer {
  return Buffer.from(`version ${VERSION}\noid sha256:${oid}\nsize ${size}\n`);
}

export function isLfsOid(text: string): text is LfsOid {
  return /^[0-9a-f]{64}$/.test(text);
}
