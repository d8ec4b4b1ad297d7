import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { nodeDisk } from '../../../src/disk/disk.js';
import {
  currentProcess,
  describeOwner,
  encodeOwner,
  OWNER_RECORD_LIMIT,
  parseOwner,
  parseProcessStat,
} from '../../../src/lock/owner.js';
import { madeUpOwner, watchedDisk } from '../../support/lock-fixtures.js';

describe('the owner record', () => {
  it('comes back as it was written', () => {
    expect(parseOwner(encodeOwner(madeUpOwner('ann')))).toEqual(madeUpOwner('ann'));
  });

  it('may hold fields that later versions add', () => {
    const later = JSON.stringify({ format: 1, ...madeUpOwner('ann'), place: 3 });
    expect(parseOwner(Buffer.from(later))).toEqual(madeUpOwner('ann'));
  });

  it('never grows over its limit', () => {
    const text = fc.string({ unit: 'binary', maxLength: 5000 });
    fc.assert(
      fc.property(text, text, (operation, command) => {
        const data = encodeOwner({ ...madeUpOwner('ann'), operation, command });
        expect(data.length).toBeLessThanOrEqual(OWNER_RECORD_LIMIT);
      }),
    );
  });

  it.each<[string, Record<string, unknown>]>([
    ['another format', { format: 2 }],
    ['no id', { id: undefined }],
    ['an id that is a path', { id: '../../../../etc/passwd0000000000' }],
    ['an id in capitals', { id: 'A'.repeat(32) }],
    ['no pid', { pid: undefined }],
    ['pid 0 (a process group)', { pid: 0 }],
    ['a negative pid (a process group)', { pid: -1 }],
    ['a pid that is no integer', { pid: 1.5 }],
    ['a pid as text', { pid: '1' }],
    ['a start time that is no number', { startTime: 'x' }],
    ['a host that is an object', { host: {} }],
    ['a time that is none', { since: 'yesterday' }],
    ['a very long user', { user: 'a'.repeat(257) }],
  ])('is none with %s', (_title, change) => {
    expect(parseOwner(Buffer.from(JSON.stringify({ format: 1, ...madeUpOwner('ann'), ...change })))).toBeUndefined();
  });

  it.each([
    ['null', 'null'],
    ['a list', '[]'],
    ['text', '"x"'],
    ['nothing', ''],
    ['half of a record', encodeOwner(madeUpOwner('ann')).subarray(0, 50)],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['inherited fields', '{"__proto__": {"format": 1}}'],
    ['too much', Buffer.concat([encodeOwner(madeUpOwner('ann')), Buffer.alloc(OWNER_RECORD_LIMIT, 32)])],
  ])('is none when there is %s', (_title, data) => {
    expect(parseOwner(Buffer.from(data))).toBeUndefined();
  });
});

describe('describeOwner', () => {
  const sinceMs = Date.parse(madeUpOwner('ann').since);

  it.each([
    [12_400, '12 s'],
    [119_000, '119 s'],
    [180_000, '3 min'],
    [7_200_000, '2 h'],
    [-60_000, '0 s'],
  ])('after %i ms says %s', (ms, text) => {
    expect(describeOwner(madeUpOwner('ann'), sinceMs + ms)).toBe(`ann@test-host pid 4000000 (kb note, for ${text})`);
  });

  it('makes control and bidi characters visible', () => {
    const owner = { ...madeUpOwner('a'), user: 'a\u001b[2J', host: 'h\u202e', command: 'kb\nnote' };
    expect(describeOwner(owner, sinceMs)).toBe('a\\x1b[2J@h\\u202e pid 4000000 (kb\\nnote, for 0 s)');
  });

  it('names the operation where there is no command', () => {
    expect(describeOwner({ ...madeUpOwner('ann'), command: '' }, sinceMs)).toContain('(note, for');
  });
});

describe('parseProcessStat', () => {
  const tail = Array.from({ length: 50 }, (_, index) => String(index + 4)).join(' '); // field n holds n
  it.each([
    ['an ordinary name', `12 (node) S ${tail}`, 'S'],
    ['a name with spaces and parentheses', `12 (a) R 1 (b)) Z ${tail}`, 'Z'],
    ['a name with a line break', `12 (a\n) b) S ${tail}\n`, 'S'],
  ])('finds state and start time behind %s', (_title, text, state) => {
    expect(parseProcessStat(text)).toEqual({ state, startTime: '22' });
  });

  it.each(['', 'no parenthesis', '12 (node)', '12 (node) S 1 2'])('gives up on %j', (text) => {
    expect(parseProcessStat(text)).toBeUndefined();
  });
});

describe('currentProcess', () => {
  it.skipIf(process.platform !== 'linux')('knows this process (needs /proc)', () => {
    expect(currentProcess(nodeDisk)).toMatchObject({
      pid: process.pid,
      startTime: expect.stringMatching(/^\d+$/) as unknown,
      bootId: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown,
      pidNamespace: expect.stringMatching(/^pid:\[\d+\] time:\[\d+\]$/) as unknown,
    });
  });

  it('claims nothing where there is no /proc', () => {
    const disk = watchedDisk((_name, path) => {
      if (String(path).startsWith('/proc')) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' });
    });
    expect(currentProcess(disk)).toMatchObject({ pid: process.pid, startTime: '', bootId: '', pidNamespace: '' });
  });

  it('claims no namespace where /proc is another namespace’s', () => {
    const real = watchedDisk(() => undefined);
    const disk = new Proxy(real, {
      get: (target, name: keyof typeof real) =>
        name === 'readlinkSync'
          ? (path: string) => (path === '/proc/self' ? '1' : real.readlinkSync(path))
          : target[name],
    });
    expect(currentProcess(disk)).toMatchObject({ startTime: '', pidNamespace: '' });
  });
});
