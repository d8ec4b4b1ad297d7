import { describe, expect, it } from 'vitest';
import { batchRequest, readAnswers, type Answer } from '../../../src/lfs/batch.js';
import type { LfsObject, LfsOid } from '../../../src/lfs/pointer.js';
import { redact } from '../../../src/errors.js';

const object: LfsObject = { oid: 'ab'.repeat(32) as LfsOid, size: 10 };

function read(said: Record<string, unknown>, endpoint = 'https://host/lfs'): Answer {
  const [answer] = readAnswers(JSON.stringify({ objects: [{ ...object, ...said }] }), {
    operation: 'download',
    asked: [object],
    endpoint: new URL(endpoint),
    nowMs: 1_000_000,
  });
  if (answer === undefined) throw new Error('no answer');
  return answer;
}

const download = (action: Record<string, unknown>): Record<string, unknown> => ({ actions: { download: action } });

describe('the batch API', () => {
  it('is asked as its document says', () => {
    expect(JSON.parse(batchRequest('upload', [object], 'refs/heads/main'))).toEqual({
      operation: 'upload',
      transfers: ['basic'],
      ref: { name: 'refs/heads/main' },
      objects: [{ oid: object.oid, size: 10 }],
      hash_algo: 'sha256',
    });
  });

  it('gives addresses with headers and their end', () => {
    const answer = read(download({ href: 'https://store/x?sig=1', header: { 'X-A': 'b' }, expires_in: 60 }));
    expect(answer).toMatchObject({ kind: 'transfer', action: { headers: { 'x-a': 'b' }, expiresAt: 1_060_000 } });
    expect(answer.kind === 'transfer' && answer.action.href.href).toBe('https://store/x?sig=1');
    const dated = read(download({ href: 'https://store/x', expires_at: '2016-11-10T15:29:07Z' }));
    expect(dated).toMatchObject({ action: { expiresAt: Date.UTC(2016, 10, 10, 15, 29, 7) } });
  });

  it('keeps secret what came as a header', () => {
    read(download({ href: 'https://store/x', header: { Authorization: 'Bearer from-the-lfs-server' } }));
    expect(redact('it said from-the-lfs-server')).toBe('it said ***');
  });

  it.each([
    ['https://host/lfs', 'http://host/x'],
    ['https://host/lfs', 'http://127.0.0.1:631/x'],
    ['http://host/lfs', 'http://localhost:631/x'],
    ['https://host/lfs', 'file:///etc/passwd'],
    ['https://host/lfs', 'ssh://host/x'],
    ['https://host/lfs', '/x'],
  ])('an address that a server must not choose: of %s at %s', (endpoint, href) => {
    expect(read(download({ href }), endpoint)).toMatchObject({ kind: 'error', error: { code: 'E_NETWORK' } });
  });

  it.each([
    ['a line break', { 'X-A': 'b\r\nHost: other' }],
    ['a name that is none', { 'X A': 'b' }],
    ['no text', { 'X-A': 5 }],
  ])('takes no header with %s', (_name, header) => {
    expect(read(download({ href: 'https://host/x', header }))).toMatchObject({ kind: 'error' });
  });

  it('lets no header say to whom or how much is sent', () => {
    const header = { Host: 'other', 'Content-Length': '0', Connection: 'close', 'X-A': 'b' };
    expect(read(download({ href: 'https://host/x', header }))).toMatchObject({ action: { headers: { 'x-a': 'b' } } });
  });

  it.each([
    [404, 'E_NETWORK', false],
    [410, 'E_NETWORK', false],
    [403, 'E_AUTH', false],
    [422, 'E_REFUSED', false],
    [507, 'E_REFUSED', false],
    [503, 'E_NETWORK', true],
  ])('tells an error of one object: %i', (code, expected, retryable) => {
    expect(read({ error: { code, message: 'why\u001b[31m' } })).toMatchObject({
      kind: 'error',
      error: { code: expected, retryable, message: expect.stringContaining('why') as string },
    });
  });

  it.each([
    ['a page', '<html>'],
    ['no list', '{"objects": 5}'],
    ['another way of transfer', '{"transfer": "tus", "objects": []}'],
    ['another hash', '{"hash_algo": "sha512", "objects": []}'],
  ])('is not understood when it is %s', (_name, text) => {
    const context = { operation: 'download', asked: [object], endpoint: new URL('https://host'), nowMs: 0 } as const;
    expect(() => readAnswers(text, context)).toThrow(/not understood/);
  });

  it('hears nothing of objects that were not asked for, and misses those that were', () => {
    const other = JSON.stringify({ objects: [{ oid: 'cd'.repeat(32), size: 10 }] });
    const context = { operation: 'upload', asked: [object], endpoint: new URL('https://host'), nowMs: 0 } as const;
    expect(readAnswers(other, context)).toMatchObject([{ object, kind: 'error' }]);
  });
});
