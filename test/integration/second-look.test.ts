import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, programDisk, type Disk } from '../../src/disk/disk.js';
import { fileStatOf, updateIndex } from '../../src/git/index/index-file.js';
import type { RepoPath } from '../../src/git/paths.js';
import { scanChanges } from '../../src/git/worktree/status.js';
import type { StartThread } from '../../src/disk/second-thread.js';
import { git, nativeGit } from '../support/native-git.js';
import { andWaitForAnswers } from '../support/second-look.js';
import { type File, NativeWorktree, file } from '../unit/git/worktree/native-worktree.js';

const FILES = 84;
const names = Array.from({ length: FILES }, (_, at) => `notes/${at % 7}/${String(at).padStart(3, '0')}.md`);
const LAST = 'notes/6/083.md';

describe.skipIf(!nativeGit.available || availableParallelism() < 2)(
  'a second look (needs native git and two processors)',
  () => {
    let repository: NativeWorktree;
    const at = (name: string): string => join(repository.root, name);

    function scan(start: StartThread, disk: Disk = nodeDisk): string[] {
      const worktree = Object.assign(Object.create(repository.worktree) as typeof repository.worktree, { disk });
      const { objects } = repository;
      return scanChanges(worktree, repository.index(), { objects, secondLook: { files: 1, start } }).map(
        ({ kind, path }) => `${kind} ${path}`,
      );
    }

    beforeEach(() => {
      repository = new NativeWorktree();
      repository.advance(new Map(), new Map(names.map((name): [string, File] => [name, file(`text of ${name}\n`)])));
    });

    /** One of each kind, in the first folder and in the last one. */
    function edit(): string[] {
      const [first, second, third, last, lastButOne] = ['0/000', '0/007', '0/014', '6/083', '6/076'].map(
        (name) => `notes/${name}.md`,
      ) as [string, string, string, string, string];
      appendFileSync(at(first), 'more\n');
      rmSync(at(second));
      chmodSync(at(third), 0o755);
      writeFileSync(at(last), `TEXT OF ${last}\n`);
      rmSync(at(lastButOne));
      symlinkSync('083.md', at(lastButOne));
      return [`modified ${first}`, `deleted ${second}`, `modified ${third}`, `type ${lastButOne}`, `modified ${last}`];
    }

    it.each([
      ['as a library has it', nodeDisk],
      ['entering folders, as the program does', programDisk],
    ])('finds what one look finds, %s', (_how, disk) => {
      const changes = edit();
      expect(scan(andWaitForAnswers, disk)).toEqual(changes);
    });

    it('is what is gone by: a file that changes after it counts as it was', () => {
      const changes = scan((program, options) => {
        const thread = andWaitForAnswers(program, options);
        appendFileSync(at(LAST), 'after it was looked at\n');
        return thread;
      });
      expect(changes).toEqual([]);
      expect(scan(andWaitForAnswers)).toEqual([`modified ${LAST}`]);
    });

    it('does not make a file of what lies behind a link', () => {
      renameSync(at('notes/6'), at('elsewhere'));
      symlinkSync('../elsewhere', at('notes/6'));
      git(repository.root, ['config', 'status.showUntrackedFiles', 'no']);
      const deleted = scan(andWaitForAnswers).filter((change) => change.startsWith('deleted'));
      expect(deleted).toEqual(names.filter((name) => name.startsWith('notes/6/')).map((name) => `deleted ${name}`));
    });

    it('takes no other name for one that is no UTF-8', () => {
      writeFileSync(at('caf\ufffd'), 'x');
      const stat = fileStatOf(lstatSync(at('caf\ufffd'), { bigint: true }));
      const entry = { mode: 0o100644, oid: repository.blob('x'), stat };
      const names = [...['a', 'caf\udce9'], 'caf\ufffd'] as RepoPath[];
      updateIndex(nodeDisk, repository.gitDir, () => ({ changes: new Map(names.map((name) => [name, entry])) }));
      expect(scan(andWaitForAnswers)).toEqual(['deleted a', 'deleted caf\udce9']);
    });

    it.each<[string, StartThread]>([
      [
        'cannot be had',
        () => {
          throw new Error('no thread');
        },
      ],
      ['is late', (program, options) => new Worker(`setTimeout(() => {${program}}, 60000)`, options)],
      ['dies at once', (_, options) => new Worker('process.exit(3)', options)],
      ['throws', (_, options) => new Worker("throw new Error('on purpose')", options)],
      [
        'dies on its way',
        (program, options) =>
          new Worker(
            `const fs = require('node:fs'); const { lstatSync } = fs; let looks = 0;
             fs.lstatSync = (...p) => { if (++looks > 30) process.exit(3); return lstatSync(...p); }; ${program}`,
            options,
          ),
      ],
      [
        'may look at nothing',
        (program, options) =>
          andWaitForAnswers(
            `require('node:fs').lstatSync = () => { throw Object.assign(new Error('EACCES'), { code: 'EACCES' }); };
             ${program}`,
            options,
          ),
      ],
      [
        'finds nothing',
        (program, options) => andWaitForAnswers(`require('node:fs').lstatSync = () => undefined; ${program}`, options),
      ],
      [
        'sees other times',
        (program, options) =>
          andWaitForAnswers(
            `const fs = require('node:fs'); const { lstatSync } = fs;
             fs.lstatSync = (...p) => { const s = lstatSync(...p); if (s) s.mtimeMs += 1; return s; }; ${program}`,
            options,
          ),
      ],
    ])('that %s changes nothing', (_what, start) => {
      expect(scan(start)).toEqual([]);
      const changes = edit();
      expect(scan(start)).toEqual(changes);
    });

    it("is not asked for where the disk is not the machine's own", () => {
      let starts = 0;
      const counted: StartThread = (...parameters) => {
        starts += 1;
        return andWaitForAnswers(...parameters);
      };
      scan(counted, { ...nodeDisk });
      expect(starts).toBe(0);
      scan(counted);
      expect(starts).toBe(1);
    });

    it('ends with the scan', async () => {
      let thread: Worker | undefined;
      mkdirSync(at('more'));
      scan((program, options) => (thread = new Worker(`${program}; setInterval(() => undefined, 1000)`, options)));
      await expect(new Promise((ended) => thread?.on('exit', () => ended('ended')))).resolves.toBe('ended');
    });
  },
);
