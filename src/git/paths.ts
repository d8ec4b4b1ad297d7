declare const brand: unique symbol;

/**
 * A path inside a repository: relative, `/` between its parts. Git's paths are bytes; here they are
 * strings decoded as UTF-8 in which each byte that is no UTF-8 became a lone surrogate U+DC80–U+DCFF
 * (as Python's surrogateescape does), so that every name survives the way there and back.
 */
export type RepoPath = string & { readonly [brand]: 'RepoPath' };

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function decodePath(bytes: Uint8Array): RepoPath {
  try {
    return strict.decode(bytes) as RepoPath;
  } catch {
    return decodeEscaped(bytes) as RepoPath;
  }
}

export function encodePath(path: string): Buffer {
  if (!hasEscapes(path)) return Buffer.from(path, 'utf8');
  const parts: Buffer[] = [];
  for (const character of path) {
    const unit = character.charCodeAt(0);
    parts.push(
      character.length === 1 && unit >= 0xdc80 && unit <= 0xdcff ? Buffer.of(unit - 0xdc00) : Buffer.from(character),
    );
  }
  return Buffer.concat(parts);
}

/** What the file system calls take: a string, or the raw bytes where the name is not UTF-8. */
export function toDiskPath(root: string, path: string): string | Buffer {
  const whole = path === '' ? root : `${root}/${path}`;
  return hasEscapes(path) ? encodePath(whole) : whole;
}

/** Git's order: by bytes. UTF-16 order differs from it only where surrogates take part. */
export function comparePaths(a: string, b: string): number {
  if (hasSurrogates(a) || hasSurrogates(b)) return Buffer.compare(encodePath(a), encodePath(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

function hasEscapes(path: string): boolean {
  return hasSurrogates(path) && /[\udc80-\udcff]/.test(path.replace(/[\ud800-\udbff][\udc00-\udfff]/g, ''));
}

function hasSurrogates(path: string): boolean {
  return /[\ud800-\udfff]/.test(path);
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes[at] ?? 0);
    const chunk = bytes.subarray(at, at + length);
    try {
      text += strict.decode(chunk);
      at += length;
    } catch {
      text += String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
      at += 1;
    }
  }
  return text;
}

function sequenceLength(lead: number): number {
  return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}
