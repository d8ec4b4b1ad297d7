import { readFileSync, statfsSync } from 'node:fs';
import { cpus, release, totalmem, type as systemName } from 'node:os';
import { native } from './native.js';

/** Where something was measured: all that figures of another run may differ for. */
export interface Environment {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  /** Of the directory with repositories and clones. */
  readonly fileSystem: string;
  readonly node: string;
  readonly git: string;
  readonly isomorphicGit: string;
}

/** Source: statfs(2). */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x01021994: 'tmpfs',
  0x9123683e: 'btrfs',
  0x58465342: 'xfs',
  0x794c7630: 'overlayfs',
  0x2fc12fc1: 'zfs',
  0x6969: 'nfs',
};

/** @param directory where the measured repositories are */
export function environmentOf(directory: string): Environment {
  const { type } = statfsSync(directory);
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${systemName()} ${release().split('-')[0] ?? ''}`.trim(),
    fileSystem: FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`,
    node: process.versions.node,
    git: native('.', ['--version'])
      .replace(/^git version /, '')
      .trim(),
    isomorphicGit: versionOf('../node_modules/isomorphic-git/package.json'),
  };
}

/** The commit that is measured; `+` when its files were changed since. */
export function measuredCommit(): string {
  const root = new URL('..', import.meta.url).pathname;
  try {
    const changed = native(root, ['status', '--porcelain', '--', 'src', 'bin', 'bench', 'scripts']) !== '';
    return `${native(root, ['rev-parse', '--short=10', 'HEAD']).trim()}${changed ? '+' : ''}`;
  } catch {
    return 'unknown'; // an unpacked archive
  }
}

function versionOf(manifest: string): string {
  return (JSON.parse(readFileSync(new URL(manifest, import.meta.url), 'utf8')) as { version: string }).version;
}
