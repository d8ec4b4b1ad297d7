import { asOid, type Oid } from '../git/ids.js';
import type { PlaceName } from '../lock/lock.js';
import { parseAnswer, type NoteAnswer } from './note-answer.js';

/** What a holder is about to make the branch's next state, written down before it does. */
export interface PushRecord {
  /**
   * Where the remote branch must be for the push to succeed; undefined: it must not exist. `local`: there is no push,
   * `to` becomes the local branch.
   */
  readonly from: Oid | undefined | 'local';
  readonly to: Oid;
  /** What the entries in it will have become once `to` has landed. */
  readonly answers: ReadonlyMap<PlaceName, NoteAnswer>;
}

const FORMAT = 1;

export function encodePushRecords(records: readonly PushRecord[]): string {
  const pushes = records.map(({ from, to, answers }) => ({
    from: from ?? null,
    to,
    answers: Object.fromEntries(answers),
  }));
  return JSON.stringify({ format: FORMAT, pushes });
}

/** Only answers that say "kept" are in a record: what failed was not pushed. Damaged records were never acted upon. */
export function parsePushRecords(data: Buffer): PushRecord[] {
  try {
    const { format, pushes } = JSON.parse(data.toString('utf8')) as { format: unknown; pushes: unknown[] };
    if (format !== FORMAT) return [];
    return pushes.map((push) => {
      const { from, to, answers } = Object(push) as { from: string | null; to: string; answers: unknown };
      return {
        from: from === null ? undefined : from === 'local' ? from : asOid(from),
        to: asOid(to),
        answers: parseAnswers(answers),
      };
    });
  } catch {
    return []; // a plan is written whole before the push it names
  }
}

function parseAnswers(value: unknown): Map<PlaceName, NoteAnswer> {
  const answers = new Map<PlaceName, NoteAnswer>();
  for (const [place, item] of Object.entries(Object(value) as Record<string, unknown>)) {
    const answer = parseAnswer(item);
    if (answer !== undefined) answers.set(place as PlaceName, answer);
  }
  return answers;
}
