import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { FreeSpace, watchSpace } from '../../../src/kb/free-space.js';

const MIB = 1024 * 1024;
const full: unknown = expect.objectContaining({ code: 'E_STORAGE', exitCode: 9 });

/** A volume of `blocks` KiB whose free space is asked for each time, and counts how often. */
function volume(blocks: number, free: () => number, over: object = {}): { disk: Disk; looks: () => number } {
  let looks = 0;
  const statfsSync = (() => {
    looks += 1;
    return { bsize: 1024, blocks, bavail: free() / 1024, files: 0, ffree: 0, ...over };
  }) as unknown as Disk['statfsSync'];
  return { disk: { ...nodeDisk, statfsSync }, looks: () => looks };
}

function watch(disk: Disk): FreeSpace {
  return new FreeSpace(disk, '/volume', 'clone into /volume');
}

describe('what stays free', () => {
  it.each([
    [2 * MIB, 0.2 * MIB],
    [100 * MIB, 10 * MIB],
    [1024 * MIB, 16 * MIB],
    [10 * 1024 * MIB, 102.4 * MIB],
    [1024 * 1024 * MIB, 256 * MIB],
  ])('of %d bytes are %d', (size, reserve) => {
    expect(watch(volume(size / 1024, () => size).disk).reserve).toBe(reserve);
  });
});

describe('require', () => {
  it('says what is free, what is needed and what must stay', () => {
    const { disk } = volume(1024 * 1024, () => 100 * MIB);
    expect(() => watch(disk).require(84 * MIB)).not.toThrow();
    expect(() => watch(disk).require(84 * MIB + 1)).toThrow(full);
    expect(() => watch(disk).require(90 * MIB)).toThrow(
      /100 MiB are free, and 90 MiB more are needed; 16 MiB must stay/,
    );
  });

  it('counts files where the volume does', () => {
    const many = volume(1024 * 1024, () => 1024 * MIB, { files: 1000, ffree: 10 });
    expect(() => watch(many.disk).require(0, 10)).not.toThrow();
    expect(() => watch(many.disk).require(0, 11)).toThrow(/room for 10 more files, and 11 are needed/);
    const uncounted = volume(1024 * 1024, () => 1024 * MIB);
    expect(() => watch(uncounted.disk).require(0, 1e9)).not.toThrow();
  });
});

describe('follow', () => {
  it('stops before the volume is full, also when others fill it', () => {
    let others = 0;
    let written = 0;
    const { disk } = volume(1024 * 1024, () => 100 * MIB - written - others);
    const space = watch(disk);
    const fill = (): void => {
      for (; written < 200 * MIB; written += 64 * 1024) space.follow(written);
    };
    expect(fill).toThrow(full);
    expect(100 * MIB - written).toBeGreaterThan(14 * MIB);
    written = 0;
    const next = watch(disk);
    expect(() => next.follow(2 * MIB)).not.toThrow();
    others = 90 * MIB;
    expect(() => next.follow(4 * MIB)).toThrow(full);
  });

  it('stops as soon as it is known that more will come than fits', () => {
    const { disk } = volume(1024 * 1024, () => 100 * MIB);
    expect(() => watch(disk).follow(100, 90 * MIB)).toThrow(full);
  });

  it('asks the volume once a MiB, not for every piece', () => {
    const { disk, looks } = volume(1024 * 1024, () => 100 * MIB);
    const space = watch(disk);
    for (let done = 0; done <= 20 * MIB; done += 4096) space.follow(done);
    expect(looks()).toBe(1 + 20);
  });
});

it('watches nothing where the volume cannot be asked', () => {
  const statfsSync = (() => {
    throw Object.assign(new Error('no'), { code: 'ENOSYS' });
  }) as unknown as Disk['statfsSync'];
  expect(watchSpace({ ...nodeDisk, statfsSync }, '/', 'x')).toBeUndefined();
});
