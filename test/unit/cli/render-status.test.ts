import { describe, expect, it } from 'vitest';
import { paint } from '../../../src/cli/paint.js';
import { renderStatus, statusLine } from '../../../src/cli/render-status.js';
import type { Oid } from '../../../src/git/ids.js';
import type { RepoPath } from '../../../src/git/paths.js';
import type { LocalEdit } from '../../../src/kb/local-edits.js';
import { findProblems, requireHealthy, type Status } from '../../../src/kb/status.js';
import { FakeStream } from '../../support/fake-streams.js';

const NOW = Date.UTC(2026, 0, 2, 12);
const plain = paint(new FakeStream().asStream(), {}, true);
const holder = {
  user: 'ann',
  host: 'box',
  pid: 7,
  command: 'kb note',
  since: '2026-01-02T11:59:00.000Z',
  id: 'abcdef01',
};

const HEALTHY: Status = {
  initialized: true,
  cloning: null,
  dir: '/home/ann/notes',
  remote: 'https://example.com/notes.git',
  branch: 'main',
  head: '0123456789'.repeat(4) as Oid,
  upstream: 'origin/main',
  ahead: 0,
  behind: 0,
  shallow: false,
  sparse: null,
  changes: [],
  conflicts: [],
  lfsMissing: [],
  fileCount: 1,
  lock: { held: false, holder: null, stale: false },
  queue: [],
  unpushed: 0,
  lastSync: { at: '2026-01-02T11:00:00.000Z', result: 'ok', error: null, conflicts: [] },
  disk: { repoBytes: 2048, freeBytes: 3 * 1024 ** 3, headroom: 16 * 1024 ** 2 },
};

function edit(path: string, over: Partial<LocalEdit> = {}): LocalEdit {
  return { path: path as RepoPath, kind: 'added', committable: true, ...over };
}

describe('statusLine', () => {
  it.each<[Partial<Status>, string]>([
    [{}, 'main 0 0 0 free ok'],
    [{ branch: null }, '(detached) 0 0 0 free ok'],
    [{ ahead: 2, behind: 3, changes: [edit('a'), edit('b')] }, 'main 2 3 2 free ok'],
    [{ ahead: null, behind: null }, 'main - - 0 free ok'],
    [{ lock: { held: true, holder, stale: false } }, 'main 0 0 0 locked ok'],
    [{ lock: { held: true, holder, stale: true } }, 'main 0 0 0 stale ok'],
    [{ lastSync: null }, 'main 0 0 0 free -'],
    [{ lastSync: { at: '', result: 'E_NETWORK', error: 'x y', conflicts: [] } }, 'main 0 0 0 free E_NETWORK'],
  ])('%j', (over, line) => {
    expect(statusLine({ ...HEALTHY, ...over })).toBe(line);
  });

  it('has six words, whatever the branch is called', () => {
    expect(statusLine({ ...HEALTHY, branch: 'team/ann\u00a0x' }).split(' ')).toHaveLength(6);
  });
});

