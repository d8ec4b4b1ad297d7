import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.js';
import { readQueue, type QueueItem } from '../../src/kb/queue-status.js';
import { parsePushRecords } from '../../src/kb/push-record.js';
import type { Report } from '../../src/kb/surroundings.js';
import { expectSound } from '../support/agree.js';
import { hasGitHttpBackend, installHook } from '../support/http-backend.js';
import { git } from '../support/native-git.js';
import {
  addTo,
  appendTo,
  DIARY,
  errorOf,
  expectSettled,
  fromElsewhere,
  historyOf,
  holdLock,
  isPush,
  lineOf,
  lineUp,
  makeSite,
  mortal,
  outcomeOf,
  pushesOf,
  queueOf,
  readKb,
  serveSites,
  syncAt,
  timesOnRemote,
  until,
  valueOf,
  withSite,
  writeFiles,
  type QueueSite,
  type Writer,
} from '../support/queue-site.js';

/** A note whose commit is called like it. */
function named(text: string): { text: string; message: string } {
  return { text, message: text };
}

describe.skipIf(!hasGitHttpBackend())('notes that wait for the lock (need native git with http-backend)', () => {
  const at = serveSites();

  it('go out in one push, each as a commit of its own author, in the order in which they came', async () => {
    const { site, server } = at;
    const names = Array.from({ length: 20 }, (_, number) => `Writer${String(number + 10)}`);
    const isAppend = (name: string): boolean => name.endsWith('3');
    const holding = await holdLock(site);
    const outcomes = await lineUp(
      site,
      names.map((name) => () => {
        const note = isAppend(name) ? appendTo('diary.md', `of ${name}.`) : { text: `of ${name}.` };
        return addTo(site, { ...note, message: `by ${name}` }, { author: name });
      }),
    );
    await holding.release();
    const results = (await Promise.all(outcomes)).map(valueOf);
    expect(pushesOf(server)).toBe(1);
    expect(historyOf(site.remote)).toEqual(names.map((name) => `${name}: by ${name}`));
    expect(results.map(({ landed, batch }) => [landed, batch])).toEqual(names.map(() => [true, 20]));
    const commits = git(site.remote, ['rev-list', '--reverse', 'main']).trim().split('\n').slice(1);
    expect(results.map(({ commit }) => commit)).toEqual(commits);
    for (const name of names) expect(timesOnRemote(site, `of ${name}.`)).toBe(1);
    expect(readKb(site, 'diary.md')).toBe(`${DIARY}- 03:04 of Writer13.\n- 03:04 of Writer23.\n`);
    expectSettled(site);
  });

  it('are written down before they are pushed, and nothing of that is left afterwards', async () => {
    const { site, server } = at;
    const seen: [number, number, string[]][] = [];
    server.faults = (request) => {
      const { waiting, claimed, plans } = queueOf(site).look();
      const targets = plans.flatMap((holder) =>
        parsePushRecords(queueOf(site).readPlan(holder) ?? Buffer.alloc(0)).map(({ to }) => to as string),
      );
      if (isPush(request)) seen.push([waiting.length, claimed.length, targets]);
      return undefined;
    };
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [() => addTo(site, 'note 1.'), () => addTo(site, 'note 2.')]);
    await holding.release();
    const [, last] = (await Promise.all(outcomes)).map(valueOf);
    expect(seen).toEqual([[0, 2, [last?.commit]]]);
    expectSettled(site);
  });

  it('that come while the holder asks the remote ride with it', async () => {
    const { site, server } = at;
    server.latencyMs = 1000;
    const leader = outcomeOf(addTo(site, 'the holder’s own.'));
    await until(() => server.requests.length > 0, 'the holder has asked');
    const riders = await lineUp(site, [() => addTo(site, 'rider 1.'), () => addTo(site, 'rider 2.')]);
    const results = (await Promise.all([leader, ...riders])).map(valueOf);
    expect(results.map(({ batch }) => batch)).toEqual([3, 3, 3]);
    expect(pushesOf(server)).toBe(1);
    expectSettled(site);
  });

  it('of 30 calls at once in one process go out in a few pushes', async () => {
    const { site, server } = at;
    const texts = Array.from({ length: 30 }, (_, number) => `note ${String(number + 10)}.`);
    const results = await Promise.all(texts.map((text) => addTo(site, text)));
    expect(results.every(({ landed }) => landed)).toBe(true);
    expect(pushesOf(server)).toBeLessThan(texts.length / 2);
    expect(historyOf(site.remote)).toHaveLength(texts.length);
    for (const text of texts) expect(timesOnRemote(site, text)).toBe(1);
    expectSettled(site);
  });

  it('see their place, how it changes, and when they would give up; so does everybody in the status', async () => {
    const { site, server } = at;
    const reports: [number, number][] = [];
    const report = (event: Report): void => {
      if (event.kind === 'waiting') reports.push([event.place, event.givesUpInMs]);
    };
    const first = new AbortController();
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [
      () => addTo(site, 'first.', { over: { signal: first.signal } }),
      () => addTo(site, 'second.', { over: { report }, flags: { lockTimeout: '90s' } }),
    ]);
    const turn = syncAt(site, { over: fromElsewhere(site) });
    await lineOf(site, 3);
    const queue = (): Promise<QueueItem[]> => withSite(site, {}, (kb) => Promise.resolve(readQueue(kb)));
    const who = expect.stringMatching(/^\S+@\S+ pid \d+$/) as string;
    const since = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string;
    expect(await queue()).toEqual([
      { place: 1, who, operation: 'note', since, state: 'entry' },
      { place: 2, who, operation: 'note', since, state: 'entry' },
      { place: 3, who, operation: 'sync', since, state: 'turn' },
    ]);
    await until(() => reports.length > 0, 'the second is told its place');
    expect(reports[0]?.[0]).toBe(2);
    first.abort();
    await until(() => reports.at(-1)?.[0] === 1, 'the second is told that it is the first by now');
    for (const [, givesUpInMs] of reports) {
      expect(givesUpInMs).toBeGreaterThan(0);
      expect(givesUpInMs).toBeLessThanOrEqual(90_000);
    }
    const claimed: QueueItem[][] = [];
    const kbOpen = await withSite(site, {}, (kb) => Promise.resolve(kb));
    server.faults = (request) => {
      if (isPush(request)) claimed.push(readQueue(kbOpen));
      return undefined;
    };
    await holding.release();
    expect(errorOf(await (outcomes[0] as (typeof outcomes)[0])).code).toBe('E_INTERRUPTED');
    valueOf(await (outcomes[1] as (typeof outcomes)[0]));
    await turn;
    expect(claimed[0]).toEqual([
      { place: 1, who, operation: 'note', since, state: 'claimed' },
      { place: 2, who, operation: 'sync', since, state: 'turn' },
    ]);
    expect(await queue()).toEqual([]);
    expectSettled(site);
  });

  it('do not overtake a sync that came before them, but ride with it', async () => {
    const { site, server } = at;
    writeFiles(site.kb, { 'local.md': 'local\n' });
    const holding = await holdLock(site);
    const [before] = await lineUp(site, [() => addTo(site, named('before'))]);
    const turn = syncAt(site, { over: fromElsewhere(site) }, { message: 'local edit' });
    await lineOf(site, 2);
    const after = await lineUp(site, [() => addTo(site, named('after 1')), () => addTo(site, named('after 2'))]);
    await holding.release();
    const results = (await Promise.all([before, ...after])).map((outcome) =>
      valueOf(outcome as NonNullable<typeof outcome>),
    );
    expect(results.map(({ batch }) => batch)).toEqual([1, 2, 2]);
    expect(await turn).toMatchObject({ result: 'pushed', pushed: 3 });
    expect(historyOf(site.remote)).toEqual(['Ann: before', 'Ann: local edit', 'Ann: after 1', 'Ann: after 2']);
    expect(pushesOf(server)).toBe(2);
    expectSettled(site);
  });

  it('ride with a sync that commits an edit of the very file that they add to', async () => {
    const { site, server } = at;
    const edited = DIARY.replace('first', 'FIRST');
    writeFiles(site.kb, { 'diary.md': edited });
    const holding = await holdLock(site);
    const turn = syncAt(site, { over: fromElsewhere(site) });
    await lineOf(site, 1);
    const outcomes = await lineUp(site, [() => addTo(site, appendTo('diary.md', 'added.'))]);
    await holding.release();
    for (const outcome of outcomes) expect(valueOf(await outcome)).toMatchObject({ landed: true });
    expect(await turn).toMatchObject({ pushed: 2 });
    expect(readKb(site, 'diary.md')).toBe(`${edited}- 03:04 added.\n`);
    expect(pushesOf(server)).toBe(1);
    expectSettled(site);
  });

  it('are not taken along by a sync that only pulls', async () => {
    const { site } = at;
    const holding = await holdLock(site);
    const turn = syncAt(site, { over: fromElsewhere(site) }, { direction: 'pull' });
    await lineOf(site, 1);
    const outcomes = await lineUp(site, [() => addTo(site, 'a note.')]);
    await holding.release();
    expect(await turn).toMatchObject({ pushed: 0 });
    for (const outcome of outcomes) expect(valueOf(await outcome)).toMatchObject({ landed: true, batch: 1 });
    expectSettled(site);
  });

  it('land although their writer was killed while it waited', async () => {
    const { site } = at;
    const dying = mortal();
    const holding = await holdLock(site);
    const outcomes = await lineUp(site, [
      () => dying.run(() => addTo(site, 'of the dead.', { over: dying.over })),
      () => addTo(site, 'of the living.'),
    ]);
    dying.kill();
    await outcomes[0];
    await holding.release();
    expect(valueOf(await (outcomes[1] as (typeof outcomes)[0]))).toMatchObject({ landed: true, batch: 2 });
    expect([timesOnRemote(site, 'of the dead.'), timesOnRemote(site, 'of the living.')]).toEqual([1, 1]);
    expectSettled(site);
  });

  it('too large for the queue wait for the lock itself', async () => {
    const { site } = at;
    const holding = await holdLock(site);
    const large = outcomeOf(
      addTo(site, { text: `large.\n${'x'.repeat(5 * 1024 * 1024)}` }, { over: fromElsewhere(site) }),
    );
    await lineOf(site, 1);
    const small = await lineUp(site, [() => addTo(site, 'small.')]);
    expect(queueOf(site).look().waiting).toHaveLength(1);
    await holding.release();
    for (const outcome of [large, ...small]) expect(valueOf(await outcome)).toMatchObject({ landed: true });
    expectSettled(site);
  });

  it('leave no acks behind for ever in a process that goes on living', async () => {
    const { site } = at;
    const left: number[] = [];
    for (let round = 1; round <= 3; round += 1) {
      const holding = await holdLock(site);
      const outcomes = await lineUp(site, [() => addTo(site, 'a note.'), () => addTo(site, 'another note.')]);
      await holding.release();
      for (const outcome of outcomes) valueOf(await outcome);
      left.push(queueOf(site).look().acks.length);
    }
    expect(left[2]).toBe(left[1]);
  });
});

