import { KbError } from '../../errors.js';
import { damagedIndex } from './entry-table.js';

/** Features that another program must take part in; the command that turns each off. */
const REFUSED: Record<string, { readonly what: string; readonly hint: string }> = {
  link: { what: 'is split in two files', hint: 'join it with: git update-index --no-split-index' },
  sdir: {
    what: 'is sparse (whole folders stand as one entry)',
    hint: 'expand it with: git sparse-checkout reapply --no-sparse-index',
  },
  FSMN: {
    what: 'relies on a file system monitor',
    hint: 'turn it off with: git config core.fsmonitor false && git update-index --no-fsmonitor',
  },
};

/**
 * What follows the entries: signature, length, data, up to the checksum. By gitformat-index(5) a first
 * letter A–Z marks what may be ignored; anything else changes the meaning of the entries.
 * @throws KbError E_UNSAFE_STATE for one that kb would break or does not know
 * @throws KbError E_CORRUPT when lengths do not add up
 */
export function readExtensions(file: Buffer, start: number, limit: number): Map<string, Buffer> {
  const extensions = new Map<string, Buffer>();
  let at = start;
  while (at + 8 <= limit) {
    const signature = file.toString('latin1', at, at + 4);
    const end = at + 8 + file.readUInt32BE(at + 4);
    if (end > limit) throw damagedIndex(`its extension ${JSON.stringify(signature)} is cut off`);
    const refused = REFUSED[signature];
    if (refused !== undefined) throw unsafe(refused.what, refused.hint, signature);
    if (!/^[A-Z]/.test(signature))
      throw unsafe(
        `needs the feature ${JSON.stringify(signature)}`,
        'turn it off in the program that wrote it, or: rm .git/index && git reset',
        signature,
      );
    extensions.set(signature, file.subarray(at + 8, end));
    at = end;
  }
  if (at !== limit) throw damagedIndex('something follows its last extension');
  return extensions;
}

function unsafe(what: string, hint: string, extension: string): KbError {
  return new KbError('E_UNSAFE_STATE', `git's index ${what}: kb would break it`, { hint, details: { extension } });
}
