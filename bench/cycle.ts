import type { GitServer } from './git-server.js';
import { attempt } from './isomorphic.js';
import type { Arena } from './knowledge-base.js';
import { LIMITS, PEAK_MEMORY_MB, REQUESTS } from './limits.js';
import { interleave, median, peakMemory, timed } from './measure.js';
import type { PorcelainRow, Row } from './results.js';

/** Where measurements are made: a KB with its clones, the server, and how often each is repeated. */
export interface Ground {
  readonly arena: Arena;
  readonly server: GitServer;
  readonly runs: number;
  /** The name of a repository given by path. */
  readonly repository?: string;
}

const PULLED_FILES = 1000;

/** kb's own share of an unmoved cycle, ms: the wall time of each run without what the server took. */
export type OwnTime = (ms: number) => void;

/** One note, from the start of the process to its end, with the remote as it was or with somebody's commit more. */
export async function measureCycle(
  ground: Ground,
  { moved, latencyMs, onOwnTime }: { moved: boolean; latencyMs: number; onOwnTime?: OwnTime },
): Promise<Row> {
  const { arena, server } = ground;
  const busy: number[] = [];
  const times = await withLatency(ground, latencyMs, () =>
    interleave(ground.runs, {
      native: async () => {
        if (moved) await arena.moveRemote('native');
        return timed(arena.nativeCycle());
      },
      kb: async () => {
        if (moved) await arena.moveRemote('kb');
        await server.traffic();
        const time = timed(arena.kbCycle());
        busy.push((await server.traffic()).busyMs);
        return time;
      },
    }),
  );
  arena.check();
  onOwnTime?.(median(times.kb) - median(busy));
  return comparison(ground, `cycle, ${moved ? 'moved' : 'unmoved'}${suffix(latencyMs)}`, times);
}

/** `kb sync` with nothing to do; native git's nearest is `git pull`, which does not look for local edits. */
export async function measureIdleSync(ground: Ground, latencyMs: number): Promise<Row> {
  const { arena } = ground;
  const times = await withLatency(ground, latencyMs, () =>
    interleave(ground.runs, { native: () => timed(arena.nativeSync()), kb: () => timed(arena.kbSync()) }),
  );
  return comparison(ground, `sync, nothing to do${suffix(latencyMs)}`, times);
}

/** `kb sync` that finds one edited file. */
export async function measureSyncOfAnEdit(ground: Ground): Promise<Row> {
  const { arena } = ground;
  const times = await interleave(ground.runs, {
    native: () => {
      arena.editLocally('native');
      return timed(arena.nativeSyncEdits());
    },
    kb: () => {
      arena.editLocally('kb');
      return timed(arena.kbSync());
    },
  });
  arena.check();
  return comparison(ground, 'sync, one local edit', times);
}

/** Many notes that somebody else has changed; `git pull` beside it syncs no file of the work tree to the disk. */
export async function measurePull(ground: Ground): Promise<Row> {
  const { arena } = ground;
  const times = await interleave(ground.runs, {
    native: async () => {
      await arena.changeRemote('native', PULLED_FILES);
      return timed(arena.nativeSync());
    },
    kb: async () => {
      await arena.changeRemote('kb', PULLED_FILES);
      return timed(arena.kbSync());
    },
  });
  arena.check();
  return comparison(ground, `sync, ${PULLED_FILES.toLocaleString('en')} files changed on the remote`, times);
}

export async function measureStatus(ground: Ground): Promise<Row> {
  const { arena } = ground;
  const times = await interleave(ground.runs, {
    native: () => timed(arena.nativeStatus()),
    kb: () => timed(arena.kbStatus()),
  });
  return comparison(ground, 'status', times);
}

export async function countRequests({ arena, server }: Ground): Promise<Row[]> {
  const { files } = arena;
  const rows: Row[] = [];
  for (const [name, most] of [
    ['unmoved', REQUESTS.unmoved],
    ['moved', REQUESTS.moved],
    ['sync', REQUESTS.sync],
  ] as const) {
    const count = async (whose: 'native' | 'kb'): Promise<{ requests: number; connections: number }> => {
      if (name === 'moved') await arena.moveRemote(whose);
      await server.traffic();
      if (name === 'sync') timed(whose === 'kb' ? arena.kbSync() : arena.nativeSync());
      else timed(whose === 'kb' ? arena.kbCycle() : arena.nativeCycle());
      return server.traffic();
    };
    const [native, kb] = [await count('native'), await count('kb')];
    const scenario = name === 'sync' ? 'sync, nothing to do' : `cycle, ${name}`;
    for (const [unit, limit] of [
      ['requests', most],
      ['connections', REQUESTS.connections],
    ] as const) {
      rows.push({ scenario, files, native: native[unit], kb: kb[unit], unit, limit: { most: limit, unit: '' } });
    }
  }
  return rows;
}

export function measureMemory({ arena }: Ground): Row {
  const { files } = arena;
  const kb = peakMemory(arena.kbCycle(), arena.reportFile());
  const limit = files === PEAK_MEMORY_MB.files ? { limit: { most: PEAK_MEMORY_MB.most, unit: 'MB' } as const } : {};
  return { scenario: 'peak memory of a cycle', files, kb, unit: 'MB', ...limit };
}

/** isomorphic-git's porcelain in a clone that native git made for it, once each. */
export async function measurePorcelain({ arena, repository }: Ground): Promise<PorcelainRow[]> {
  arena.addIsomorphic();
  const row = (scenario: string, outcome: number | string): PorcelainRow => {
    return { scenario, files: arena.files, ...(repository === undefined ? {} : { repository }), outcome };
  };
  const rows = [
    row('status', attempt(arena.isomorphicStatus())),
    row('cycle, unmoved', attempt(arena.isomorphicCycle())),
  ];
  if (rows.every(({ outcome }) => typeof outcome === 'number')) {
    await arena.moveRemote('isomorphic');
    rows.push(row('cycle, moved', attempt(arena.isomorphicCycle())));
  }
  if (rows.some(({ outcome }) => typeof outcome === 'string')) arena.removeIsomorphic();
  else arena.check();
  return rows;
}

async function withLatency<Result>({ server }: Ground, ms: number, measure: () => Promise<Result>): Promise<Result> {
  if (ms === 0) return measure();
  await server.setLatency(ms);
  try {
    return await measure();
  } finally {
    await server.setLatency(0);
  }
}

function suffix(latencyMs: number): string {
  return latencyMs === 0 ? '' : `, +${latencyMs} ms`;
}

function comparison(
  { arena: { files }, repository }: Ground,
  scenario: string,
  samples: { readonly native: number[]; readonly kb: number[] },
): Row {
  const [native, kb] = [median(samples.native), median(samples.kb)];
  const limit = repository === undefined ? LIMITS[scenario]?.[files] : undefined;
  return {
    scenario,
    files,
    ...(repository === undefined ? {} : { repository }),
    native,
    kb,
    unit: 'ms',
    ratio: kb / native,
    ...(limit === undefined ? {} : { limit }),
    samples,
  };
}
