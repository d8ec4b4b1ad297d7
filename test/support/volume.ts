import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeTemporaryDirectory } from './native-git.js';

/** Mounting takes root, on Linux. */
export const canMount = process.platform === 'linux' && process.getuid?.() === 0;

/** A small volume in memory. */
export class Volume {
  readonly path = makeTemporaryDirectory();

  /** @param options of tmpfs(5), such as `size=32m` @throws Error when it cannot be mounted */
  constructor(options: string) {
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', this.path]);
    if (status !== 0) throw new Error(`cannot mount a tmpfs: ${stderr.toString()}`);
  }

  get isMounted(): boolean {
    return statSync(this.path).dev !== statSync(dirname(this.path)).dev;
  }

  unmount(): void {
    spawnSync('umount', [this.path]);
  }
}
