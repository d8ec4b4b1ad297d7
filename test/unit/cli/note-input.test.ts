import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readNoteText, type NoteInput } from '../../../src/cli/note-input.js';
import { KbError } from '../../../src/errors.js';
import { surroundings } from '../../../src/kb/surroundings.js';

let cwd: string;

beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'kb-input-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(cwd, { recursive: true });
});

function stdin(content: Iterable<Buffer> | 'terminal'): Readable {
  const stream = Readable.from(content === 'terminal' ? [] : content) as unknown as typeof process.stdin;
  stream.isTTY = content === 'terminal';
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(stream);
  return stream;
}

function read(input: Partial<NoteInput>, signal?: AbortSignal): Promise<string> {
  const world = surroundings({ cwd, env: {}, ...(signal === undefined ? {} : { signal }) });
  return readNoteText(world, {
    words: [],
    file: undefined,
    edit: false,
    heading: undefined,
    onCopy: () => undefined,
    ...input,
  });
}

const usage = (message: RegExp): unknown => ({ code: 'E_USAGE', message: expect.stringMatching(message) as string });

describe('readNoteText', () => {
  it('joins the words, and does not eat the input of a loop', async () => {
    const stream = stdin([Buffer.from('of the loop')]);
    expect(await read({ words: ['some', ' spaced', 'words'] })).toBe('some  spaced words');
    expect(stream.readableDidRead).toBe(false);
  });

  it.each<[string, Partial<NoteInput>]>([
    ['-', { words: ['-'] }],
    ['a pipe and nothing else', {}],
  ])('reads standard input: %s', async (_what, input) => {
    const text = 'ä\n€';
    const bytes = Buffer.from(text);
    stdin([bytes.subarray(0, 1), bytes.subarray(1, 4), bytes.subarray(4)]);
    expect(await read(input)).toBe(text);
  });

  it('takes a dash among words as a word', async () => {
    stdin('terminal');
    expect(await read({ words: ['-', 'item'] })).toBe('- item');
  });

  it('reads a file, relative to where the user is, byte for byte', async () => {
    stdin('terminal');
    writeFileSync(join(cwd, 'note.md'), '\ufeff# T\r\n');
    expect(await read({ file: 'note.md' })).toBe('\ufeff# T\r\n');
  });

  it.each<[string, Partial<NoteInput>, RegExp]>([
    ['nothing, at a terminal', {}, /no text/],
    ['words and a file', { words: ['a'], file: 'x' }, /more than one way/],
    ['words and an editor', { words: ['a'], edit: true }, /more than one way/],
    ['a file and an editor', { file: 'x', edit: true }, /more than one way/],
    ['a file that is not there', { file: 'none' }, /cannot read none/],
    ['a folder', { file: '.' }, /cannot read \./],
  ])('refuses %s', async (_what, input, message) => {
    stdin('terminal');
    await expect(read(input)).rejects.toMatchObject(usage(message) as object);
  });

  it.each([[[0xff]], [[0x61, 0xc3]], [[0xed, 0xa0, 0x80]]])('refuses bytes that are no UTF-8: %j', async (bytes) => {
    stdin([Buffer.from(bytes)]);
    await expect(read({})).rejects.toMatchObject(usage(/standard input is not UTF-8/) as object);
    writeFileSync(join(cwd, 'latin.md'), Buffer.from(bytes));
    await expect(read({ file: 'latin.md' })).rejects.toMatchObject(usage(/latin\.md is not UTF-8/) as object);
  });

  it('stops waiting for input when it is interrupted', async () => {
    const controller = new AbortController();
    const stream = new Readable({ read: () => undefined });
    vi.spyOn(process, 'stdin', 'get').mockReturnValue(stream as unknown as typeof process.stdin);
    const reading = read({}, controller.signal);
    controller.abort(new KbError('E_INTERRUPTED', 'interrupted'));
    await expect(reading).rejects.toThrow();
    expect(stream.destroyed).toBe(true);
  });
});
