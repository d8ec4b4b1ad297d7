import { join } from 'node:path';
import { parseDuration } from '../../config/settings.js';
import { readFileIfExists, writeFileAtomic } from '../../disk/durable.js';
import { KbError } from '../../errors.js';
import { describeDuration } from '../../lock/owner.js';
import { kbDirectory } from '../kb-directory.js';
import type { Kb } from '../open.js';

/** So many runs may start within so long, by one user in one KB. */
export interface RateLimit {
  readonly runs: number;
  readonly withinMs: number;
}

/** The starts of so many runs are kept: what bounds the file bounds the limit. */
const MOST_RUNS = 10_000;

/** `5/1h`. @throws KbError E_USAGE */
export function parseRateLimit(text: string): RateLimit {
  const match = /^(\d{1,6})\/(.+)$/.exec(text.trim());
  const runs = Number(match?.[1] ?? 0);
  if (match === null || runs < 1 || runs > MOST_RUNS) {
    throw new KbError('E_USAGE', `--rate-limit is not a number of runs (1 to ${MOST_RUNS}) and a duration: ${text}`, {
      hint: 'write it as in: --rate-limit 5/1h',
    });
  }
  return { runs, withinMs: parseDuration(match[2] ?? '', 'the duration of --rate-limit') };
}

/** The starts of one user's runs, in `.git/kb/rate/`. Used under the KB's lock only. */
export class StartLog {
  private readonly file: string;

  constructor(private readonly kb: Kb) {
    // A name may hold anything; encoded it is a file name, and never one that begins with a dot.
    const user = encodeURIComponent(kb.surroundings.identity.user).slice(0, 200);
    this.file = join(kb.gitDir, 'kb', 'rate', `user-${user}.json`);
  }

  /** @throws KbError E_LOCK_TIMEOUT with details.retryAfterMs */
  requireRoom({ runs, withinMs }: RateLimit): void {
    const nowMs = this.kb.surroundings.clock.wall();
    const recent = this.read(nowMs).filter((startMs) => nowMs - startMs < withinMs);
    const decisive = recent.at(-runs);
    if (decisive === undefined) return;
    const retryAfterMs = decisive + withinMs - nowMs;
    throw new KbError(
      'E_LOCK_TIMEOUT',
      `${runs} ${runs === 1 ? 'run' : 'runs'} in ${describeDuration(withinMs)} are allowed, and that many were started; nothing was run`,
      {
        hint: `run it again in ${describeDuration(Math.max(retryAfterMs, 1000))}`,
        details: { retryAfterMs, rateLimit: { runs, withinMs } },
        retryable: true,
      },
    );
  }

  /** @param runs as many starts as the limit can ask for are kept */
  record({ runs }: RateLimit): void {
    const { disk, clock } = this.kb.surroundings;
    const nowMs = clock.wall();
    const kept = [...this.read(nowMs), nowMs].slice(-Math.max(runs, 100));
    kbDirectory(this.kb);
    disk.mkdirSync(join(this.file, '..'), { recursive: true });
    writeFileAtomic(disk, this.file, JSON.stringify({ version: 1, starts: kept }));
  }

  /** In order; a start in the future is of a clock that went wrong since, and would block for ever. */
  private read(nowMs: number): number[] {
    const { disk } = this.kb.surroundings;
    try {
      const bytes = readFileIfExists(disk, this.file);
      if (bytes === undefined) return [];
      const { version, starts } = Object(JSON.parse(bytes.toString('utf8'))) as Record<string, unknown>;
      if (version !== 1 || !Array.isArray(starts)) return [];
      return starts
        .filter((start): start is number => typeof start === 'number' && start <= nowMs)
        .slice(-MOST_RUNS)
        .sort((a, b) => a - b);
    } catch (error) {
      if (error instanceof SyntaxError) return []; // written whole, so somebody else damaged it
      throw error;
    }
  }
}
