import { spawnSync } from 'node:child_process';
import { git, gitEnvironment, makeTemporaryDirectory } from './native-git.js';

/** git-lfs is the oracle for large files and never part of kb: a machine without it skips those tests. */
export const gitLfs: {
  readonly available: boolean;
  /** A new empty repository. */
  repository(): string;
  /** Makes git-lfs's filter that of native git for all tests of this file, as `git lfs install` does. */
  install(): void;
} = {
  available: spawnSync('git', ['lfs', 'version'], { stdio: 'ignore' }).status === 0,
  repository: () => {
    const directory = makeTemporaryDirectory();
    git(directory, ['init', '-q']);
    return directory;
  },
  install: () => {
    const result = spawnSync('git', ['lfs', 'install', '--skip-repo'], { env: gitEnvironment() });
    if (result.status !== 0) throw new Error(result.stderr.toString());
  },
};
