import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isKbError, KbError } from '../../src/errors.js';
import { initKb } from '../../src/kb/init.js';
import { resolveConflicts } from '../../src/kb/resolve.js';
import { switchBranch } from '../../src/kb/switch.js';
import type { Surroundings } from '../../src/kb/surroundings.js';
import type { SimulatedProcess } from './crash-processes.js';
import { clone, LINES, note, pushFromElsewhere, startKb, syncOnce, withKb, write, type Site } from './crash-site.js';
import type { Stage } from './crash-stage.js';
import { git } from './native-git.js';

export interface Scenario {
  readonly name: string;
  prepare(stage: Stage): Promise<void> | void;
  /** What is killed. Ends when everybody who takes part has ended; what the victim throws may come through. */
  act(stage: Stage, victim: SimulatedProcess): Promise<void>;
  /** What happens elsewhere before the next command. */
  meanwhile?(stage: Stage): void;
  /** What the user types next. Default: `kb sync`. */
  recover?(stage: Stage, by: SimulatedProcess): Promise<void>;
  /**
   * The remote must be in the end as if nothing had gone wrong. `when acknowledged`: or as if the command had never been
   * given, where it was not acknowledged. Without it only the ledger is looked at.
   */
  readonly lands?: 'when acknowledged' | 'always';
  /** What else must be so in the end. @returns what is not */
  check?(stage: Stage): string[];
  /** What the victim does has no requests, or not in the remote's own words: not for the sweep over http. */
  readonly onlyByPath?: boolean;
}

function remoteEdits(work: string): void {
  write(work, {
    'diary.md': LINES.replace('line 1\n', 'line 1, remotely\n'),
    'inbox/two.md': null,
    'deep/er/three.md': null,
    'deep/four.md': 'four\n',
    'becomes-folder': null,
    'becomes-file': null,
  });
  write(work, { 'becomes-folder/inside.md': 'inside\n', 'becomes-file': 'file\n', 'tool.sh': '#!/bin/sh\n' });
  chmodSync(join(work, 'tool.sh'), 0o755);
  symlinkSync('diary.md', join(work, 'link.md'));
}

/** So many commits that one request brings only some of them. */
function growRemote({ remote }: Site, count: number): void {
  const start = git(remote, ['rev-parse', 'main']).trim();
  const stream = Array.from(
    { length: count },
    (_, n) =>
      `commit refs/heads/main\ncommitter A <a@b> ${1_800_000_000 + n} +0000\ndata 4\nGrow\n${n === 0 ? `from ${start}\n` : ''}M 644 inline grown.md\ndata 2\n${String(n).padStart(2, '0')}\n`,
  );
  git(remote, ['fast-import', '--quiet'], { input: stream.join('') });
}

async function syncAndDecide(world: Surroundings): Promise<void> {
  try {
    await syncOnce(world);
  } catch (error) {
    if (!isKbError(error, 'E_CONFLICT')) throw error;
    // That the disk was too full to write it down is said by a warning; until the next sync there is nothing to decide.
    if (error.details['ref'] === undefined) throw new KbError('E_STORAGE', 'not written down', { cause: error });
    await withKb(world, (kb) =>
      resolveConflicts(kb, {
        all: true,
        choose: ({ path }) => Promise.resolve(path === 'diary.md' ? 'edit' : 'theirs'),
        edit: () => Promise.resolve(Buffer.from(LINES.replace('line 10\n', 'line 10, of both\n'))),
      }),
    );
  }
}

function localEdits(site: Site): void {
  write(site.kb, {
    'diary.md': LINES.replace('line 10\n', 'line 10, locally\n'),
    'inbox/one.md': null,
    'inbox/new.md': 'new\n',
    'new/folder/five.md': 'five\n',
  });
}

