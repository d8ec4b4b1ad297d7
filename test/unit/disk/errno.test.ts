import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isErrno } from '../../../src/disk/durable.js';
import { KbError } from '../../../src/errors.js';

function fromSystem(): unknown {
  try {
    return readFileSync('/no/such/file');
  } catch (error) {
    return error;
  }
}

describe('isErrno', () => {
  it.each([
    ['one of the codes', fromSystem(), ['EIO', 'ENOENT'], true],
    ['another code', fromSystem(), ['EIO'], false],
    ['any failure of the system, without codes', fromSystem(), [], true],
    ["kb's own error, without codes", new KbError('E_STORAGE', 'full'), [], false],
    ['what is no error', 'ENOENT', ['ENOENT'], false],
  ])('%s', (_, error, codes, expected) => {
    expect(isErrno(error, ...codes)).toBe(expected);
  });
});
