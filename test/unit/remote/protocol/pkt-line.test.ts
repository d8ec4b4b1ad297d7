import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ByteSource, Packet } from '../../../../src/remote/protocol/pkt-line.js';
import { DELIMITER, FLUSH, PacketReader, packetText, pktLine } from '../../../../src/remote/protocol/pkt-line.js';

function source(...chunks: (Buffer | string)[]): ByteSource {
  const left = chunks.map((chunk) => Buffer.from(chunk));
  return { read: () => Promise.resolve(left.shift()) };
}

async function readAll(reader: PacketReader): Promise<string[]> {
  const packets: string[] = [];
  for (let packet: Packet | undefined = await reader.next(); packet !== undefined; packet = await reader.next()) {
    packets.push(typeof packet === 'string' ? `<${packet}>` : packet.toString('latin1'));
  }
  return packets;
}

/** The bytes in pieces of the given sizes, over and over. */
function pieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const result: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    result.push(bytes.subarray(at, at + size));
    at += size;
  }
  return result;
}

describe('PacketReader', () => {
  const stream = Buffer.concat([
    pktLine('hello\n'),
    Buffer.from('0004'),
    FLUSH,
    DELIMITER,
    Buffer.from('0002'),
    pktLine('x'.repeat(65_516)),
  ]);
  const packets = ['hello\n', '', '<flush>', '<delimiter>', '<response-end>', 'x'.repeat(65_516)];

  it('reads data and markers', async () => {
    expect(await readAll(new PacketReader(source(stream)))).toEqual(packets);
  });

  it('does not care how the bytes are cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 5 }), async (sizes) => {
        expect(await readAll(new PacketReader(source(...pieces(stream, sizes))))).toEqual(packets);
      }),
      { numRuns: 30 },
    );
  });

  it('an end that is expected comes, or is an error', async () => {
    await expect(new PacketReader(source()).expectEnd()).resolves.toBeUndefined();
    await expect(new PacketReader(source(FLUSH)).expectEnd()).rejects.toMatchObject({ code: 'E_NETWORK' });
    await expect(new PacketReader(source('00')).expectEnd()).rejects.toMatchObject({ code: 'E_NETWORK' });
  });

  it('passes over empty chunks', async () => {
    expect(await readAll(new PacketReader(source('', '00', '', '05', 'a')))).toEqual(['a']);
  });

  it.each(['0', '000', '0006', '0006a', '0005a0'])(
    'a stream that ends inside a packet is an error: %j',
    async (text) => {
      await expect(readAll(new PacketReader(source(text)))).rejects.toMatchObject({ code: 'E_NETWORK' });
    },
  );

  it.each(['0003', 'zzzz', '-001', '+005', ' 005', '0x10', 'fff1', 'ffff', '<htm', '\u001b[2J'])(
    'refuses %j as a length',
    async (text) => {
      await expect(new PacketReader(source(`${text}${'a'.repeat(70_000)}`)).next()).rejects.toMatchObject({
        code: 'E_NETWORK',
        retryable: false,
        // eslint-disable-next-line no-control-regex -- what must not come out
        message: expect.not.stringMatching(/[\u0000-\u001f]/) as string,
      });
    },
  );

  it('stops at the limit for the whole reply', async () => {
    const endless: ByteSource = { read: () => Promise.resolve(pktLine('x'.repeat(1000))) };
    await expect(readAll(new PacketReader(endless, 100_000))).rejects.toMatchObject({ code: 'E_NETWORK' });
  });

  it('passes on what the source throws', async () => {
    const broken: ByteSource = { read: () => Promise.reject(new Error('cut')) };
    await expect(new PacketReader(broken).next()).rejects.toThrow('cut');
  });
});

describe('pktLine', () => {
  it('counts bytes, not characters, and its own four', () => {
    expect(pktLine('é\n').toString()).toBe('0007é\n');
  });

  it('refuses what no packet can hold', () => {
    expect(() => pktLine('x'.repeat(65_517))).toThrow(/too long/);
  });
});

describe('packetText', () => {
  it.each([
    ['a\n', 'a'],
    ['a', 'a'],
    ['a\n\n', 'a\n'],
    ['', ''],
  ])('%j', (data, text) => {
    expect(packetText(Buffer.from(data))).toBe(text);
  });
});
