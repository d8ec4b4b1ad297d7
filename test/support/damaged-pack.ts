import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { isKbError } from '../../src/errors.js';
import { cloneKb } from '../../src/kb/clone.js';
import { surroundings } from '../../src/kb/surroundings.js';
import type { Oid } from '../../src/git/ids.js';
import { makeTemporaryDirectory } from './native-git.js';
import type { PackServer } from './pack-server.js';

/** What happens to a pack at one of its bytes. */
export const DAMAGES = {
  'cut off': (intact: Buffer, at: number): Buffer => intact.subarray(0, at),
  'with a bit flipped': (intact: Buffer, at: number): Buffer => flipped(intact, at),
  'with a bit flipped and the checksum made right again': (intact: Buffer, at: number): Buffer => {
    const bytes = flipped(intact, at);
    const end = bytes.length - 20;
    createHash('sha1').update(bytes.subarray(0, end)).digest().copy(bytes, end);
    return bytes;
  },
} as const;

export type Damage = keyof typeof DAMAGES;

function flipped(intact: Buffer, at: number): Buffer {
  const bytes = Buffer.from(intact);
  bytes[at] = (bytes[at] as number) ^ (1 << ((at / 1000) % 8));
  return bytes;
}

export function cloneFrom(server: PackServer, into: string): Promise<unknown> {
  return cloneKb(surroundings({ env: {} }), {
    url: server.url,
    directory: into,
    depth: 1,
    timeout: '60s',
    insecure: false,
  });
}

/**
 * Clones from a server that sends these bytes: a typed error and nothing left; or, where the damage means nothing, all.
 * @returns what is wrong, for the test to say that nothing is
 */
export async function problemWith(
  server: PackServer,
  tip: Oid,
  bytes: Buffer,
  isWhole: (directory: string) => boolean,
): Promise<string | undefined> {
  server.offer = { commit: tip, pack: () => [bytes] };
  const into = makeTemporaryDirectory();
  try {
    await cloneFrom(server, into);
  } catch (error) {
    if (!isKbError(error)) return `no typed error: ${String(error)}`;
    if (!['E_CORRUPT', 'E_NETWORK', 'E_USAGE'].includes(error.code)) return `${error.code}: ${error.message}`;
    const left = readdirSync(into);
    return left.length === 0 ? undefined : `left behind: ${left.join(', ')}`;
  }
  return isWhole(into) ? undefined : 'cloned, but not what the remote has';
}
