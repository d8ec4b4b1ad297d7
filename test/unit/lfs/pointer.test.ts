import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parsePointer, pointerText, type LfsOid } from '../../../src/lfs/pointer.js';
import { gitLfs } from '../../support/native-lfs.js';
import { gitEnvironment } from '../../support/native-git.js';

const OID = '4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393' as LfsOid;
const TEXT = `version https://git-lfs.github.com/spec/v1\noid sha256:${OID}\nsize 12345\n`;
const EXTENDED = TEXT.replace('oid ', `ext-0-foo sha256:${OID}\next-1-bar sha256:${OID}\noid `);

/** What is said of each text: the size where it is a pointer. */
const TEXTS: readonly (readonly [name: string, text: string, size: number | undefined])[] = [
  ['the one of the specification', TEXT, 12345],
  ['with extensions', EXTENDED, 12345],
  ['of an older version', TEXT.replace('git-lfs', 'hawser'), 12345],
  ['without the last line end', TEXT.trimEnd(), 12345],
  ['with line ends of Windows', TEXT.replaceAll('\n', '\r\n'), 12345],
  ['of a size that needs more than 32 bits', TEXT.replace('12345', '12345678901'), 12345678901],
  ['nothing', '', undefined],
  ['of another version', TEXT.replace('spec/v1', 'spec/v9'), undefined],
  ['with an unknown key', `${TEXT}zebra 1\n`, undefined],
  ['with keys in another order', `${TEXT.split('\n')[0]}\nsize 12345\noid sha256:${OID}\n`, undefined],
  ['without a size', TEXT.replace(/size.*\n/, ''), undefined],
  ['with a negative size', TEXT.replace('12345', '-1'), undefined],
  ['with a size that is no number', TEXT.replace('12345', 'large'), undefined],
  ['with an id that is too short', TEXT.replace(OID, OID.slice(1)), undefined],
  ['with an id of another kind', TEXT.replace('sha256', 'sha512'), undefined],
  ['that something follows', `${TEXT}\nand more\n`, undefined],
  [
    'with the version last',
    TEXT.split('\n')
      .slice(1)
      .concat(TEXT.split('\n')[0] ?? '')
      .join('\n'),
    undefined,
  ],
  ['of a thousand bytes and more', EXTENDED + ' '.repeat(1024), undefined],
];

describe('an LFS pointer', () => {
  it.each(TEXTS)('%s', (_name, text, size) => {
    expect(parsePointer(Buffer.from(text))?.size).toBe(size);
  });

  it('is written as it is read', () => {
    const pointer = parsePointer(Buffer.from(TEXT));
    expect(pointer).toEqual({ oid: OID, size: 12345, hasExtensions: false });
    expect(pointer && pointerText(pointer).toString()).toBe(TEXT);
    expect(parsePointer(Buffer.from(EXTENDED))?.hasExtensions).toBe(true);
  });

  it.skipIf(!gitLfs.available)('is taken and written as git-lfs does it (needs git-lfs)', () => {
    const clean = (input: string): string =>
      spawnSync('git', ['lfs', 'clean'], { input, cwd: gitLfs.repository(), env: gitEnvironment() }).stdout.toString();
    for (const [name, text, size] of TEXTS) {
      // A pointer goes through git-lfs as it is, and anything else becomes the content of a new one.
      if (text !== '') expect([name, clean(text) === text]).toEqual([name, size !== undefined]);
    }
    const content = 'x'.repeat(100);
    const written = clean(content);
    const pointer = parsePointer(Buffer.from(written));
    expect(pointer?.size).toBe(100);
    expect(pointer && pointerText(pointer).toString()).toBe(written);
  });
});
