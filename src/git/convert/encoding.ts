/** How a file's text is encoded on disk; in the repository it is UTF-8. */
export interface TextEncoding {
  /** @returns undefined when it is no text in this encoding */
  toUtf8(data: Buffer): Buffer | undefined;
  /** @returns undefined when it is no UTF-8, or has characters that the encoding has not */
  fromUtf8(data: Buffer): Buffer | undefined;
}

/** @returns 'utf-8' for what needs no conversion; undefined for an encoding that kb does not know */
export function textEncodingOf(name: string): TextEncoding | 'utf-8' | undefined {
  const plain = name.toLowerCase().replace(/^utf(?=[0-9])/, 'utf-');
  if (plain === 'utf-8') return 'utf-8';
  return /^(?:iso-?8859-1|latin-?1)$/.test(plain) ? LATIN1 : UTF16[plain];
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

type ByteOrder = 'le' | 'be';

/**
 * @param mark whether the text begins with a byte order mark: `none` refuses one, as git does, because it would become
 *   part of the text
 * @param order in which a file is written, and read where it has no mark
 */
function utf16(order: ByteOrder, mark: 'none' | 'required' | 'written'): TextEncoding {
  return {
    toUtf8: (data) => {
      const found = markOf(data);
      if (mark === 'none' ? found !== undefined : mark === 'required' && found === undefined) return undefined;
      const text = decode(`utf-16${found ?? order}`, found === undefined ? data : data.subarray(2));
      return text === undefined ? undefined : Buffer.from(text, 'utf8');
    },
    fromUtf8: (data) => {
      const text = decode('utf-8', data);
      if (text === undefined) return undefined;
      const units = Buffer.from(mark === 'none' ? text : `\ufeff${text}`, 'utf16le');
      return order === 'be' ? units.swap16() : units;
    },
  };
}

/** Without a byte order in the name git leaves it to the system; that of all systems in use is little-endian but for macOS. */
const UTF16: Readonly<Record<string, TextEncoding>> = {
  'utf-16': utf16('le', 'required'),
  'utf-16le': utf16('le', 'none'),
  'utf-16be': utf16('be', 'none'),
  'utf-16le-bom': utf16('le', 'written'),
};

const LATIN1: TextEncoding = {
  toUtf8: (data) => Buffer.from(data.toString('latin1'), 'utf8'),
  fromUtf8: (data) => {
    const text = decode('utf-8', data);
    return text === undefined || /[^\0-\xff]/.test(text) ? undefined : Buffer.from(text, 'latin1');
  },
};

function markOf(data: Buffer): ByteOrder | undefined {
  if (data[0] === 0xff && data[1] === 0xfe) return 'le';
  return data[0] === 0xfe && data[1] === 0xff ? 'be' : undefined;
}

function decode(encoding: string, data: Buffer): string | undefined {
  try {
    const decoder = encoding === 'utf-8' ? strictUtf8 : new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
    return decoder.decode(data);
  } catch {
    return undefined;
  }
}