describe.skipIf(!hasGitHttpBackend())('one bad note among others (needs native git with http-backend)', () => {
  const at = serveSites();
  /** Changes the one entry that was queued last. */
  const rewriteLast = (site: QueueSite, change: (data: string) => string): void => {
    const file = queueOf(site).look().waiting.at(-1)?.file ?? '';
    writeFileSync(file, change(readFileSync(file, 'utf8')));
  };

  interface Bad {
    readonly what: string;
    readonly note: Parameters<typeof addTo>[1];
    readonly code: ErrorCode;
    /** Once it stands in the queue. */
    readonly spoil?: (site: QueueSite) => void;
    readonly clean?: (site: QueueSite) => void;
  }
  const bad: Bad[] = [
    { what: 'an append to a note that is not there', note: appendTo('missing.md', 'bad.'), code: 'E_USAGE' },
    {
      what: 'a replacement of a blob that is another by now',
      note: { text: 'bad.', target: { kind: 'replace', path: 'diary.md', ifMatch: '0000000' } },
      code: 'E_CONFLICT',
    },
    {
      what: 'a path that leads out',
      note: { text: 'bad.', target: { kind: 'new', path: '../bad.md' } },
      code: 'E_USAGE',
    },
    {
      what: 'a note where an uncommitted edit is in the way',
      note: appendTo('inbox/one.md', 'bad.'),
      code: 'E_UNSAFE_STATE',
      spoil: (site) => writeFiles(site.kb, { 'inbox/one.md': 'edited\n' }),
      clean: (site) => writeFiles(site.kb, { 'inbox/one.md': 'one\n' }),
    },
    {
      what: 'an entry that was damaged on disk',
      note: { text: 'bad.' },
      code: 'E_UNSAFE_STATE',
      spoil: (site) => rewriteLast(site, (data) => data.slice(1)),
    },
  ];

  describe.each([0, 1])('at place %i in line', (place) => {
    it.each(bad)('$what fails alone', async ({ note, code, spoil, clean }) => {
      const { site, server } = at;
      const calls = [named('good 1'), named('good 2'), named('good 3')].map((good) => () => addTo(site, good));
      calls.splice(place, 0, () => addTo(site, note));
      const holding = await holdLock(site);
      const outcomes = await lineUp(site, calls.slice(0, place + 1));
      spoil?.(site);
      outcomes.push(...(await lineUp(site, calls.slice(place + 1))));
      await holding.release();
      const settled = await Promise.all(outcomes);
      const [failed] = settled.splice(place, 1);
      expect(errorOf(failed as NonNullable<typeof failed>).code).toBe(code);
      expect(settled.map((outcome) => valueOf(outcome).batch)).toEqual([3, 3, 3]);
      expect(historyOf(site.remote)).toEqual(['Ann: good 1', 'Ann: good 2', 'Ann: good 3']);
      expect(timesOnRemote(site, 'bad.')).toBe(0);
      expect(pushesOf(server)).toBe(1);
      clean?.(site);
      expectSettled(site);
    });
  });
});

