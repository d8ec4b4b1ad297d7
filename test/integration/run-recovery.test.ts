import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../src/disk/disk.js';
import { sweepDeadLocks } from '../../src/disk/lock-marks.js';
import { isKbError } from '../../src/errors.js';
import { holdKb } from '../../src/kb/hold.js';
import type { FailurePolicy } from '../../src/kb/run.js';
import { finishInterruptedAdvance } from '../../src/kb/recover-advance.js';
import { hasInterruptedRun, recoverInterruptedRun, sweepInside } from '../../src/kb/run/recover.js';
import type { Surroundings } from '../../src/kb/surroundings.js';
import { withLock } from '../../src/lock/lock.js';
import { currentProcess } from '../../src/lock/owner.js';
import { deadWordProbe } from '../../src/lock/process-word.js';
import { expectNativeGitAgrees, expectSound } from '../support/agree.js';
import { pointsOf, problemsOfAll } from '../support/crash-points.js';
import { LINES, syncOnce, withKb, worldOf, write, type Site } from '../support/crash-site.js';
import { FailingDisk, Killed, type Failure } from '../support/failing-disk.js';
import { git, nativeGit } from '../support/native-git.js';
import { leftByRun, makeRunSite, refsUnder, runScript, stateOf } from '../support/run-site.js';

/** Every so many points are taken; with KB_RUN_STRIDE=1 all of them. */
const STRIDE = Number(process.env['KB_RUN_STRIDE'] ?? 11);

/** What the next command does before anything else. @returns what it tells */
async function recover(site: Site, disk: Disk = nodeDisk, over: Partial<Surroundings> = {}): Promise<string[]> {
  const told: string[] = [];
  const report: Surroundings['report'] = (event) => {
    if (event.kind === 'warning') told.push(event.text);
  };
  await withKb(worldOf(site, { disk, report, ...over }), (kb) =>
    holdKb(kb, 'sync', async (hold) => {
      const context = { who: 'Ann <ann@example.com> 1 +0000', fence: () => hold.assertHeld() };
      const { identity } = kb.surroundings;
      sweepDeadLocks(kb.surroundings.disk, kb.gitDir, deadWordProbe(kb.surroundings.disk, identity), kb.lockMarks.word);
      finishInterruptedAdvance(kb, context);
      sweepInside(kb);
      recoverInterruptedRun(kb, context);
      expect(hasInterruptedRun(kb)).toBe(false);
    }),
  );
  return told;
}

/** Another process by its start time: one that has provably ended when the next command looks. */
const mortal = { ...currentProcess(nodeDisk), startTime: '1' };

function makeDirty(site: Site): void {
  write(site.kb, { 'diary.md': LINES.replace('line 1\n', 'mine\n'), 'inbox/one.md': 'staged\n' });
  git(site.kb, ['add', 'inbox']);
  write(site.kb, { 'inbox/one.md': 'changed again\n', 'deep/er/three.md': null, 'draft.md': 'draft\n' });
}

const CHANGES = `echo more >> diary.md; echo x > inbox/one.md; rm inbox/two.md becomes-folder; mkdir becomes-folder
  echo in > becomes-folder/in.md; mkdir -p a/b; echo new > a/b/new.md; chmod +x becomes-file/inside.md; git add a`;

