import { watch } from 'node:fs';
import type { GitServer } from './git-server.js';
import type { Arena } from './knowledge-base.js';
import { BEHIND_RUN_REQUESTS, type CONTENTION } from './limits.js';
import { finished, interleave, median, timed, type Program } from './measure.js';
import type { Row } from './results.js';

/** isomorphic-git has no lock to wait for. */
type Contestant = 'native' | 'kb';

const WRITERS = 32;
const NOTES_EACH = 4;
/** Its appearing in the clone says that the lock is held; see docs/locking.md. */
const LOCK = '.kb_operations.lock';

/**
 * Many writers on one clone, each with its notes one after the other: what a note costs when all of them want the
 * lock at once.
 * @param rounds how often; the medians are taken. A small round without latency comes first and does not count.
 * @returns notes a second, and requests a note
 * @throws Error when a writer fails, or a note did not land exactly once
 */
export async function measureContention(
  arena: Arena,
  server: GitServer,
  rounds: number,
  { latencyMs, speed, requests }: (typeof CONTENTION)[number],
): Promise<[Row, Row]> {
  const requestsANote: Record<Contestant, number[]> = { native: [], kb: [] };
  const contend = (whose: Contestant, note: () => Program) => {
    return async (round: number): Promise<number> => {
      const notesEach = round === 0 ? 1 : NOTES_EACH;
      await server.setLatency(round === 0 ? 0 : latencyMs);
      const started = performance.now();
      await all(many(() => writeInTurn(note, notesEach)));
      const seconds = (performance.now() - started) / 1000;
      const traffic = await server.traffic();
      if (round > 0) requestsANote[whose].push(traffic.requests / (WRITERS * notesEach));
      return (WRITERS * notesEach) / seconds;
    };
  };
  const notesASecond = await interleave(rounds, {
    native: contend('native', () => arena.nativeCycle('git pull -q --rebase')),
    kb: contend('kb', () => arena.kbCycle()),
  });
  await server.setLatency(0);
  arena.check();

  const scenario = `contention, ${WRITERS} × ${NOTES_EACH} notes, +${latencyMs} ms`;
  const medians = (samples: Record<Contestant, number[]>) => {
    return { scenario, files: arena.files, native: median(samples.native), kb: median(samples.kb), samples };
  };
  const speeds = medians(notesASecond);
  return [
    { ...speeds, unit: 'notes/s', ratio: speeds.kb / speeds.native, limit: speed },
    { ...medians(requestsANote), unit: 'requests/note', limit: requests },
  ];
}

/**
 * Notes that come while a command of `kb run` holds the lock wait for it together, and go out together.
 * @returns the requests of the run and all notes; and the sizes of the notes' batches: several where the machine
 *   could not start all of them while the command ran, which then costs more requests
 * @throws Error when one of them fails, or a note did not land exactly once
 */
export async function measureBehindRun(arena: Arena, server: GitServer): Promise<{ row: Row; batchSizes: number[] }> {
  const command = ['sleep', '2'];
  // After these V8's work is kept, as it is for everybody but the very first caller.
  timed(arena.kbRun(['true']));
  timed(arena.kbCycle('--json'));

  await server.traffic();
  await all([finished(arena.nativeLocked(command)), ...many(() => finished(arena.nativeCycle()))]);
  const native = (await server.traffic()).requests;

  const watcher = watch(arena.clone('kb'));
  const isLocked = new Promise<void>((resolve) => {
    watcher.on('change', (_, name) => name === LOCK && resolve());
  });
  const run = finished(arena.kbRun(command));
  const endsEarly = run.then(() => Promise.reject(new Error('kb run ended, and its lock was never seen')));
  await Promise.race([isLocked, endsEarly]).finally(() => watcher.close());
  const notes = many(() => finished(arena.kbCycle('--json')));
  await all([run, ...notes]);
  const kb = (await server.traffic()).requests;
  arena.check();

  const batches = (await all(notes)).map((receipt) => (JSON.parse(receipt) as { batch: number }).batch);
  const batchSizes = [...new Set(batches)];
  const limit = { most: BEHIND_RUN_REQUESTS, unit: '' } as const;
  const scenario = `${WRITERS} notes behind kb run -- ${command.join(' ')}`;
  return { row: { scenario, files: arena.files, native, kb, unit: 'requests', limit }, batchSizes };
}

async function writeInTurn(note: () => Program, count: number): Promise<void> {
  for (let written = 0; written < count; written += 1) await finished(note());
}

function many<Result>(start: () => Promise<Result>): Promise<Result>[] {
  return Array.from({ length: WRITERS }, () => start());
}

/**
 * Waits for all of them also when one fails: what still runs would disturb what is measured next, and lose its files.
 * @throws what the first that failed threw
 */
async function all<Result>(promises: readonly Promise<Result>[]): Promise<Result[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