/** One command alone, and nobody waits. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a new note',
    prepare: ({ site }) => startKb(site),
    act: (_stage, { world }) => note(world, { text: 'a thought' }),
    lands: 'when acknowledged',
  },
  {
    name: 'a new note, the remote has moved',
    prepare: async ({ site }) => {
      await startKb(site);
      pushFromElsewhere(site, remoteEdits);
    },
    act: (_stage, { world }) => note(world, { text: 'a thought' }),
    lands: 'when acknowledged',
  },
  {
    name: 'a new note with a key, repeated',
    prepare: ({ site }) => startKb(site),
    act: (_stage, { world }) => note(world, { text: 'a thought', id: 'key-1' }),
    recover: (_stage, { world }) => note(world, { text: 'a thought', id: 'key-1' }),
    lands: 'always',
  },
  {
    name: 'an append, the remote has moved in the same file',
    prepare: async ({ site }) => {
      await startKb(site);
      pushFromElsewhere(site, (work) => write(work, { 'diary.md': `${LINES}appended elsewhere\n` }));
    },
    act: (_stage, { world }) => note(world, { text: 'a thought', target: { kind: 'append', path: 'diary.md' } }),
    lands: 'when acknowledged',
  },
  {
    name: 'a note kept locally',
    prepare: ({ site }) => startKb(site),
    act: (_stage, { world }) => note(world, { text: 'a thought', push: false, pull: false }),
    lands: 'when acknowledged',
    onlyByPath: true,
  },
  {
    name: 'a sync of local edits',
    prepare: async ({ site }) => {
      await startKb(site);
      localEdits(site);
    },
    act: (_stage, { world }) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'a sync that merges',
    prepare: async ({ site }) => {
      await startKb(site);
      localEdits(site);
      pushFromElsewhere(site, remoteEdits);
    },
    act: (_stage, { world }) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'a conflict that is decided',
    prepare: async ({ site }) => {
      await startKb(site);
      localEdits(site);
      pushFromElsewhere(site, (work) =>
        write(work, { 'diary.md': LINES.replace('line 10\n', 'line 10, remotely\n'), 'inbox/one.md': 'one, edited\n' }),
      );
    },
    act: (_stage, { world }) => syncAndDecide(world),
    // A decision that was written down goes out with any sync; one that was not is given again.
    recover: (_stage, { world }) => syncAndDecide(world),
    lands: 'always',
    check: ({ site }) =>
      git(site.kb, ['for-each-ref', '--format=%(refname)', 'refs/kb/conflict'])
        .split('\n')
        .filter(Boolean)
        .map((name) => `${name} is left`),
  },
  {
    name: 'a sync that only pulls',
    prepare: async ({ site }) => {
      await startKb(site);
      pushFromElsewhere(site, remoteEdits);
    },
    act: (_stage, { world }) => syncOnce(world, { direction: 'pull' }),
    lands: 'always',
  },
  {
    // Files of half an advance, taken for edits of the user, would now meet other edits of the same lines.
    name: 'a sync that only pulls, and the remote moves again',
    prepare: async ({ site }) => {
      await startKb(site);
      pushFromElsewhere(site, remoteEdits);
      const first = git(site.remote, ['rev-parse', 'main']).trim();
      pushFromElsewhere(site, (work) => {
        write(work, {
          'diary.md': LINES.replace('line 1\n', 'line 1, again\n'),
          'tool.sh': null,
          'becomes-file': 'again\n',
        });
        write(work, { 'becomes-folder/inside.md': 'again\n', 'deep/four.md': 'again\n' });
      });
      git(site.remote, ['update-ref', 'refs/keep/later', 'main']);
      git(site.remote, ['update-ref', 'refs/heads/main', first]);
    },
    act: (_stage, { world }) => syncOnce(world, { direction: 'pull' }),
    meanwhile: ({ site }) => void git(site.remote, ['update-ref', 'refs/heads/main', 'refs/keep/later']),
    lands: 'always',
  },
  {
    // The end of history moves by steps of its own: objects, then `shallow`.
    name: 'a sync that needs more history',
    prepare: async ({ site }) => {
      await startKb(site);
      localEdits(site);
      pushFromElsewhere(site, remoteEdits);
      growRemote(site, 20);
      git(site.kb, ['fetch', '-q', '--depth=1', `file://${site.remote}`, '+main:refs/remotes/origin/main']);
    },
    act: (_stage, { world }) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'a switch with uncommitted work',
    prepare: async ({ site }) => {
      await startKb(site);
      localEdits(site);
      pushFromElsewhere(site, (work) => {
        git(work, ['switch', '-q', '-c', 'drafts']);
        remoteEdits(work);
      });
    },
    act: (_stage, { world }) => switchTo(world, 'drafts'),
    recover: async ({ site }, { world }) => {
      await switchTo(world, 'drafts');
      if (!readFileSync(join(site.kb, 'diary.md'), 'utf8').includes('line 1, remotely'))
        throw new Error('not switched');
      await switchTo(world, 'main');
      await syncOnce(world);
    },
    lands: 'always',
  },
  {
    name: 'a sync that merges, most folders left out',
    prepare: async ({ site }) => {
      await startKb(site);
      git(site.kb, ['sparse-checkout', 'set', 'inbox']);
      localEdits(site);
      pushFromElsewhere(site, remoteEdits);
    },
    act: (_stage, { world }) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'a sync in a partial clone',
    prepare: async ({ site }) => {
      await startKb(site);
      rmSync(site.kb, { recursive: true });
      git(site.remote, ['config', 'uploadpack.allowFilter', 'true']);
      git(site.root, ['clone', '-q', '--filter=blob:none', '--no-checkout', `file://${site.remote}`, site.kb]);
      git(site.kb, ['sparse-checkout', 'set', 'inbox']);
      git(site.kb, ['checkout', '-q', 'main']);
      localEdits(site);
      pushFromElsewhere(site, remoteEdits);
    },
    act: (_stage, { world }) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'init with a new remote',
    prepare: ({ site }) => {
      mkdirSync(site.home, { recursive: true });
      write(site.kb, { 'first.md': 'first\n', 'folder/second.md': 'second\n' });
    },
    act: (stage, victim) => init(stage, victim),
    recover: async (stage, by) => {
      await init(stage, by);
      await syncOnce(by.world);
    },
    lands: 'always',
    onlyByPath: true,
  },
  {
    name: 'the first sync into an empty remote',
    prepare: async (stage) => {
      const { site } = stage;
      mkdirSync(site.home, { recursive: true });
      write(site.kb, { 'first.md': 'first\n', 'folder/second.md': 'second\n' });
      await init(stage, stage.start('first'));
    },
    act: (_stage, { world }) => syncOnce(world),
    lands: 'always',
  },
  {
    name: 'a clone',
    prepare: async ({ site }) => {
      await startKb(site);
      rmSync(site.kb, { recursive: true });
    },
    act: (stage, victim) => clone(stage.site, victim.world, stage.url),
    recover: async (stage, by) => {
      await clone(stage.site, by.world, stage.url);
      await syncOnce(by.world);
    },
    lands: 'always',
  },
];

async function init({ site }: Stage, { world }: SimulatedProcess): Promise<void> {
  await initKb(world, { directory: site.kb, remote: site.remote, branch: 'main', name: 'notes' });
}

async function switchTo(world: Surroundings, branch: string): Promise<void> {
  await withKb(world, (kb) => switchBranch(kb, { branch, create: false, uncommitted: 'bring' }));
}
