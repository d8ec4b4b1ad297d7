import { asStorageError } from '../disk/durable.js';
import { KbError, unforeseen } from '../errors.js';
import { listKbs, type ListedKb } from './list.js';
import { openKbAt, type Kb } from './open.js';
import type { SettingFlags } from '../config/settings.js';
import type { Report, Surroundings } from './surroundings.js';

export type SyncedKb<Result> = { readonly name: string; readonly dir: string } & (
  { readonly ok: true; readonly outcome: Result } | { readonly ok: false; readonly error: KbError }
);

/** So many KBs are synced at a time: most of a sync is waiting for a server. */
const AT_ONCE = 4;

/**
 * Does one thing with every KB that is registered, several at a time. One that fails keeps none of the others back; one
 * that is gone is left out, with a warning.
 * @returns in the order of their names
 * @throws KbError E_NO_KB: none is registered; what interrupted it
 */
export async function withAllKbs<Result>(
  surroundings: Surroundings,
  flags: SettingFlags,
  work: (kb: Kb) => Promise<Result>,
): Promise<SyncedKb<Result>[]> {
  const known = listKbs(surroundings);
  for (const { name, directory, present } of known)
    if (!present) surroundings.report({ kind: 'warning', text: `${name}: there is no KB at ${directory} any more` });
  const waiting = known.filter(({ present }) => present);
  if (waiting.length === 0) {
    throw new KbError('E_NO_KB', 'no KB is registered', {
      hint: 'register one with: kb clone URL --name NAME, or kb init --name NAME; see: kb list',
    });
  }
  const done = new Map<string, SyncedKb<Result>>();
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
      done.set(next.name, await doOne(surroundings, next, flags, work));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  surroundings.signal?.throwIfAborted();
  return known.flatMap(({ name }) => done.get(name) ?? []);
}

async function doOne<Result>(
  surroundings: Surroundings,
  { name, directory: dir }: ListedKb,
  flags: SettingFlags,
  work: (kb: Kb) => Promise<Result>,
): Promise<SyncedKb<Result>> {
  const report = (event: Report): void => surroundings.report(namedAfter(name, event));
  try {
    const kb = await openKbAt({ ...surroundings, report }, dir, flags);
    try {
      return { name, dir, ok: true, outcome: await work(kb) };
    } finally {
      kb.objects.close();
    }
  } catch (error) {
    return { name, dir, ok: false, error: asKbError(error) };
  }
}

function asKbError(error: unknown): KbError {
  const known = asStorageError(error, 'sync it');
  if (known instanceof KbError) return known;
  return unforeseen(error);
}

function namedAfter(name: string, event: Report): Report {
  return 'text' in event ? { ...event, text: `${name}: ${event.text}` } : event;
}

/** The failure of a whole that is made of several. */
export function failureOf(all: readonly SyncedKb<unknown>[]): KbError | undefined {
  const failed = all.flatMap((one) => (one.ok ? [] : [one]));
  const [first] = failed;
  if (first === undefined) return undefined;
  const told = failed.map(({ name, error }) => `${name}: ${error.message}`).join('; ');
  return new KbError(first.error.code, `${failed.length} of ${all.length} KBs were not synced: ${told}`, {
    hint: failed.map(({ name, error }) => `${name}: ${error.hint}`).join('; '),
    cause: first.error,
    details: { kbs: all.map(asObject) },
  });
}

/** As `--json` tells it. */
export function asObject(one: SyncedKb<unknown>): object {
  const { name, dir, ok } = one;
  if (ok) return { name, dir, ok, ...(one.outcome as object) };
  const { code, message, hint, exitCode, retryable, details } = one.error;
  return { name, dir, ok, error: { code, message, hint, exitCode, retryable, details } };
}
