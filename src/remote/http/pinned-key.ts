import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { KbError } from '../../errors.js';
import type { Disk } from '../../disk/disk.js';
import { printable } from '../../printable.js';

/** SHA-256 of public keys (SubjectPublicKeyInfo, DER) in base64: the server must have one of them. */
export type Pins = ReadonlySet<string>;

/**
 * Reads `http.pinnedPubkey`: `sha256//HASH`, several with `;` between them, or the name of a file with the key itself
 * (PEM or DER). Source: git-config(1), "http.pinnedPubkey"; libcurl's CURLOPT_PINNEDPUBLICKEY.
 * @throws KbError E_USAGE for what is neither: a pin that is not understood must not count as none
 */
export function readPins(value: string, { disk, home }: { readonly disk: Disk; readonly home: string }): Pins {
  if (value.startsWith('sha256//')) {
    const hashes = value.split(';').map((one) => /^sha256\/\/([A-Za-z0-9+/]{43}=)$/.exec(one.trim())?.[1]);
    const known = hashes.filter((hash) => hash !== undefined);
    if (known.length === hashes.length) return new Set(known);
    throw unusable(value, 'a hash is sha256// and 44 characters of base64, and several have ";" between them');
  }
  const path = value.startsWith('~/') ? `${home}${value.slice(1)}` : value;
  try {
    const data = disk.readFileSync(path);
    const isPem = data.includes('-----BEGIN');
    return new Set([hashOf(createPublicKey(isPem ? data : { key: data, format: 'der', type: 'spki' }))]);
  } catch (error) {
    throw unusable(value, 'it names no file with a public key (PEM or DER)', error);
  }
}

/** What is wrong with the key that the server has proved to own; undefined: it is one of those that are pinned. */
export function pinProblem(socket: TLSSocket, pins: Pins, host: string): KbError | undefined {
  const key = socket.getPeerX509Certificate()?.publicKey;
  const hash = key === undefined ? undefined : hashOf(key);
  if (hash !== undefined && pins.has(hash)) return undefined;
  const own = hash === undefined ? 'it shows none' : `it is sha256//${hash}`;
  return new KbError(
    'E_NETWORK',
    `the public key of ${printable(host, 200)} is not a pinned one (http.pinnedPubkey): ${own}; nothing was sent`,
    {
      retryable: false,
      hint: 'ask whoever runs the host whether its key was changed; only then set the new one: git config http.pinnedPubkey sha256//HASH',
      details: { host, reason: 'pinned-key' },
    },
  );
}

function hashOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64');
}

function unusable(value: string, why: string, cause?: unknown): KbError {
  return new KbError('E_USAGE', `http.pinnedPubkey cannot be used: ${printable(value, 120)}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: `${why}; mend it with: git config http.pinnedPubkey`,
  });
}
