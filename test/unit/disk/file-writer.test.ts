import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../../src/disk/disk.js';
import { FileWriter, STAT_WORDS, statWords } from '../../../src/disk/file-writer.js';
import { isKbError } from '../../../src/errors.js';
import { BROKEN, type Broken } from '../../support/broken-thread.js';
import { makeTemporaryDirectory } from '../../support/native-git.js';

const NO_FOLDER = Buffer.alloc(0);

describe('FileWriter', () => {
  let writer: FileWriter;
  afterEach(() => writer.close());

  function make(disk = nodeDisk): { directory: string; stats: Map<number, number[]> } {
    const directory = makeTemporaryDirectory();
    const stats = new Map<number, number[]>();
    writer = new FileWriter(disk, directory, (id, words, at) =>
      stats.set(id, [...words.subarray(at, at + STAT_WORDS)]),
    );
    return { directory, stats };
  }

  function add(id: number, name: string, content: string | Buffer, permission = 0o666): void {
    writer.add({ id, permission, folder: NO_FOLDER, name: Buffer.from(name), content: Buffer.from(content) });
  }

  function finish(): void {
    for (const _ of writer.finish());
  }

  it.each([true, false])(
    'writes many more files than a batch holds, and tells their stat; a second thread: %s',
    (two) => {
      const { directory, stats } = make(two ? nodeDisk : { ...nodeDisk });
      writer.speedUp();
      mkdirSync(join(directory, 'a/b'), { recursive: true });
      const content = (id: number): string => `note ${id}\n`.repeat(id % 400);
      for (let id = 0; id < 5000; id++)
        writer.add({
          id,
          permission: 0o666,
          folder: Buffer.from('a/b/'),
          name: Buffer.from(`é ${id}`),
          content: Buffer.from(content(id)),
        });
      expect(writer.pendingFiles).toBeGreaterThan(0);
      finish();
      expect(writer.pendingFiles).toBe(0);
      expect(writer.pendingBytes).toBe(0);
      expect(stats.size).toBe(5000);
      for (let id = 0; id < 5000; id++) {
        const path = join(directory, `a/b/é ${id}`);
        expect(readFileSync(path, 'utf8')).toBe(content(id));
        expect(stats.get(id)).toEqual([...statWords(lstatSync(path, { bigint: true }))]);
      }
    },
  );

  it.skipIf(availableParallelism() < 2)(
    'writes with a second thread: nobody else does it here (needs two processors)',
    async () => {
      const { directory } = make();
      writer.speedUp();
      add(7, 'one', 'by another thread');
      writer.flush();
      const read = (): string => {
        try {
          return readFileSync(join(directory, 'one'), 'utf8');
        } catch {
          return '';
        }
      };
      await expect.poll(read, { timeout: 20_000 }).toBe('by another thread');
      finish();
    },
  );

  it.each([true, false])('ends with what the file system says; a second thread: %s', async (two) => {
    const { directory } = make(two ? nodeDisk : { ...nodeDisk });
    writer.speedUp();
    writeFileSync(join(directory, 'taken'), 'mine');
    add(1, 'taken', 'theirs');
    writer.flush();
    if (two) await setTimeout(200);
    expect(finish).toThrow(expect.objectContaining({ code: 'EEXIST', path: join(directory, 'taken') }));
    expect(readFileSync(join(directory, 'taken'), 'utf8')).toBe('mine');
  });

  it('writes a file larger than a batch, an empty one, and one that may be executed', () => {
    const { directory, stats } = make();
    const large = Buffer.alloc(300_000, 'x');
    add(1, 'large', large);
    add(2, 'empty', '');
    add(3, 'run', '#!/bin/sh\n', 0o777);
    finish();
    expect(readFileSync(join(directory, 'large')).equals(large)).toBe(true);
    expect(readFileSync(join(directory, 'empty'))).toHaveLength(0);
    expect(lstatSync(join(directory, 'run')).mode & 0o100).toBe(0o100);
    expect(lstatSync(join(directory, 'large')).mode & 0o100).toBe(0);
    expect([...stats.keys()].sort()).toEqual([1, 2, 3]);
  });

  it.skipIf(process.platform !== 'linux')('keeps a name that is no UTF-8 (needs Linux)', () => {
    const { directory } = make();
    const name = Buffer.from([0x61, 0xff, 0x62]);
    writer.add({ id: 1, permission: 0o666, folder: NO_FOLDER, name, content: Buffer.from('bytes') });
    finish();
    expect(readFileSync(Buffer.concat([Buffer.from(`${directory}/`), name]), 'utf8')).toBe('bytes');
  });

  describe.skipIf(availableParallelism() < 2)('a second thread that … (needs two processors)', () => {
    /** Fills a batch, which the thread takes, and waits for what comes of it. */
    async function writeWith(how: Broken): Promise<unknown> {
      const directory = makeTemporaryDirectory();
      writer = new FileWriter(
        nodeDisk,
        directory,
        () => undefined,
        (program, options) => new Worker(BROKEN[how] + program, options),
      );
      writer.speedUp();
      for (let id = 0; id < 100; id++) add(id, `note ${id}`, 'text');
      writer.flush();
      await expect.poll(() => existsSync(join(directory, 'note 1')), { timeout: 20_000 }).toBe(true);
      try {
        for (let id = 100; id < 5000; id++) add(id, `note ${id}`, 'text'.repeat(100));
        for (const _ of writer.finish()) await setImmediate();
      } catch (error) {
        return error;
      }
      return undefined;
    }

    it.each(['ends', 'dies', 'runs out of memory'] as const)('… %s in a batch: an error, and no wait', async (how) => {
      const error = await writeWith(how);
      expect(isKbError(error, 'E_INTERNAL') && error.message).toMatch(/^the thread that writes files is gone: /);
    });

    it('… finds the disk full: its error', async () => {
      expect(await writeWith('finds the disk full')).toMatchObject({ code: 'ENOSPC', syscall: 'open' });
    });

    it('… hangs is ended by close, and nothing is written after it', async () => {
      const hanging = writeWith('hangs');
      await setTimeout(1000);
      await writer.close();
      const error = await hanging;
      expect(isKbError(error, 'E_INTERNAL')).toBe(true);
    });

    it('… ends without having taken a batch is not missed', async () => {
      const directory = makeTemporaryDirectory();
      const told: number[] = [];
      let gone: Promise<unknown> | undefined;
      writer = new FileWriter(
        nodeDisk,
        directory,
        (id) => told.push(id),
        (_, options) => {
          const thread = new Worker('process.exit(1)', options);
          gone = once(thread, 'exit');
          return thread;
        },
      );
      writer.speedUp();
      await gone;
      for (let id = 0; id < 5000; id++) add(id, `note ${id}`, 'text'.repeat(100));
      finish();
      expect(told).toHaveLength(5000);
      expect(readdirSync(directory)).toHaveLength(5000);
    });
  });
});
