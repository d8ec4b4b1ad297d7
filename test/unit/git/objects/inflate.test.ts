import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createInflater, PublicInflater, type Inflater } from '../../../../src/git/objects/inflate.js';

const contents = ['', 'a', 'hello '.repeat(1000), 'x'.repeat(200_000)].map((text) => Buffer.from(text));

it('uses the fast way on this Node', () => {
  expect(createInflater()).not.toBeInstanceOf(PublicInflater);
});

describe.each([
  ['the reused handle', createInflater],
  ['the public interface', () => new PublicInflater()],
] as [string, () => Inflater][])('with %s', (_, create) => {
  /** Feeds as the pack parser does: what was not consumed is offered again with more behind it. */
  const inflateAll = (stream: Buffer, chunk: number): Buffer[] => {
    const inflater = create();
    const found: Buffer[] = [];
    let pending = Buffer.alloc(0);
    let given = 0;
    for (const content of contents) {
      inflater.begin(content.length);
      for (;;) {
        const used = inflater.push(pending, 0, pending.length, given >= stream.length);
        pending = pending.subarray(used);
        if (inflater.done) break;
        expect(given).toBeLessThan(stream.length);
        pending = Buffer.concat([pending, stream.subarray(given, given + chunk)]);
        given += chunk;
      }
      found.push(inflater.take());
    }
    expect(Buffer.concat([pending, stream.subarray(given)]).toString()).toBe('behind the end');
    return found;
  };

  it.each([1, 7, 1000, 1 << 20])('reads stream after stream in pieces of %i bytes', (chunk) => {
    const stream = Buffer.concat([...contents.map((content) => deflateSync(content)), Buffer.from('behind the end')]);
    expect(inflateAll(stream, chunk)).toEqual(contents);
  });

  it('gives a sink the pieces', () => {
    const inflater = create();
    const content = contents[3] as Buffer;
    const pieces: Buffer[] = [];
    inflater.begin(content.length, (piece) => pieces.push(Buffer.from(piece)));
    const stream = Buffer.concat([deflateSync(content), Buffer.from('x')]);
    expect(inflater.push(stream, 0, stream.length, true)).toBe(stream.length - 1);
    expect(Buffer.concat(pieces)).toEqual(content);
  });

  it.each([
    ['longer than said', 3, deflateSync('abcd')],
    ['shorter than said', 5, deflateSync('abcd')],
    ['no zlib at all', 4, Buffer.from('not compressed')],
    ['damaged', 4, Buffer.from('789c4b4c4a4e0100ffffffff', 'hex')],
  ])('refuses a stream that is %s, and goes on after it', (_name, size, stream) => {
    const inflater = create();
    inflater.begin(size);
    const input = Buffer.concat([stream, Buffer.alloc(4)]);
    expect(() => inflater.push(input, 0, input.length, true)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
    const good = Buffer.concat([deflateSync('good'), Buffer.alloc(1)]);
    inflater.begin(4);
    inflater.push(good, 0, good.length, true);
    expect(inflater.take().toString()).toBe('good');
  });
});
