import { describe, expect, it } from 'vitest';
import { PacketReader } from '../../../../src/remote/protocol/pkt-line.js';
import { parseProgress, readSideband } from '../../../../src/remote/protocol/sideband.js';

function band(number: number, data: string): Buffer {
  const length = (Buffer.byteLength(data) + 5).toString(16).padStart(4, '0');
  return Buffer.concat([Buffer.from(length), Buffer.of(number), Buffer.from(data)]);
}

async function demux(...packets: (Buffer | string)[]): Promise<{ data: string; lines: string[] }> {
  const left = packets.map((packet) => Buffer.from(packet));
  const result = { data: '', lines: [] as string[] };
  await readSideband(new PacketReader({ read: () => Promise.resolve(left.shift()) }), {
    data: (chunk) => (result.data += chunk.toString()),
    message: (line) => result.lines.push(line),
  });
  return result;
}

describe('readSideband', () => {
  it('keeps data and messages apart, and messages in lines', async () => {
    const result = await demux(
      band(2, 'Counting: 50%\rCounting: 100%\nhal'),
      band(1, 'PA'),
      band(2, 'f a line'),
      band(1, 'CK'),
      '0000',
    );
    expect(result).toEqual({ data: 'PACK', lines: ['Counting: 50%', 'Counting: 100%', 'half a line'] });
  });

  it('shows escapes, takes "erase line" away, and joins characters cut between packets', async () => {
    const euro = Buffer.from('€');
    const head = Buffer.concat([Buffer.from('0006'), Buffer.of(2), euro.subarray(0, 1)]);
    const tail = Buffer.concat([Buffer.from('0007'), Buffer.of(2), euro.subarray(1)]);
    const result = await demux(band(2, 'ok\u001b[K\n\u001b]0;title\u0007\n'), head, tail, '0000');
    expect(result.lines).toEqual(['ok', '\\x1b]0;title\\x07', '€']);
  });

  it('does not hold an endless line', async () => {
    const result = await demux(...Array.from({ length: 100 }, () => band(2, 'x'.repeat(900))), '0000');
    expect(Math.max(...result.lines.map((line) => line.length))).toBeLessThanOrEqual(1000);
  });

  it.each([
    [
      'the remote gives up',
      [band(3, 'upload-pack: \u001b[31mout of memory')],
      /gave up: upload-pack: \\x1b\[31mout of memory/,
    ],
    ['the reply ends early', [band(1, 'PACK')], /ended in the middle/],
    ['an unknown band', [band(7, 'x'), '0000'], /band 7/],
    ['a stray marker', ['0001'], /delimiter/],
  ])('%s', async (_title, packets, message) => {
    await expect(demux(...packets)).rejects.toMatchObject({
      code: 'E_NETWORK',
      message: expect.stringMatching(message) as string,
    });
  });
});

describe('parseProgress', () => {
  it.each([
    ['Counting objects:  50% (5/10)', { phase: 'Counting objects', done: 5, total: 10 }],
    ['Compressing objects: 100% (7/7), done.', { phase: 'Compressing objects', done: 7, total: 7 }],
    ['Enumerating objects: 120, done.', { phase: 'Enumerating objects', done: 120 }],
    ['Welcome to the host', { phase: 'Welcome to the host' }],
    ['Total 3 (delta 0), reused 0', { phase: 'Total 3 (delta 0), reused 0' }],
  ])('%s', (line, progress) => {
    expect(parseProgress(line)).toEqual(progress);
  });
});
