import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { native } from './native.js';

/**
 * Bare repositories that are made once and copied for each use. Making 100,000 notes, or a gigabyte of noise, takes
 * longer than measuring with them, so the directory can be kept and given to the next run.
 */
export class Generated {
  constructor(private readonly directory: string) {
    mkdirSync(directory, { recursive: true });
  }

  /**
   * A copy of what `make` makes, in a directory that is not there yet.
   * @param name of the original: says all that it was made from, the seed too
   */
  async copy(name: string, to: string, make: (directory: string) => Promise<void>): Promise<void> {
    const original = join(this.directory, `${name}.git`);
    if (!existsSync(original)) {
      // Under another name until it is whole: what an interrupted run has left must not be taken for a KB.
      const unfinished = `${original}.part`;
      rmSync(unfinished, { recursive: true, force: true });
      mkdirSync(unfinished);
      await make(unfinished);
      renameSync(unfinished, original);
    }
    copyRepository(original, to);
  }
}

/** Git replaces files and never writes into them, so the copies can share theirs where the volume lets them. */
function copyRepository(from: string, to: string): void {
  if (spawnSync('cp', ['-al', from, to]).status === 0) return;
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
}

/**
 * A bare copy of somebody's repository, served like the generated ones: its checked out branch as `main`.
 * @returns the number of its files
 */
export function copyGiven(path: string, to: string): number {
  native('.', ['clone', '-q', '--bare', '--no-local', '--single-branch', path, to]);
  native(to, ['branch', '-M', 'main']);
  native(to, ['remote', 'remove', 'origin']);
  native(to, ['config', 'http.receivepack', 'true']);
  native(to, ['gc', '-q']);
  return native(to, ['ls-tree', '-r', '--name-only', '-z', 'main']).split('\0').length - 1;
}
