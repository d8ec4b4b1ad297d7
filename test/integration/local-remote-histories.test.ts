import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { asOid, branchRef, type Oid } from '../../src/git/ids.js';
import { initRepository } from '../../src/git/init-repository.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { Refs } from '../../src/git/refs/refs.js';
import { openLocalRemote } from '../../src/remote/local/local-remote.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

interface DrawnCommit {
  /** How far back the parents lie; 0 = none. */
  readonly parents: readonly number[];
  readonly file: number;
  /** Seconds by which its clock is wrong. */
  readonly skew: number;
}

interface Step {
  readonly want: number;
  /** A negative number: so many more below where history ends. */
  readonly depth: number | 'full' | undefined;
}

const drawnCommit: fc.Arbitrary<DrawnCommit> = fc.record({
  parents: fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 2 }),
  file: fc.nat({ max: 5 }),
  skew: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: -500, max: 500 })),
});
const step: fc.Arbitrary<Step> = fc.record({
  want: fc.nat({ max: 100 }),
  depth: fc.oneof(
    fc.constant(undefined),
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: -3, max: -1 }),
    fc.constant('full' as const),
  ),
});

/** Writes the history into a bare repository; gives the ids of its commits in order. */
function draw(gitDir: string, commits: readonly DrawnCommit[]): Oid[] {
  git(gitDir, ['init', '-q', '--bare']);
  const stream = commits.map(({ parents, file, skew }, index) => {
    const lines = [
      `commit refs/heads/c${index}`,
      `mark :${index + 1}`,
      `committer A <a@b> ${1_600_000_000 + index * 60 + skew} +0000`,
      'data 0',
    ];
    const present = [...new Set(parents.map((back) => index - back).filter((parent) => parent >= 0))];
    for (const [place, parent] of present.entries()) lines.push(`${place === 0 ? 'from' : 'merge'} :${parent + 1}`);
    const content = `${file} ${index}`;
    lines.push(`M 100644 inline folder${file % 3}/note${file}.md`, `data ${content.length}`, content, '');
    return lines.join('\n');
  });
  git(gitDir, ['fast-import', '--quiet'], { input: stream.join('\n') });
  return commits.map((_, index) => asOid(git(gitDir, ['rev-parse', `refs/heads/c${index}`]).trim()));
}

describe.skipIf(!nativeGit.available)(
  'fetches from a LocalRemote, any sequence over any history (needs native git)',
  () => {
    const root = makeTemporaryDirectory();
    let round = 0;

    it("leave what native git's fetches leave", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(drawnCommit, { minLength: 1, maxLength: 12 }),
          fc.array(step, { minLength: 1, maxLength: 4 }),
          async (commits, steps) => {
            const [source, ours, theirs] = ['source', 'ours', 'theirs'].map((name) =>
              join(root, `${++round}-${name}.git`),
            ) as [string, string, string];
            for (const directory of [source, theirs]) nodeDisk.mkdirSync(directory);
            const oids = draw(source, commits);
            git(theirs, ['init', '-q', '--bare']);
            initRepository(nodeDisk, ours, { bare: true, branch: 'main' });
            const store = ObjectStore.open(nodeDisk, ours);
            const refs = Refs.open(nodeDisk, ours);
            const remote = await openLocalRemote(source, { disk: nodeDisk, env: {}, timeoutMs: 60_000 });
            const shallow = new Set<Oid>();
            const haves: Oid[] = [];
            for (const [number, { want, depth }] of steps.entries()) {
              const index = want % oids.length;
              const oid = oids[index] as Oid;
              const receiver = store.receivePack();
              const result = await remote.fetch({
                wants: [oid],
                haves,
                shallow,
                sink: receiver,
                ...(depth === undefined
                  ? {}
                  : depth === 'full'
                    ? { deepenTo: 'full' }
                    : depth < 0
                      ? { deepenBy: -depth }
                      : { depth }),
              });
              if (result.empty) receiver.abort();
              else receiver.finish();
              for (const added of result.shallow) shallow.add(added);
              for (const removed of result.unshallow) shallow.delete(removed);
              haves.push(oid);
              if (shallow.size > 0)
                writeFileSync(join(ours, 'shallow'), [...shallow].map((line) => `${line}\n`).join(''));
              else rmSync(join(ours, 'shallow'), { force: true });
              refs.update({ name: branchRef(`step${number}`), to: oid, message: 'test', who: 'A <a@b> 1 +0000' });

              const nativeDepth =
                depth === undefined
                  ? []
                  : depth !== 'full' && depth < 0
                    ? [`--deepen=${-depth}`]
                    : [`--depth=${depth === 'full' ? 2_147_483_647 : depth}`];
              git(theirs, [
                'fetch',
                '-q',
                '--no-tags',
                ...nativeDepth,
                `file://${source}`,
                `refs/heads/c${index}:refs/heads/step${number}`,
              ]);
              expect(git(ours, ['fsck', '--strict', '--no-dangling'])).toBe('');
              expect(git(ours, ['rev-list', '--all', '--objects', '--no-object-names']).split('\n').sort()).toEqual(
                git(theirs, ['rev-list', '--all', '--objects', '--no-object-names']).split('\n').sort(),
              );
              const theirShallow = existsSync(join(theirs, 'shallow'))
                ? readFileSync(join(theirs, 'shallow'), 'utf8').trim().split('\n')
                : [];
              // git lists roots at the boundary as well, though nothing is missing below them
              const hasParents = (line: string): boolean =>
                git(source, ['rev-list', '--parents', '-1', line]).trim().includes(' ');
              expect([...shallow].sort()).toEqual(theirShallow.filter(hasParents).sort());
            }
            void remote.close();
            store.close();
          },
        ),
        { numRuns: Number(process.env['KB_TEST_RUNS'] ?? 15) },
      );
    });
  },
);
