import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const hasOpenssl = spawnSync('openssl', ['version'], { stdio: 'ignore' }).status === 0;

export interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
  readonly keyFile: string;
  readonly certFile: string;
}

/** A certificate authority of one's own, in a folder. */
export class TestAuthority {
  readonly file: string;
  #issued = 0;

  constructor(private readonly directory: string) {
    mkdirSync(directory, { recursive: true });
    this.file = join(directory, 'ca.pem');
    const subject = ['-subj', '/CN=kb test authority', '-days', '2', '-nodes', '-newkey', 'rsa:2048'];
    openssl('req', '-x509', ...subject, '-keyout', join(directory, 'ca.key'), '-out', this.file);
  }

  /**
   * @param subject such as `IP:127.0.0.1`
   * @param days how long it holds from now; negative: it has expired
   */
  issue(subject: string, days = 1): Certificate {
    this.#issued += 1;
    const base = join(this.directory, `issued-${this.#issued}`);
    const [keyFile, certFile] = [`${base}.key`, `${base}.pem`];
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=kb test', '-keyout', keyFile, '-out', `${base}.csr`);
    writeFileSync(`${base}.ext`, `subjectAltName=${subject}\n`);
    const by = ['-CA', this.file, '-CAkey', join(this.directory, 'ca.key'), '-CAcreateserial'];
    openssl(
      'x509',
      '-req',
      '-in',
      `${base}.csr`,
      ...by,
      '-days',
      String(days),
      '-extfile',
      `${base}.ext`,
      '-out',
      certFile,
    );
    return { key: readFileSync(keyFile), cert: readFileSync(certFile), keyFile, certFile };
  }

  /** The same key under a passphrase. @returns its file */
  lock({ keyFile }: Certificate, passphrase: string): string {
    openssl('rsa', '-aes256', '-passout', `pass:${passphrase}`, '-in', keyFile, '-out', `${keyFile}.locked`);
    return `${keyFile}.locked`;
  }
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}