describe.skipIf(!nativeGit.available)('a kb run that was killed (needs native git)', () => {
  let site: Site;
  let ran: string;
  beforeEach(async () => {
    site = await makeRunSite();
    ran = join(site.root, 'ran');
  });

  /** Runs until the failure, as a process that dies by it. */
  async function attempt(failure: Failure | undefined, end: string, onFailure: FailurePolicy): Promise<FailingDisk> {
    const failing = new FailingDisk(failure);
    const world = { disk: failing.disk, identity: mortal };
    try {
      await runScript(site, `${CHANGES}; touch ${ran}; ${end}`, { world, onFailure });
    } catch (error) {
      if (!(error instanceof Killed) && !isKbError(error)) throw error;
    }
    return failing;
  }

  /** Nothing wrong in the repositories, nothing left over, people's edits as they were, the run's work somewhere. */
  function problemsAt(label: string, before: string): string[] {
    const problems: string[] = [];
    const must = (what: string, found: unknown, wanted: unknown): void => {
      if (JSON.stringify(found) !== JSON.stringify(wanted))
        problems.push(`${label}: ${what}: ${JSON.stringify(found)}`);
    };
    try {
      expectSound(site.kb);
      expectSound(site.remote);
    } catch (error) {
      problems.push(`${label}: ${String(error)}`);
    }
    must('left', leftByRun(site), []);
    const found = readdirSync(site.kb, { recursive: true, encoding: 'utf8' });
    const left = found.filter((path) => path.includes('.kb_tmp_') || path.startsWith('.git/kb/inside/'));
    must('temporary files and locks', left, []);
    must("people's draft", readFileSync(join(site.kb, 'draft.md'), 'utf8'), 'draft\n');
    if (!existsSync(ran)) {
      must('what people see', stateOf(site), before);
      return problems;
    }
    const places = ['HEAD', 'origin/main', ...refsUnder(site, 'refs/kb/stash')];
    git(site.kb, ['fetch', '-q']);
    for (const [path, content] of [
      ['a/b/new.md', 'new\n'],
      ['becomes-folder/in.md', 'in\n'],
    ] as const) {
      const file = join(site.kb, path);
      const found =
        (existsSync(file) && readFileSync(file, 'utf8') === content) ||
        places.some((place) => git(site.kb, ['show', `${place}:${path}`], { allowFailure: true }) === content);
      if (!found) problems.push(`${label}: the run's ${path} is lost`);
    }
    return problems;
  }

  async function reset(): Promise<string> {
    site = await makeRunSite();
    rmSync(ran, { force: true });
    makeDirty(site);
    return stateOf(site);
  }

  it.each<[string, string, FailurePolicy]>([
    ['whose command ends well', 'true', 'stash'],
    ['whose command fails', 'exit 1', 'stash'],
    ['that is to keep nothing of a failure', 'true', 'discard'],
  ])('%s: the next command mends it, at whatever step', async (_, end, policy) => {
    const before = await reset();
    const { changes } = await attempt(undefined, end, policy);
    const points = pointsOf(changes, 1 + (end.length % STRIDE), STRIDE);
    const problems = await problemsOfAll(
      points.map((at) => async () => {
        await reset();
        const { failedCall } = await attempt({ kind: 'kill', at, torn: at % 2 === 0 }, end, policy);
        await recover(site);
        return problemsAt(`${failedCall.replaceAll(site.root, '')} (kill at ${at})`, before);
      }),
    );
    expect(problems).toEqual([]);
  });

  it('is mended also when the mending is killed, at whatever step', async () => {
    /** Kills right before the command's changes are looked at. */
    const killed = async (): Promise<string> => {
      const dirty = await reset();
      let [all, child] = [0, 0];
      const counting = new FailingDisk();
      await runScript(site, CHANGES, {
        world: { disk: counting.disk, identity: mortal },
        onChild: (runs) => (runs ? 0 : (child = counting.changes)),
      });
      all = counting.changes;
      expect(all).toBeGreaterThan(child);
      await reset();
      await attempt({ kind: 'kill', at: child + 1 }, 'true', 'stash');
      return dirty;
    };
    await killed();
    const counting = new FailingDisk();
    expect(await recover(site, counting.disk)).toHaveLength(1);
    const points = pointsOf(counting.changes, 2, Math.ceil(STRIDE / 2));
    const problems = await problemsOfAll(
      points.map((at) => async () => {
        const dirty = await killed();
        const failing = new FailingDisk({ kind: 'kill', at, torn: at % 2 === 1 });
        await recover(site, failing.disk, { identity: mortal }).catch(() => undefined);
        await recover(site);
        return problemsAt(`${failing.failedCall.replaceAll(site.root, '')} (second kill at ${at})`, dirty);
      }),
    );
    expect(problems).toEqual([]);
  });

  it('the lock that the dead one held inside of its run goes away whole, also when the sweep is killed', async () => {
    const makeDead = async (): Promise<string> => {
      await reset();
      const inside = join(site.kb, '.git/kb/inside/1');
      mkdirSync(inside, { recursive: true });
      const dying = new FailingDisk();
      await withLock({ directory: inside, operation: 'run', timeoutMs: 0 }, async () => dying.kill(), {
        disk: dying.disk,
        identity: mortal,
      }).catch(() => undefined);
      expect(existsSync(join(inside, '.kb_operations.lock/owner.json'))).toBe(true);
      return inside;
    };
    await makeDead();
    const counting = new FailingDisk();
    await withKb(worldOf(site, { disk: counting.disk }), async (kb) => Promise.resolve(sweepInside(kb)));
    expect(counting.changes).toBeGreaterThan(3);
    for (let at = 1; at <= counting.changes; at += 1) {
      const inside = await makeDead();
      const failing = new FailingDisk({ kind: 'kill', at });
      await withKb(worldOf(site, { disk: failing.disk }), async (kb) => Promise.resolve(sweepInside(kb))).catch(
        () => undefined,
      );
      await syncOnce(worldOf(site));
      expect(readdirSync(join(inside, '..')), failing.failedCall).toEqual([]);
    }
  });

  /** A run that is killed between the end of its command and the look at its changes. */
  async function killAfterCommand(script: string, onFailure: FailurePolicy = 'stash'): Promise<void> {
    let isOver = false;
    const disk = new Proxy(nodeDisk, {
      get: (target, name: keyof Disk) => {
        if (isOver) throw new Killed();
        return target[name] as unknown;
      },
    });
    const onChild = (runs: boolean): void => void (isOver = !runs);
    await runScript(site, script, { world: { disk, identity: mortal }, onChild, onFailure }).catch((error: unknown) => {
      if (!(error instanceof Killed)) throw error;
    });
    expect(git(site.kb, ['status', '--porcelain'])).not.toBe('');
  }

  it.each<FailurePolicy>(['stash', 'discard', 'keep'])(
    'is told to the user, and its changes stay in the files with what people did since, whatever its policy: %s',
    async (policy) => {
      await killAfterCommand('echo x > x.md', policy);
      write(site.kb, { 'since.md': 'written since\n' });
      const [told = ''] = await recover(site);
      expect(told).toMatch(/^kb run of sh, started \S+, was interrupted; its changes are left in the files$/);
      expect(refsUnder(site, 'refs/kb/stash')).toEqual([]);
      expect(leftByRun(site)).toEqual([]);
      await syncOnce(worldOf(site));
      expect(git(site.remote, ['show', 'main:x.md'])).toBe('x\n');
      expect(git(site.remote, ['show', 'main:since.md'])).toBe('written since\n');
      expectNativeGitAgrees(site.kb, site.remote);
      expect(await recover(site)).toEqual([]);
    },
  );

  it('is given up on another branch: its changes stay in the files', async () => {
    await killAfterCommand('echo x > x.md');
    git(site.kb, ['switch', '-qc', 'other']);
    expect(await recover(site)).toEqual([expect.stringContaining('on another branch')]);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('?? x.md\n');
    expect(leftByRun(site)).toEqual([]);
  });

  it('waits until native git has finished what it is in the middle of', async () => {
    await killAfterCommand('echo x > x.md');
    writeFileSync(join(site.kb, '.git/MERGE_HEAD'), git(site.kb, ['rev-parse', 'HEAD']));
    await expect(recover(site)).rejects.toMatchObject({ code: 'E_UNSAFE_STATE' });
    rmSync(join(site.kb, '.git/MERGE_HEAD'));
    expect(await recover(site)).toHaveLength(1);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('?? x.md\n');
  });

  it.each([
    ['of another form', '{"version":2}'],
    ['that is damaged', '{'],
    ['that names a branch for its stash', undefined],
  ])('a journal %s is passed over', async (_, content) => {
    await killAfterCommand('echo x > x.md');
    const [name = ''] = readdirSync(join(site.kb, '.git/kb')).filter((one) => one.startsWith('run-'));
    const file = join(site.kb, '.git/kb', name);
    const own = JSON.parse(nodeDisk.readFileSync(file, 'utf8')) as object;
    writeFileSync(file, content ?? JSON.stringify({ ...own, stash: 'refs/heads/main' }));
    expect(await recover(site)).toEqual([]);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('?? x.md\n');
  });

  it('one inside of another is told of as well', async () => {
    // The outer run dies after its command, in which another one died in the same way.
    let isOver = false;
    const disk = new Proxy(nodeDisk, {
      get: (target, name: keyof Disk) => {
        if (isOver) throw new Killed();
        return target[name] as unknown;
      },
    });
    const waiting = `echo outer > outer.md; echo $KB_LOCK_TOKEN > ${site.root}/token; for i in $(seq 1000); do [ -e ${site.root}/go ] && break; sleep 0.02; done`;
    const onChild = (runs: boolean): void => void (isOver = !runs);
    const outer = runScript(site, waiting, { world: { disk, identity: mortal }, onChild }).catch(() => undefined);
    await expect.poll(() => existsSync(join(site.root, 'token')), { timeout: 10_000 }).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const token = nodeDisk.readFileSync(join(site.root, 'token'), 'utf8').trim();
    let isInnerOver = false;
    const innerDisk = new Proxy(nodeDisk, {
      get: (target, name: keyof Disk) => {
        if (isInnerOver) throw new Killed();
        return target[name] as unknown;
      },
    });
    const world = { disk: innerDisk, identity: mortal };
    const over = (runs: boolean): void => void (isInnerOver = !runs);
    await runScript(site, 'echo inner > inner.md', { world, env: { KB_LOCK_TOKEN: token }, onChild: over }).catch(
      () => undefined,
    );
    writeFileSync(join(site.root, 'go'), '');
    await outer;
    expect(readdirSync(join(site.kb, '.git/kb')).filter((name) => name.startsWith('run-'))).toHaveLength(2);
    expect(await recover(site)).toHaveLength(2);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('?? inner.md\n?? outer.md\n');
    expect(leftByRun(site)).toEqual([]);
  });

  it('a full disk at any step loses nothing', async () => {
    const before = await reset();
    const { changes } = await attempt(undefined, 'true', 'stash');
    const points = pointsOf(changes, 3, 2 * STRIDE);
    const problems = await problemsOfAll(
      points.map((at) => async () => {
        await reset();
        const { failedCall } = await attempt({ kind: 'full', at }, 'true', 'stash');
        await recover(site);
        return problemsAt(`${failedCall.replaceAll(site.root, '')} (full at ${at})`, before);
      }),
    );
    expect(problems).toEqual([]);
  });
});