describe.skipIf(!hasGitHttpBackend())('a note that could never be written (needs native git with http-backend)', () => {
  const at = serveSites();

  it.each(['alone', 'in the queue'])('is refused before anything happens, %s', async (where) => {
    const { site } = at;
    const call = (): Promise<unknown> => addTo(site, { text: 'a note.', message: 'a\0b' });
    const holding = where === 'alone' ? undefined : await holdLock(site);
    const [outcome] = holding === undefined ? [outcomeOf(call())] : await lineUp(site, [call]);
    await holding?.release();
    expect(errorOf(await (outcome as NonNullable<typeof outcome>)).code).toBe('E_USAGE');
  });
});

const HOOKS = {
  'pre-receive': `while read old new ref; do
    if git ls-tree -r --name-only "$new" | grep -q '^forbidden'; then echo 'a forbidden name' >&2; exit 1; fi
  done`,
  update: `if git ls-tree -r --name-only "$3" | grep -q '^forbidden'; then echo 'a forbidden name' >&2; exit 1; fi`,
} as const;

const FORBIDDEN = { text: 'bad.', message: 'bad', target: { kind: 'new', path: 'forbidden.md' } } as const;

/** Lets the notes wait in this order, and gives what became of each. */
async function runTogether(
  site: QueueSite,
  notes: readonly Parameters<typeof addTo>[1][],
  writer: Writer = {},
): Promise<PromiseSettledResult<unknown>[]> {
  const holding = await holdLock(site);
  const outcomes = await lineUp(
    site,
    notes.map((note) => () => addTo(site, note, writer)),
  );
  await holding.release();
  return Promise.all(outcomes);
}

