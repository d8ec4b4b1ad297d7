import type { NoteRequest } from '../../src/kb/note.js';
import type { Surroundings } from '../../src/kb/surroundings.js';
import { unlock } from '../../src/kb/unlock.js';
import type { SimulatedProcess } from './crash-processes.js';
import type { Scenario } from './crash-scenarios.js';
import { LINES, note, pushFromElsewhere, setRemoteUrl, startKb, syncOnce, withKb, write } from './crash-site.js';
import type { Stage } from './crash-stage.js';
import { installHook } from './http-backend.js';
import { git } from './native-git.js';

const DIARY: Partial<NoteRequest> = { target: { kind: 'append', path: 'diary.md' } };
const MISSING: Partial<NoteRequest> = { target: { kind: 'append', path: 'there-is-no.md' } };
const FORBIDDEN: Partial<NoteRequest> = { target: { kind: 'new', path: 'forbidden.md' } };

/** Nobody listens there. */
const UNREACHABLE = 'http://127.0.0.1:9/remote.git';

/** A KB in whose queue the notes of three writers lie that were killed while they waited. */
async function leaveThree(stage: Stage, which: readonly Partial<NoteRequest>[], bad?: number): Promise<void> {
  await stage.whileHeld(async () => {
    for (const [at, over] of which.entries()) await stage.leaveEntry(over, at === bad ? 'E_USAGE' : undefined);
  });
}

/**
 * `lead` comes first in line behind a holder who then lets go, living writers right behind it. Whatever becomes of
 * `lead`, every writer is to get its answer.
 */
async function leadThree(
  stage: Stage,
  victim: SimulatedProcess,
  lead: () => Promise<void>,
  which: readonly Partial<NoteRequest>[],
  bad?: number,
): Promise<void> {
  const told: Promise<void>[] = [];
  await stage.whileHeld(async () => {
    told.push(unlessKilled(victim, lead()));
    await stage.untilWaiting(1, victim);
    for (const [at, over] of which.entries()) {
      const writer = stage.start(`writer-${at + 1}`);
      told.push(stage.note(writer, over, at === bad ? 'E_USAGE' : undefined));
      await stage.untilQueued(writer);
    }
  });
  await Promise.all(told);
}

/** A kill, or its disk, ends the victim; whatever else ends it is a problem. */
async function unlessKilled(victim: SimulatedProcess, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!victim.failing.hasFailed && !victim.isKilled) throw error;
  } finally {
    victim.end();
  }
}

/** A holder that was killed at the first change that matters after its push: plan and claims are still there. */
export async function leaveDeadHolder(stage: Stage, when: (call: string) => boolean): Promise<void> {
  const holder = stage.start('dead-holder');
  holder.failing.killWhen = when;
  await stage.note(holder, DIARY);
  if (!holder.isKilled) throw new Error('the holder was to be killed');
}

export const isPush = (call: string): boolean => /^linkSync .*remote\.git\/refs\/heads\/main\.lock$/.test(call);
export const isAck = (call: string): boolean => /^renameSync .*\.acks$/.test(call);

