import { describe, expect, it } from 'vitest';
import type { PushRequest } from '../../../../src/remote/remote.js';
import { ZERO_OID, asOid, branchRef } from '../../../../src/git/ids.js';
import { Capabilities } from '../../../../src/remote/protocol/capabilities.js';
import { FLUSH, PacketReader, pktLine } from '../../../../src/remote/protocol/pkt-line.js';
import { isRace, pushBody, readVerdict } from '../../../../src/remote/protocol/receive-pack.js';

const to = asOid('1'.repeat(40));
const shallow = asOid('2'.repeat(40));
const request: PushRequest = {
  ref: branchRef('main'),
  from: null,
  to,
  objects: {
    read: () => ({ type: 'blob', data: Buffer.alloc(0) }),
    find: () => undefined,
    has: () => true,
  },
  oids: [],
  shallow: new Set([shallow]),
};

function verdict(capabilities: string, ...packets: Buffer[]): Promise<unknown> {
  const left = [Buffer.concat(packets)];
  return readVerdict(
    new PacketReader({ read: () => Promise.resolve(left.shift()) }),
    request,
    new Capabilities(capabilities),
  );
}

function band(number: number, ...data: Buffer[]): Buffer {
  const content = Buffer.concat([Buffer.of(number), ...data]);
  return Buffer.concat([Buffer.from((content.length + 4).toString(16).padStart(4, '0')), content]);
}

describe('isRace', () => {
  it.each([
    'failed to update ref',
    'fetch first',
    'non-fast-forward',
    "cannot lock ref 'refs/heads/main': is at 1111 but expected 2222",
    'failed to lock',
    'reference already exists',
    'reference does not exist',
    'incorrect old value provided',
  ])('%s', (reason) => {
    expect(isRace(reason, [])).toBe(true);
  });

  it.each([
    'pre-receive hook declined',
    'hook declined',
    'protected branch hook declined',
    'deletion prohibited',
    'branch is currently checked out',
    'shallow update not allowed',
    'funny refname',
    'anything else',
  ])('not: %s', (reason) => {
    expect(isRace(reason, [])).toBe(false);
  });

  it.each([
    ["error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create 'refs/heads/a/b'", false],
    ["error: cannot lock ref 'refs/heads/a': Unable to create 'refs/heads/a.lock': Permission denied", false],
    ["error: cannot lock ref 'refs/heads/a': Unable to create 'refs/heads/a.lock': No space left on device", false],
    ["error: cannot lock ref 'refs/heads/a': Unable to create 'refs/heads/a.lock': File exists.", true],
  ])('with what the server says beside it: %s', (message, race) => {
    expect(isRace('failed to update ref', [message])).toBe(race);
  });
});

describe('readVerdict', () => {
  it.each([
    ['ok', [pktLine('unpack ok\n'), pktLine('ok refs/heads/main\n'), FLUSH], { kind: 'landed' }],
    ['ok, then cut', [pktLine('unpack ok\n'), pktLine('ok refs/heads/main\n')], { kind: 'landed' }],
    ['only unpack ok', [pktLine('unpack ok\n'), FLUSH], { kind: 'unknown' }],
    ['ok for another ref', [pktLine('unpack ok\n'), pktLine('ok refs/heads/other\n'), FLUSH], { kind: 'unknown' }],
    ['nothing', [], { kind: 'unknown' }],
    ['race', [pktLine('unpack ok\n'), pktLine('ng refs/heads/main failed to update ref\n'), FLUSH], { kind: 'race' }],
    [
      'refused',
      [pktLine('unpack ok\n'), pktLine('ng refs/heads/main no \u001b way\n'), FLUSH],
      { kind: 'refused', message: 'no \\x1b way' },
    ],
    [
      'objects not taken: never a race',
      [pktLine('unpack index-pack abnormal exit\n'), pktLine('ng refs/heads/main failed to update ref\n'), FLUSH],
      { kind: 'refused', message: 'the remote could not take the objects in (index-pack abnormal exit)' },
    ],
  ])('%s, with and without side bands', async (_title, packets, outcome) => {
    expect(await verdict('report-status', ...packets)).toMatchObject(outcome);
    const inBand = packets.length === 0 ? [] : [band(1, ...packets)];
    expect(await verdict('report-status side-band-64k', ...inBand, FLUSH)).toMatchObject(outcome);
    expect(await verdict('report-status side-band-64k', ...inBand)).toMatchObject(outcome);
  });

  it('that it has landed is told before the reply ends, in whatever pieces it comes; nothing else is', async () => {
    const ends = new Error('read on');
    const readsOn = (lines: Buffer[]): Promise<unknown> => {
      const bands = [...Buffer.concat(lines)].map((byte) => band(1, Buffer.of(byte)));
      const source = { read: () => (bands.length > 0 ? Promise.resolve(bands.shift()) : Promise.reject(ends)) };
      return readVerdict(new PacketReader(source), request, new Capabilities('report-status side-band-64k'));
    };
    const [unpacked, moved] = [pktLine('unpack ok\n'), pktLine('ok refs/heads/main\n')];
    expect(await readsOn([unpacked, moved, FLUSH])).toEqual({ kind: 'landed' });
    await expect(readsOn([unpacked, moved])).rejects.toBe(ends);
    await expect(readsOn([unpacked, pktLine('ok refs/heads/other\n'), FLUSH])).rejects.toBe(ends);
    await expect(readsOn([unpacked, pktLine('ng refs/heads/main no\n'), FLUSH])).rejects.toBe(ends);
  });

  it('a refusal carries what the hook said, bounded', async () => {
    const outcome = await verdict(
      'report-status side-band-64k',
      band(2, Buffer.from('line\n'.repeat(5000))),
      band(1, pktLine('unpack ok\n'), pktLine('ng refs/heads/main pre-receive hook declined\n'), FLUSH),
      FLUSH,
    );
    expect(outcome).toMatchObject({
      kind: 'refused',
      message: expect.stringMatching(/^pre-receive hook declined: line \| line/) as string,
    });
    expect(JSON.stringify(outcome).length).toBeLessThan(2500);
  });
});

describe('pushBody', () => {
  it('shallow lines, one command with the abilities that the server has, an empty pack', () => {
    const body = pushBody(
      request,
      new Capabilities('report-status side-band-64k delete-refs agent=git/2 object-format=sha1'),
      'kb',
    );
    const text = Buffer.concat([...body.chunks]).toString('latin1');
    expect(text.split('PACK')[0]).toBe(
      [
        pktLine(`shallow ${shallow}\n`),
        pktLine(`${ZERO_OID} ${to} refs/heads/main\0 report-status side-band-64k object-format=sha1 agent=kb`),
        FLUSH,
      ].join(''),
    );
    expect(body.length).toBe(text.length);
  });

  it('refuses a server that could not say what became of it', () => {
    expect(() => pushBody(request, new Capabilities('delete-refs'), 'kb')).toThrow(/too old/);
  });
});
