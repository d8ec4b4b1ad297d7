import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { nodeDisk } from '../../src/disk/disk.js';
import { isKbError, type KbError } from '../../src/errors.js';
import { asOid, type Oid } from '../../src/git/ids.js';
import { readCommit } from '../../src/git/objects/commit.js';
import type { GitObject, ObjectSource } from '../../src/git/objects/object.js';
import { StagedObjects } from '../../src/git/objects/staged.js';
import { walkTree } from '../../src/git/objects/tree.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import type { Conflict, ConflictRules, MergedFile } from '../../src/kb/apply-changes.js';
import { integrate } from '../../src/kb/integrate.js';
import { mergeByLines, type MergeContents } from '../../src/kb/merge-contents.js';
import { carryRenames, type RenameRules } from '../../src/kb/renames/carry.js';
import { git, makeTemporaryDirectory } from './native-git.js';

const COMMITTER = { name: 'Kb', email: 'kb@example.com', timestamp: 1_700_000_000, timezone: '+0000' };

/** Text by path. */
export type Files = Readonly<Record<string, string>>;

export const RENAME_RULES: RenameRules = {
  limit: 1000,
  folders: true,
  ignoreCase: false,
  allows: () => true,
  onLimit: () => undefined,
};

export interface Outcome {
  readonly tree: Oid | undefined;
  readonly files: Files;
  readonly merged: readonly MergedFile[];
  readonly conflicts: readonly Conflict[];
}

export interface How {
  /** undefined: renames are not followed. */
  readonly rules?: Partial<RenameRules> | null;
  readonly merge?: MergeContents;
  readonly conflicts?: ConflictRules;
}

/** Histories with renames, and what native git and kb make of them. */
export class RenameHistories {
  readonly root = makeTemporaryDirectory();
  readonly objects: ObjectStore;
  /** Objects that kb has read since this was last emptied. */
  readonly reads = new Set<Oid>();
  private readonly uncounted: ObjectSource;

  constructor() {
    git(this.root, ['init', '-q']);
    git(this.root, ['config', 'merge.directoryRenames', 'true']);
    git(this.root, ['config', 'advice.mergeConflict', 'false']);
    this.objects = ObjectStore.open(nodeDisk, join(this.root, '.git'));
    const read = this.objects.read.bind(this.objects);
    this.uncounted = { read, find: this.objects.find.bind(this.objects), has: this.objects.has.bind(this.objects) };
    this.objects.read = (oid: Oid): GitObject => {
      this.reads.add(oid);
      return read(oid);
    };
  }

  close(): void {
    this.objects.close();
  }

  /** Commits each state on top of the one before. @returns the last one's id */
  grow(parents: readonly Oid[], ...states: readonly Files[]): Oid {
    const stream = states.map((files, at) => {
      const [first, ...others] = at > 0 ? [] : parents;
      const from = (first === undefined ? '' : `from ${first}\n`) + others.map((oid) => `merge ${oid}\n`).join('');
      const body = Object.entries(files).map(
        ([name, text]) => `M 100644 inline ${name}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
      );
      return `commit refs/heads/grown\ncommitter A <a@b> ${1_600_000_000 + at} +0000\ndata 5\nstate\n${from}deleteall\n${body.join('')}\n`;
    });
    git(this.root, ['fast-import', '--quiet', '--force'], { input: `reset refs/heads/grown\n${stream.join('')}` });
    this.objects.refresh();
    return asOid(git(this.root, ['rev-parse', 'grown']).trim());
  }

  /** As a merge commit whose second parent brings nothing. */
  merging(base: Oid, local: Oid): Oid {
    const oid = git(this.root, ['commit-tree', '-p', local, '-p', base, '-m', 'merge', `${local}^{tree}`]).trim();
    this.objects.refresh();
    return asOid(oid);
  }

  /**
   * What kb makes of it: a replay, or a merge where the local history holds one.
   * @param base of the remote branch as it was last seen; undefined: never
   */
  async kb(local: Oid, remote: Oid, base: Oid | undefined, how: How = {}): Promise<Outcome> {
    const staged = new StagedObjects(this.objects);
    const rules = { ...RENAME_RULES, ...how.rules };
    this.reads.clear();
    try {
      const { tip, merged } = await integrate({
        staged,
        shallow: new Set(),
        local,
        remote,
        tracking: base,
        committer: COMMITTER,
        merge: how.merge ?? mergeByLines,
        ...(how.conflicts === undefined ? {} : { conflicts: how.conflicts }),
        ...(how.rules === null ? {} : { renames: (meeting) => carryRenames(meeting, rules) }),
      });
      staged.persist();
      const { tree } = readCommit(staged, tip as Oid);
      return { tree, files: this.filesOf(tree), merged, conflicts: [] };
    } catch (error) {
      if (!isKbError(error, 'E_CONFLICT')) throw error;
      const { conflicts } = (error as KbError & { details: { conflicts: Conflict[] } }).details;
      return { tree: undefined, files: {}, merged: [], conflicts };
    }
  }

  /** The tree of `git merge`; undefined: it leaves conflicts. */
  merge(local: Oid, remote: Oid, folders = true): Oid | undefined {
    const args = [
      '-c',
      `merge.directoryRenames=${String(folders)}`,
      'merge-tree',
      '--write-tree',
      '--no-messages',
      remote,
      local,
    ];
    const merged = git(this.root, args, { allowFailure: true }).trim();
    return /^[0-9a-f]{40}$/.test(merged) ? asOid(merged) : undefined;
  }

  /** The tree of `git rebase`; undefined: it stops. What it leaves then is removed. */
  rebase(local: Oid, remote: Oid, base: Oid): Oid | undefined {
    git(this.root, ['checkout', '-q', '--force', '--detach', local]);
    git(this.root, ['rebase', '-q', '--onto', remote, base], { allowFailure: true });
    if (!existsSync(join(this.root, '.git/rebase-merge')))
      return asOid(git(this.root, ['rev-parse', 'HEAD^{tree}']).trim());
    git(this.root, ['rebase', '--abort']);
    git(this.root, ['clean', '-fdq']);
    return undefined;
  }

  filesOf(tree: Oid): Files {
    this.objects.refresh();
    const files: [string, string][] = [];
    walkTree(this.uncounted, tree, (path, { oid }) => {
      files.push([path, this.uncounted.read(oid).data.toString()]);
    });
    return Object.fromEntries(files);
  }
}
