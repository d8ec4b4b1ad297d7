import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { isKbError } from '../../src/errors.js';
import { currentProcess } from '../../src/lock/owner.js';
import { FailingDisk, Killed, type Failure } from '../support/failing-disk.js';
import { age, everything, fsck, gc, has, LONG_AGO, makeManyPacks, packNames, strayBlob } from '../support/gc-site.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

interface Prepared {
  readonly root: string;
  readonly everything: readonly string[];
  readonly young: string;
}

/** Three packs, loose objects, one to drop and one to keep though nothing leads to it, an old stash, an old temporary file. */
function prepare(): Prepared {
  const root = makeManyPacks();
  const young = strayBlob(root, 'young');
  strayBlob(root, 'old', LONG_AGO);
  const temporary = join(root, '.git/objects/pack/tmp_pack_old');
  writeFileSync(temporary, 'x');
  age(temporary, LONG_AGO);
  git(root, ['multi-pack-index', 'write']);
  git(root, ['commit-graph', 'write', '--reachable']);
  const all = everything(root);
  git(root, ['update-ref', 'refs/kb/stash/2020-01-01T00-00-00-000Z-00', 'HEAD']);
  return { root, everything: all, young };
}

/** @returns what is wrong after the failure, and after the next gc */
async function attempt(prepared: Prepared, failure: Failure): Promise<string[]> {
  const root = join(makeTemporaryDirectory(), 'kb');
  cpSync(prepared.root, root, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  const failing = new FailingDisk(failure);
  const problems: string[] = [];
  const check = (when: string): void => {
    const label = `${when} ${failing.failedCall.replaceAll(root, '')} (${failure.kind} at ${failure.at})`;
    const found = fsck(root);
    if (found !== '') problems.push(`${label}: ${found}`);
    if (everything(root).join() !== prepared.everything.join()) problems.push(`${label}: something is missing`);
    const packs = packNames(root, '.pack');
    // Git warns of an index without its pack, and takes it for damage.
    if (packNames(root, '.idx').some((name) => !packs.includes(name.replace('.idx', '.pack'))))
      problems.push(`${label}: an index without its pack`);
    if (!has(root, prepared.young)) problems.push(`${label}: what was young is gone`);
  };
  // Another process by its start time: one that has provably ended when the next gc looks.
  const identity = { ...currentProcess(nodeDisk), pid: 4194304, startTime: '1' };
  try {
    await gc(root, {}, { disk: failing.disk, identity });
  } catch (error) {
    const isExpected = failure.kind === 'kill' ? error instanceof Killed : isKbError(error, 'E_STORAGE');
    if (!isExpected) problems.push(`${failing.failedCall}: ended with ${String(error)}`);
  }
  check('after');
  const result = await gc(root).catch((error: unknown) => void problems.push(`the next gc: ${String(error)}`));
  check('after the next gc behind');
  if (result?.after.packs !== 1 || result.after.looseObjects > 1) problems.push(`left: ${JSON.stringify(result)}`);
  const left = readdirSync(join(root, '.git'), { recursive: true, encoding: 'utf8' });
  // A pack whose removal was cut off, and the list for dumb HTTP, are swept when they are a day old.
  const leftovers = left.filter((name) => /(?<!kb_)tmp_|\.lock$|gc\.pid|kb\/locks\/./.test(name));
  if (leftovers.length > 0) problems.push(`${failing.failedCall}: left behind ${leftovers.join(' ')}`);
  rmSync(root, { recursive: true });
  return problems;
}

describe.skipIf(!nativeGit.available)('kb gc, interrupted (needs native git)', () => {
  it('killed at any change: all is there, and the next gc finishes', async () => {
    const prepared = prepare();
    const counting = new FailingDisk();
    const copy = join(makeTemporaryDirectory(), 'kb');
    cpSync(prepared.root, copy, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    await gc(copy, {}, { disk: counting.disk });
    expect(counting.changes).toBeGreaterThan(60);
    const problems: string[] = [];
    // Loose objects go one by one, all in the same way: of those, a few.
    const isDull = (call: string | undefined): boolean => /^unlinkSync .*objects\/[0-9a-f]{2}\//.test(call ?? '');
    for (let at = 1; at <= counting.changes; at += 1) {
      if (isDull(counting.log[at - 1]) && isDull(counting.log[at - 2]) && at % 17 !== 0) continue;
      problems.push(...(await attempt(prepared, { kind: 'kill', at, torn: at % 2 === 0 })));
    }
    expect(problems).toEqual([]);
  });

  it('no space, or an error of the disk: E_STORAGE, and all is there', async () => {
    const prepared = prepare();
    const problems: string[] = [];
    for (let at = 1; at <= 24; at += 3) {
      problems.push(...(await attempt(prepared, { kind: 'full', at })));
      problems.push(...(await attempt(prepared, { kind: 'error', at: at + 1, errno: 'EIO' })));
    }
    expect(problems).toEqual([]);
  });
});
