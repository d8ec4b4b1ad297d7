import { join } from 'node:path';
import type { SecureContextOptions } from 'node:tls';
import { KbError, registerSecret } from '../../errors.js';
import type { Disk } from '../../disk/disk.js';
import { printable } from '../../printable.js';
import { readPins, type Pins } from './pinned-key.js';
import type { SessionOptions } from './session-options.js';

export interface TlsSettings extends SecureContextOptions {
  readonly rejectUnauthorized: boolean;
}

/** The keys of which the host must have one; undefined: any will do that somebody vouches for. @throws KbError E_USAGE */
export function pinnedKeys(url: URL, { settings, disk, home = '' }: SessionOptions): Pins | undefined {
  const value = settings?.http('pinnedPubkey', url.href).at(-1) ?? '';
  return value === '' ? undefined : readPins(value, { disk, home });
}

/** More than any folder of authorities holds. */
const MAX_AUTHORITIES = 2000;

/** Passphrases that were typed in this process, by the key's file. */
const typed = new Map<string, string>();

/**
 * Whom to trust, and how to prove who one is oneself: the environment, else git's configuration for the URL.
 * Source: git-config(1), "http.sslCAInfo" and those after it; git(1), GIT_SSL_NO_VERIFY
 * @throws KbError E_USAGE for files that cannot be read; E_AUTH for a key that nobody can unlock
 */
export async function tlsSettings(url: URL, options: SessionOptions): Promise<TlsSettings> {
  const { env, settings, disk, home = '' } = options;
  const last = (key: string): string | undefined => settings?.http(key, url.href).at(-1);
  const file = (variable: string, key: string): Named | undefined => {
    const [path, name] = env[variable] ? [env[variable], variable] : [last(key) ?? '', `http.${key}`];
    return path === '' ? undefined : { path: path.startsWith('~/') ? join(home, path.slice(2)) : path, name };
  };
  const info = file('GIT_SSL_CAINFO', 'sslCAInfo');
  const folder = file('GIT_SSL_CAPATH', 'sslCAPath');
  const ca = [
    ...(info === undefined ? [] : [read(disk, info)]),
    ...(folder === undefined ? [] : authoritiesIn(disk, folder)),
  ];
  const checks = env['GIT_SSL_NO_VERIFY'] === undefined && !/^(false|no|off|0|)$/i.test(last('sslVerify') ?? 'true');
  if (!checks)
    options.warn?.(`the certificate of ${url.host} is not checked (http.sslVerify): anybody on the way can read along`);
  return {
    ...(ca.length === 0 ? {} : { ca }),
    ...(await ownCertificate(file('GIT_SSL_CERT', 'sslCert'), file('GIT_SSL_KEY', 'sslKey'), options)),
    rejectUnauthorized: checks,
  };
}

interface Named {
  readonly path: string;
  /** What names the file. */
  readonly name: string;
}

async function ownCertificate(
  certificate: Named | undefined,
  key: Named | undefined,
  { disk, ask }: SessionOptions,
): Promise<SecureContextOptions> {
  if (certificate === undefined) return {};
  const keyFile = key ?? certificate; // one file may hold both
  const pem = { cert: read(disk, certificate), key: read(disk, keyFile) };
  if (!/\bENCRYPTED\b/.test(pem.key.toString('latin1'))) return pem;
  const passphrase =
    typed.get(keyFile.path) ?? (await ask?.({ text: `Passphrase for ${printable(keyFile.path)}: `, hidden: true }));
  if (passphrase === undefined) {
    throw new KbError('E_AUTH', `the key ${printable(keyFile.path)} (${keyFile.name}) is locked by a passphrase`, {
      hint: 'run kb on a terminal, or name a key without one, readable by this user only',
    });
  }
  registerSecret(passphrase);
  typed.set(keyFile.path, passphrase);
  return { ...pem, passphrase };
}

function read(disk: Disk, { path, name }: Named): Buffer {
  try {
    return disk.readFileSync(path);
  } catch (error) {
    throw new KbError('E_USAGE', `${name} names a file that cannot be read: ${printable(path)}`, { cause: error });
  }
}

/** All certificates of a folder. OpenSSL finds them by the hashes that are their names; kb reads them all. */
function authoritiesIn(disk: Disk, { path, name }: Named): Buffer[] {
  let names: string[];
  try {
    names = disk.readdirSync(path).slice(0, MAX_AUTHORITIES);
  } catch (error) {
    throw new KbError('E_USAGE', `${name} names a folder that cannot be read: ${printable(path)}`, { cause: error });
  }
  return names.flatMap((one) => {
    try {
      const text = disk.readFileSync(join(path, one));
      return text.includes('-----BEGIN CERTIFICATE-----') ? [text] : [];
    } catch {
      return []; // a folder, or a link to nowhere
    }
  });
}
