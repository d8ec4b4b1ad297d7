import type { GitConfig } from '../../config/git-config.js';
import { homeDirectory } from '../../config/locations.js';
import { KbError, isKbError } from '../../errors.js';
import { serializeCommit, type Commit, type Signature } from '../../git/objects/commit.js';
import type { Surroundings } from '../surroundings.js';
import { signWithOpenPgp } from './openpgp.js';
import { signWithSsh } from './ssh.js';

/** What a way of signing needs to know. */
export interface SigningSettings {
  readonly surroundings: Surroundings;
  readonly gitConfig: GitConfig;
  /** The user's, for `~/`. */
  readonly home: string;
  /** Where the programs run, as with native git: paths in the settings may be relative to it. */
  readonly root: string;
}

/** Signs one text. @returns the armoured signature */
export type Sign = (payload: Buffer, committer: Signature) => string;

/**
 * Signs commits as native git does where `commit.gpgSign` is set, with the user's own programs.
 *
 * Invariant: what cannot be signed is not made. A failure is an error before anything is stored or pushed, and it is
 * the answer to every further commit of this command: nobody is asked for a passphrase again and again.
 * (Broken by: test/e2e/signing.test.ts, "a key that cannot sign")
 */
export class CommitSigner {
  private sign: Sign | undefined;
  private failure: KbError | undefined;

  constructor(private readonly settings: SigningSettings) {}

  /** Finds out before any work whether settings and key are there; asks nobody for anything. @throws KbError E_USAGE */
  check(): void {
    this.sign ??= wayOf(this.settings);
  }

  /**
   * The commit's bytes with the signature in them, where git has it: after all other headers.
   * Source of the format: git's `commit.c`, `add_header_signature`.
   * @throws KbError E_USAGE (settings), E_AUTH (the program, or the key)
   */
  seal(commit: Commit): Buffer {
    if (this.failure !== undefined) throw this.failure;
    try {
      this.check();
      const signature = this.sign?.(serializeCommit(commit), commit.committer) ?? '';
      const header = `gpgsig ${requireArmour(signature).replace(/\n$/, '').replaceAll('\n', '\n ')}`;
      return serializeCommit({ ...commit, extraHeaders: [...(commit.extraHeaders ?? []), header] });
    } catch (error) {
      if (isKbError(error)) this.failure = error;
      throw error;
    }
  }
}

/** For a KB whose configuration wants signatures. */
export function commitSigner(surroundings: Surroundings, gitConfig: GitConfig, root: string): CommitSigner {
  return new CommitSigner({ surroundings, gitConfig, root, home: homeDirectory(surroundings.env) });
}

function wayOf(settings: SigningSettings): Sign {
  const format = settings.gitConfig.get('gpg.format') ?? 'openpgp';
  if (format === 'openpgp') return signWithOpenPgp(settings);
  if (format === 'ssh') return signWithSsh(settings);
  throw new KbError(
    'E_USAGE',
    `commits are to be signed (commit.gpgSign), but kb cannot sign with gpg.format ${format}`,
    {
      hint: 'choose another with: git config gpg.format ssh (or openpgp), or switch it off with: git config commit.gpgSign false',
      details: { signing: format },
    },
  );
}

function requireArmour(signature: string): string {
  if (/^-----BEGIN [A-Z ]+-----\n(?:[^\n]*\n)+-----END [A-Z ]+-----\n?$/.test(signature)) return signature;
  throw new KbError(
    'E_AUTH',
    'the signing program ended well, but what it gave is no signature; nothing was committed',
    {
      hint: 'check gpg.program and gpg.ssh.program with: git config --get-regexp ^gpg',
      details: { signing: 'output' },
    },
  );
}