describe('renderStatus', () => {
  const row = (over: Partial<Status>, name: string): string =>
    renderStatus({ ...HEALTHY, ...over }, plain, NOW)
      .find((line) => line.startsWith(`${name}:`))
      ?.slice(11) ?? '';

  it('tells a healthy KB in seven lines', () => {
    expect(renderStatus(HEALTHY, plain, NOW)).toEqual([
      'KB:        /home/ann/notes (1 file)',
      'branch:    main at 0123456789',
      'remote:    https://example.com/notes.git (in step)',
      'last sync: ok, 1 hour ago',
      'lock:      free',
      'disk:      2.0 KiB used, 3.0 GiB free',
      'edits:     none',
    ]);
  });

  it.each<[string, Partial<Status>, string, string | RegExp]>([
    ['several files, shallow', { fileCount: 2, shallow: true }, 'KB', '/home/ann/notes (2 files, shallow)'],
    ['some folders', { fileCount: 2, sparse: ['team'] }, 'KB', '/home/ann/notes (2 files, sparse)'],
    ['no commit yet', { head: null }, 'branch', 'main, no commit yet'],
    ['detached', { branch: null }, 'branch', /^none \(detached HEAD\) at/],
    ['no remote', { remote: null }, 'remote', 'none'],
    ['never compared', { ahead: null, behind: null }, 'remote', /not compared yet/],
    ['remote moved', { ahead: 1, behind: null }, 'remote', /1 ahead; the remote has moved/],
    ['apart', { ahead: 1, behind: 2 }, 'remote', /1 ahead, 2 behind/],
    ['never synced', { lastSync: null }, 'last sync', 'none yet'],
    [
      'failed',
      { lastSync: { at: '2026-01-02T11:58:00Z', result: 'E_AUTH', error: 'no\ntoken', conflicts: [] } },
      'last sync',
      'E_AUTH, 2 minutes ago: no\\ntoken',
    ],
    [
      'locked',
      { lock: { held: true, holder, stale: false } },
      'lock',
      'held, by ann@box pid 7 (kb note), 1 minute ago, id abcdef01',
    ],
    [
      'locked by a dead process',
      { lock: { held: true, holder, stale: true } },
      'lock',
      /^stale; next: kb unlock, by ann/,
    ],
    ['locked by who knows', { lock: { held: true, holder: null, stale: false } }, 'lock', 'held by somebody unknown'],
    ['in conflict', { conflicts: ['a.md', 'b\x1b.md'] }, 'conflicts', 'a.md, b\\x1b.md'],
  ])('%s', (_what, over, name, expected) => {
    if (typeof expected === 'string') expect(row(over, name)).toBe(expected);
    else expect(row(over, name)).toMatch(expected);
  });

  it('lists who waits, the first twenty', () => {
    const waiting = Array.from({ length: 21 }, (_, at) => ({
      place: at + 1,
      who: 'ann@box\x1b pid 7',
      operation: at === 0 ? 'note' : 'run',
      since: at === 2 ? '' : '2026-01-02T11:59:00Z',
      state: at === 0 ? ('claimed' as const) : ('turn' as const),
    }));
    const lines = renderStatus({ ...HEALTHY, queue: waiting }, plain, NOW).slice(5);
    expect(lines.slice(0, 4)).toEqual([
      'queue:     21 waiting',
      '    1  note of ann@box\\x1b pid 7, 1 minute ago (being brought out)',
      '    2  run of ann@box\\x1b pid 7, 1 minute ago',
      '    3  run of ann@box\\x1b pid 7',
    ]);
    expect(lines[21]).toBe('  and 1 more');
  });

  it('lists edits, the first twenty', () => {
    const changes = [edit('x\x07.md', { kind: 'modified' }), edit('.obsidian/workspace.json', { committable: false })];
    const many = Array.from({ length: 20 }, (_, at) => edit(`n${at}.md`, { kind: 'deleted' }));
    const lines = renderStatus({ ...HEALTHY, changes: [...changes, ...many] }, plain, NOW).slice(6);
    expect(lines.slice(0, 3)).toEqual([
      'edits:     22 files',
      '  modified x\\x07.md',
      '  added    .obsidian/workspace.json (never committed)',
    ]);
    expect(lines).toHaveLength(22);
    expect(lines.at(-1)).toBe('  and 2 more');
  });
});

describe('health', () => {
  it.each<[string, Partial<Status>, RegExp | undefined]>([
    ['healthy', {}, undefined],
    ['never synced', { lastSync: null }, undefined],
    ['local edits and commits', { ahead: 3, changes: [edit('a')] }, undefined],
    [
      'a failed sync',
      { lastSync: { at: '', result: 'E_AUTH', error: 'no token', conflicts: [] } },
      /last sync failed: no token/,
    ],
    ['conflicts', { conflicts: ['a.md'] }, /1 files? (is|are) in conflict: a\.md/],
    ['a full volume', { disk: { repoBytes: 1, freeBytes: 9, headroom: 10 } }, /9 bytes left/],
  ])('%s', (_what, over, problem) => {
    const status = { ...HEALTHY, ...over };
    if (problem === undefined) {
      expect(findProblems(status)).toEqual([]);
      expect(() => requireHealthy(status)).not.toThrow();
    } else {
      expect(findProblems(status)).toEqual([expect.stringMatching(problem)]);
      expect(() => requireHealthy(status)).toThrow(expect.objectContaining({ code: 'E_UNHEALTHY', exitCode: 10 }));
    }
  });
});