describe.skipIf(!hasGitHttpBackend())('a batch that the remote refuses (needs native git with http-backend)', () => {
  const at = serveSites();

  describe.each(['pre-receive', 'update'] as const)('by its %s hook', (hook) => {
    beforeEach(() => installHook(at.site.remote, hook, HOOKS[hook]));

    it.each([
      ['the holder’s own note', 0],
      ['one in the middle', 2],
      ['the last one', 4],
    ])('is taken apart: %s fails alone, the others land in their order', async (_which, place) => {
      const { site, server } = at;
      const notes: Parameters<typeof addTo>[1][] = [1, 2, 3, 4].map((number) => named(`good ${number}`));
      notes.splice(place, 0, FORBIDDEN);
      const outcomes = await runTogether(site, notes);
      const [failed] = outcomes.splice(place, 1);
      const error = errorOf(failed as NonNullable<typeof failed>);
      expect([error.code, error.exitCode]).toEqual(['E_REFUSED', 14]);
      outcomes.forEach(valueOf);
      expect(historyOf(site.remote)).toEqual([1, 2, 3, 4].map((number) => `Ann: good ${number}`));
      expect(pushesOf(server)).toBeLessThanOrEqual(8);
      expectSettled(site);
    });
  });

  it('is taken apart where several are bad', async () => {
    const { site } = at;
    installHook(site.remote, 'pre-receive', HOOKS['pre-receive']);
    const worse = { ...FORBIDDEN, target: { kind: 'new', path: 'forbidden-too.md' } } as const;
    const outcomes = await runTogether(site, [FORBIDDEN, named('good 1'), worse, named('good 2')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
    expect(historyOf(site.remote)).toEqual(['Ann: good 1', 'Ann: good 2']);
    expectSettled(site);
  });

  it('of one note that had waited fails, and nothing stays in the queue', async () => {
    const { site } = at;
    installHook(site.remote, 'pre-receive', 'exit 1');
    const [outcome] = await runTogether(site, [named('one')]);
    expect(errorOf(outcome as NonNullable<typeof outcome>).code).toBe('E_REFUSED');
    expectSettled(site);
  });

  it('fails as a whole where all are bad, and nothing stays in the queue', async () => {
    const { site } = at;
    installHook(site.remote, 'pre-receive', 'exit 1');
    const outcomes = await runTogether(site, [named('one'), named('two'), named('three')]);
    expect(outcomes.map((outcome) => errorOf(outcome).code)).toEqual(['E_REFUSED', 'E_REFUSED', 'E_REFUSED']);
    expect(historyOf(site.remote)).toEqual([]);
    expectSettled(site);
  });

  describe('and that rides with a sync', () => {
    async function runWithSync(notes: readonly Parameters<typeof addTo>[1][]): Promise<{
      sync: PromiseSettledResult<unknown>;
      notes: PromiseSettledResult<unknown>[];
    }> {
      const { site } = at;
      installHook(site.remote, 'pre-receive', HOOKS['pre-receive']);
      const holding = await holdLock(site);
      const turn = outcomeOf(syncAt(site, { over: fromElsewhere(site) }, { message: 'local edit' }));
      await lineOf(site, 1);
      const outcomes = await lineUp(
        site,
        notes.map((note) => () => addTo(site, note)),
      );
      await holding.release();
      return { sync: await turn, notes: await Promise.all(outcomes) };
    }

    it('goes out without the sync’s own commit, if that is the bad one', async () => {
      const { site } = at;
      writeFiles(site.kb, { 'forbidden.md': 'local\n' });
      const outcomes = await runWithSync([named('good 1'), named('good 2')]);
      expect(errorOf(outcomes.sync).code).toBe('E_REFUSED');
      outcomes.notes.forEach(valueOf);
      expect(historyOf(site.remote)).toEqual(['Ann: good 1', 'Ann: good 2']);
      expect(git(site.kb, ['status', '--porcelain'])).toBe('?? forbidden.md\n');
      expect(readKb(site, 'forbidden.md')).toBe('local\n');
      expectSound(site.kb);
      expect(queueOf(site).look()).toMatchObject({ waiting: [], claimed: [], plans: [] });
    });

    it('does not keep the sync’s own commit from landing, if a note is the bad one', async () => {
      const { site } = at;
      writeFiles(site.kb, { 'local.md': 'local\n' });
      const outcomes = await runWithSync([named('good 1'), FORBIDDEN, named('good 2')]);
      expect(valueOf(outcomes.sync)).toMatchObject({ result: 'pushed', pushed: 1 });
      expect(outcomes.notes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(historyOf(site.remote)).toEqual(['Ann: local edit', 'Ann: good 1', 'Ann: good 2']);
      expectSettled(site);
    });

    it('fails alone where the sync has nothing of its own', async () => {
      const { site } = at;
      const outcomes = await runWithSync([FORBIDDEN]);
      expect(errorOf(outcomes.notes[0] as PromiseSettledResult<unknown>).code).toBe('E_REFUSED');
      expect(valueOf(outcomes.sync)).toMatchObject({ result: 'up_to_date' });
      expectSettled(site);
    });
  });

  it('is taken apart on a remote that is a path as well', async () => {
    const site = await makeSite();
    installHook(site.remote, 'pre-receive', HOOKS['pre-receive']);
    const outcomes = await runTogether(site, [named('good 1'), FORBIDDEN, named('good 2')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(historyOf(site.remote)).toEqual(['Ann: good 1', 'Ann: good 2']);
    expectSettled(site);
  });
});

describe.skipIf(!hasGitHttpBackend())('a batch that loses the race (needs native git with http-backend)', () => {
  const at = serveSites();

  it('is made again upon what came in: appends stay appends, and each is there once', async () => {
    const { site, server } = at;
    const other = join(site.root, 'other');
    git(site.root, ['clone', '-q', site.remote, other]);
    writeFiles(other, { 'diary.md': `${DIARY}- 03:04 from elsewhere.\n` });
    git(other, ['commit', '-q', '-a', '-m', 'elsewhere']);
    server.faults = (request) => {
      if (isPush(request) && pushesOf(server) === 1) git(other, ['push', '-q', 'origin', 'HEAD:main']);
      return undefined;
    };
    const outcomes = await runTogether(site, [
      appendTo('diary.md', 'append 1.'),
      named('a new note.'),
      appendTo('diary.md', 'append 2.'),
    ]);
    outcomes.forEach(valueOf);
    expect(pushesOf(server)).toBe(2);
    expect(readKb(site, 'diary.md')).toBe(`${DIARY}- 03:04 from elsewhere.\n- 03:04 append 1.\n- 03:04 append 2.\n`);
    expect(historyOf(site.remote)).toHaveLength(4);
    expect(git(site.remote, ['log', '--merges', '--format=%h', 'main'])).toBe('');
    expectSettled(site);
  });

  it('lets each note meet what came in by itself: one may fail by it', async () => {
    const { site, server } = at;
    const other = join(site.root, 'other');
    git(site.root, ['clone', '-q', site.remote, other]);
    git(other, ['rm', '-q', 'inbox/one.md']);
    git(other, ['commit', '-q', '-m', 'elsewhere']);
    server.faults = (request) => {
      if (isPush(request) && pushesOf(server) === 1) git(other, ['push', '-q', 'origin', 'HEAD:main']);
      return undefined;
    };
    const outcomes = await runTogether(site, [named('one'), appendTo('inbox/one.md', 'bad.'), named('two')]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(errorOf(outcomes[1] as PromiseSettledResult<unknown>).code).toBe('E_USAGE');
    expect(readdirSync(site.kb).includes('inbox')).toBe(false);
    expectSettled(site);
  });
});
