import { afterEach, describe, expect, it, vi } from 'vitest';
import type { GitConfig } from '../../../src/config/git-config.js';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { requireTrustedOwner } from '../../../src/kb/trusted-owner.js';

const ROOT = '/home/bob/notes';
const GIT_DIR = `${ROOT}/.git`;

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

function check(request: { user: number; root: number; gitDir: number; safe?: string[]; sudo?: string }): void {
  vi.spyOn(process as { geteuid: () => number }, 'geteuid').mockReturnValue(request.user);
  vi.stubEnv('SUDO_UID', request.sudo);
  const owners: Record<string, number> = { [ROOT]: request.root, [GIT_DIR]: request.gitDir };
  const disk: Disk = {
    ...nodeDisk,
    lstatSync: ((path: string) => ({ uid: owners[path] })) as unknown as Disk['lstatSync'],
  };
  const config = {
    getAll: (key: string) => (key === 'safe.directory' ? (request.safe ?? []) : []),
  } as unknown as GitConfig;
  requireTrustedOwner(disk, ROOT, GIT_DIR, () => config);
}

describe.skipIf(process.geteuid === undefined)('requireTrustedOwner (needs user ids)', () => {
  it.each([
    ["all is the user's own", { user: 7, root: 7, gitDir: 7 }],
    ['root works on its own', { user: 0, root: 0, gitDir: 0 }],
    ['sudo, and it belongs to who called it', { user: 0, root: 7, gitDir: 7, sudo: '7' }],
    ['the user trusts this directory', { user: 7, root: 8, gitDir: 8, safe: ['/other', ROOT] }],
    ['the user trusts all below a folder', { user: 7, root: 8, gitDir: 8, safe: ['/home/bob/*'] }],
    ['the user trusts everything', { user: 7, root: 8, gitDir: 8, safe: ['*'] }],
  ])('passes: %s', (_what, request) => {
    expect(() => check(request)).not.toThrow();
  });

  it.each([
    ["it is another user's", { user: 7, root: 8, gitDir: 8 }],
    ["only .git is another user's", { user: 7, root: 7, gitDir: 8 }],
    ["only the root is another user's", { user: 7, root: 8, gitDir: 7 }],
    ["root works on a user's, without sudo", { user: 0, root: 7, gitDir: 7 }],
    ['SUDO_UID is set by somebody who is not root', { user: 7, root: 8, gitDir: 8, sudo: '8' }],
    ['SUDO_UID is no number', { user: 0, root: 7, gitDir: 7, sudo: 'x' }],
    ['another directory is trusted', { user: 7, root: 8, gitDir: 8, safe: ['/home/bob/notes2', '/home/bob/note'] }],
    ['another folder is trusted', { user: 7, root: 8, gitDir: 8, safe: ['/home/bobby/*', '/home/b*'] }],
    ['trust was taken back by an empty entry', { user: 7, root: 8, gitDir: 8, safe: ['*', ''] }],
  ])('refuses: %s', (_what, request) => {
    expect(() => check(request)).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE', message: `${ROOT} belongs to another user` }),
    );
  });

  it('does not read the configuration when there is nothing to ask it for', () => {
    vi.spyOn(process as { geteuid: () => number }, 'geteuid').mockReturnValue(7);
    const disk: Disk = { ...nodeDisk, lstatSync: (() => ({ uid: 7 })) as unknown as Disk['lstatSync'] };
    const config = vi.fn();
    requireTrustedOwner(disk, ROOT, GIT_DIR, config);
    expect(config).not.toHaveBeenCalled();
  });
});