/** Notes that wait while something happens to who brings them out. */
export const QUEUE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'a note, with appends of three dead writers to the same file',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, DIARY, DIARY]);
    },
    act: (stage, victim) => stage.note(victim, DIARY),
  },
  {
    name: 'a note, with new notes of three dead writers, the remote has moved',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [{}, {}, {}]);
      pushFromElsewhere(stage.site, (work) => write(work, { 'diary.md': `${LINES}appended elsewhere\n` }));
    },
    act: (stage, victim) => stage.note(victim),
  },
  {
    name: 'a note, with three of dead writers of which one cannot be written',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, MISSING, {}], 1);
    },
    act: (stage, victim) => stage.note(victim, DIARY),
  },
  {
    name: 'a sync of local edits, with notes of three dead writers',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, {}, DIARY]);
      const token = stage.token();
      stage.ledger.promise(token, 'once'); // it lies in the work tree
      write(stage.site.kb, { 'mine.md': `${token}\n` });
    },
    act: (_stage, { world }) => syncOnce(world),
  },
  {
    name: 'a note, with three living writers right behind it',
    prepare: ({ site }) => startKb(site),
    act: (stage, victim) => leadThree(stage, victim, () => stage.note(victim, DIARY), [DIARY, {}, DIARY]),
  },
  {
    name: 'a note, with three living writers of which one cannot write, and the remote has moved',
    prepare: async ({ site }) => {
      await startKb(site);
      pushFromElsewhere(site, (work) => write(work, { 'diary.md': `${LINES}appended elsewhere\n` }));
    },
    act: (stage, victim) => leadThree(stage, victim, () => stage.note(victim, DIARY), [DIARY, MISSING, {}], 1),
  },
  {
    name: 'a sync of local edits, with three living writers right behind it',
    prepare: ({ site }) => startKb(site),
    act: (stage, victim) => {
      const token = stage.token();
      stage.ledger.promise(token, 'once');
      write(stage.site.kb, { 'mine.md': `${token}\n` });
      return leadThree(stage, victim, () => syncOnce(victim.world), [DIARY, {}, DIARY]);
    },
  },
  {
    name: 'a note that must wait',
    prepare: ({ site }) => startKb(site),
    act: (stage, victim) => waitThenLead(stage, victim, stage.note(victim, DIARY)),
  },
  {
    name: 'a note with a key that must wait, repeated',
    prepare: ({ site }) => startKb(site),
    act: async (stage, victim) => {
      await waitThenLead(stage, victim, stage.note(victim, { ...DIARY, id: 'key-1' }));
    },
    recover: async (stage, by) => {
      const [token = ''] = stage.ledger.tokens;
      stage.ledger.promise(token, 'once');
      await note(by.world, { text: token, ...DIARY, id: 'key-1' });
    },
  },
  {
    name: 'a batch of which the remote refuses one',
    prepare: async (stage) => {
      await startKb(stage.site);
      // Refuses every state that holds the file, as a policy about file names would.
      const script =
        'while read old new ref; do git cat-file -e "$new:forbidden.md" 2>/dev/null && exit 1; done; exit 0';
      installHook(stage.site.remote, 'pre-receive', script);
      await stage.whileHeld(async () => {
        await stage.leaveEntry(DIARY);
        await stage.leaveEntry(FORBIDDEN, 'E_REFUSED');
        await stage.leaveEntry(DIARY);
      });
    },
    act: (stage, victim) => stage.note(victim, DIARY),
  },
  {
    name: 'a batch without the remote',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, {}, DIARY]);
      setRemoteUrl(stage.site, UNREACHABLE);
    },
    act: (stage, victim) => stage.note(victim, DIARY),
    meanwhile: ({ site }) => setRemoteUrl(site, site.remote),
    onlyByPath: true,
  },
  {
    name: 'a batch in a KB that has no remote yet',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, {}, DIARY]);
      git(stage.site.kb, ['config', '--rename-section', 'remote.origin', 'remote.later']);
    },
    act: (stage, victim) => stage.note(victim, DIARY),
    meanwhile: ({ site }) => void git(site.kb, ['config', '--rename-section', 'remote.later', 'remote.origin']),
    onlyByPath: true,
  },
  {
    name: 'a sync of notes that were kept while the remote was away, and the remote has moved',
    prepare: async (stage) => {
      await startKb(stage.site);
      setRemoteUrl(stage.site, UNREACHABLE);
      await stage.note(stage.start('writer-1'), DIARY);
      await stage.note(stage.start('writer-2'));
      setRemoteUrl(stage.site, stage.site.remote);
      pushFromElsewhere(stage.site, (work) => write(work, { 'diary.md': `${LINES}appended elsewhere\n` }));
    },
    act: (_stage, { world }) => syncOnce(world),
  },
  {
    name: 'a note after a holder who was killed with its push landed and a batch in its hands',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, {}, DIARY]);
      await leaveDeadHolder(stage, isAck);
    },
    act: (stage, victim) => stage.note(victim, DIARY),
  },
  {
    name: 'a sync after a holder who was killed right before its push, and another device pushes',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, {}, DIARY]);
      await leaveDeadHolder(stage, isPush);
      pushFromElsewhere(stage.site, (work) => write(work, { 'diary.md': `${LINES}appended elsewhere\n` }));
    },
    act: (_stage, { world }) => syncOnce(world),
    onlyByPath: true, // where the dead holder's marks are
  },
  {
    name: 'unlock after a holder who was killed with a batch in its hands',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, {}, DIARY]);
      await leaveDeadHolder(stage, isAck);
    },
    act: (_stage, { world }) => unlockOnce(world, false),
    onlyByPath: true,
  },
  {
    name: 'unlock by force after a holder who was killed with a batch in its hands',
    prepare: async (stage) => {
      await startKb(stage.site);
      await leaveThree(stage, [DIARY, {}, DIARY]);
      await leaveDeadHolder(stage, isPush);
    },
    act: (_stage, { world }) => unlockOnce(world, true),
    onlyByPath: true,
  },
];

async function unlockOnce(world: Surroundings, force: boolean): Promise<void> {
  await withKb(world, (kb) => unlock(kb, { force }));
}

/** The victim finds the lock held; it is let go once the note is queued. */
async function waitThenLead(stage: Stage, victim: SimulatedProcess, told: Promise<void>): Promise<void> {
  await stage.whileHeld(() => stage.untilQueued(victim));
  await told;
}
