import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ledger, Promised } from './crash-ledger.js';
import type { Site } from './crash-site.js';
import type { Step } from './model-commands.js';

type Damage = Extract<Step, { step: 'garbage' }>;

/**
 * Writes garbage over one of the files by which processes tell each other what they do.
 * @param ledger is told of which edits nobody can know any more what becomes of them
 * @param waiting the edits of those who wait for an answer
 */
export function damageFile(
  { kb }: Site,
  { into, which, bytes }: Damage,
  ledger: Ledger,
  waiting: readonly string[],
): void {
  const queue = join(kb, '.git/kb/queue');
  const candidates = {
    owner: [join(kb, '.kb_operations.lock/owner.json')],
    waiter: namesIn(join(kb, '.kb_tmp_lock'), /^wait_/).map((name) => join(name, 'owner.json')),
    entry: namesIn(queue, /\.(entry|claimed)$/),
    plan: namesIn(queue, /\.plan$/),
    acks: namesIn(queue, /\.acks$/),
  }[into];
  const file = candidates[which % Math.max(1, candidates.length)];
  if (file === undefined || !existsSync(file)) return;
  const old = readFileSync(file);
  const fixAllIn = (text: string, promised: Promised): void => {
    for (const token of ledger.tokens) if (text.includes(`"${token}"`)) ledger.fix(token, promised);
  };
  if (into === 'entry') fixAllIn(old.toString(), 'at most once');
  if (into === 'acks') for (const token of waiting) ledger.fix(token, 'at most once');
  // Whether its push has landed is known by the plan alone, see "a plan that was damaged" in crash-points.test.ts.
  if (into === 'plan')
    for (const claimed of namesIn(queue, /\.claimed$/)) fixAllIn(readFileSync(claimed, 'utf8'), 'nothing');
  const garbage = {
    none: '',
    half: old.subarray(0, old.length >> 1),
    junk: Buffer.from([0, 255, 10, 123, 0]),
    json: '{"format":1}',
  };
  writeFileSync(file, garbage[bytes]);
}

/** Files that nobody knows, under names of the queue. */
export function putStrangers({ kb }: Site): void {
  const queue = join(kb, '.git/kb/queue');
  mkdirSync(queue, { recursive: true });
  const id = (digit: string): string => digit.repeat(32);
  writeFileSync(join(queue, `000000001_${id('e')}.entry`), '{"format":1,"note":{}}');
  writeFileSync(join(queue, `000000002_${id('e')}.${id('f')}.claimed`), 'claimed by nobody');
  writeFileSync(join(queue, `${id('f')}.plan`), '{"format":1,"pushes":[{"from":null,"to":"x","answers":{}}]}');
  writeFileSync(join(queue, `${id('f')}_00000000.acks`), '{"format":1,"acks":{"000000009":{"waiter":1}}}');
}

/** The paths of what is in a directory under such a name, sorted; none where there is no directory. */
export function namesIn(directory: string, pattern: RegExp): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => join(directory, name));
}
