import fc from 'fast-check';

/** What one process does. */
export type Deed =
  | {
      readonly do: 'note';
      readonly where: 'new' | 'append';
      /** Of the few keys that there are. */
      readonly key?: number;
    }
  /** Of a command that appends a line and makes a file. */
  | { readonly do: 'run'; readonly fails: boolean }
  /** With an edit in the work tree first: of a file of its own, of lines that nobody else edits, of a line that others edit. */
  | { readonly do: 'sync'; readonly edit?: 'own' | 'shared' | 'clash'; readonly onConflict?: 'copy' };

/** One step of a history of a KB. Where it means nothing, it does nothing. */
export type Step =
  | {
      readonly step: 'command';
      readonly deed: Deed;
      /** Killed at this change, or right before this is replaced: the files of the work tree are the new ones by then. */
      readonly killAt?: number | 'index' | 'branch';
    }
  /** A command that is held up at a request, until it is let go on; others act meanwhile. */
  | {
      readonly step: 'pause';
      readonly deed: Deed;
      readonly request: number;
      readonly when: 'before' | 'after';
    }
  /** The lock is held, and nothing is done with it. */
  | { readonly step: 'hold' }
  /** The first that is held up, or that holds the lock, goes on. */
  | { readonly step: 'goOn' }
  /** Ends one that is under way, whatever it does. `freeze`: it is stopped for good, and everybody sees it live. */
  | { readonly step: 'kill' | 'freeze'; readonly which: number }
  /** Those who come while others are under way, and are waited for only in the end. */
  | { readonly step: 'come'; readonly deeds: readonly Deed[] }
  | { readonly step: 'remote'; readonly what: 'new' | 'shared' | 'clash' | 'append' }
  /** A note while the remote cannot be reached. */
  | { readonly step: 'offline'; readonly where: 'new' | 'append' }
  | { readonly step: 'unlock'; readonly force: boolean }
  | {
      readonly step: 'garbage';
      readonly into: 'owner' | 'waiter' | 'entry' | 'plan' | 'acks';
      readonly which: number;
      readonly bytes: 'none' | 'half' | 'junk' | 'json';
    }
  /** Files that nobody knows, under names of the queue. */
  | { readonly step: 'strangers' };

const note: fc.Arbitrary<Deed> = fc.record(
  { do: fc.constant('note' as const), where: fc.constantFrom('new' as const, 'append' as const), key: fc.nat(2) },
  { requiredKeys: ['do', 'where'] },
);
const sync: fc.Arbitrary<Deed> = fc.record(
  {
    do: fc.constant('sync' as const),
    edit: fc.constantFrom('own' as const, 'shared' as const, 'clash' as const),
    onConflict: fc.constant('copy' as const),
  },
  { requiredKeys: ['do'] },
);
const run: fc.Arbitrary<Deed> = fc.record({ do: fc.constant('run' as const), fails: fc.boolean() });
const deed = fc.oneof({ weight: 3, arbitrary: note }, { weight: 2, arbitrary: sync }, { weight: 1, arbitrary: run });

const killAt = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 260 }) },
  { weight: 1, arbitrary: fc.constantFrom('index' as const, 'branch' as const) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ step: fc.constant('command' as const), deed, killAt }, { requiredKeys: ['step', 'deed'] }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      step: fc.constant('pause' as const),
      deed,
      request: fc.integer({ min: 1, max: 3 }),
      when: fc.constantFrom('before' as const, 'after' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ step: 'hold' as const }) },
  { weight: 3, arbitrary: fc.constant({ step: 'goOn' as const }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('kill' as const), which: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('freeze' as const), which: fc.nat(5) }) },
  {
    weight: 3,
    arbitrary: fc.record({ step: fc.constant('come' as const), deeds: fc.array(deed, { minLength: 1, maxLength: 3 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      step: fc.constant('remote' as const),
      what: fc.constantFrom('new' as const, 'shared' as const, 'clash' as const, 'append' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      step: fc.constant('offline' as const),
      where: fc.constantFrom('new' as const, 'append' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('unlock' as const), force: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      step: fc.constant('garbage' as const),
      into: fc.constantFrom('owner' as const, 'waiter' as const, 'entry' as const, 'plan' as const, 'acks' as const),
      which: fc.nat(3),
      bytes: fc.constantFrom('none' as const, 'half' as const, 'junk' as const, 'json' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ step: 'strangers' as const }) },
);

const way = fc.oneof(
  fc.constant<Step>({ step: 'goOn' }),
  fc.constant<Step>({ step: 'kill', which: 0 }),
  fc.constant<Step>({ step: 'freeze', which: 0 }),
  fc.constant<Step>({ step: 'unlock', force: true }),
);

/** Several wait, the first of them gets the lock, takes the others along and is held up on its way: where most can go wrong. */
const crowd: fc.Arbitrary<Step[]> = fc
  .record({
    deed,
    deeds: fc.array(note, { minLength: 1, maxLength: 3 }),
    request: fc.integer({ min: 1, max: 3 }),
    when: fc.constantFrom('before' as const, 'after' as const),
    way,
    meanwhile: fc.option(step, { nil: undefined }),
  })
  .map(({ deed: first, deeds, request, when, way: last, meanwhile }): Step[] => [
    { step: 'hold' },
    { step: 'pause', deed: first, request, when },
    { step: 'come', deeds },
    { step: 'goOn' },
    ...(meanwhile === undefined ? [] : [meanwhile]),
    last,
  ]);

const chunk = fc.oneof({ weight: 3, arbitrary: step.map((one) => [one]) }, { weight: 1, arbitrary: crowd });

/** @param longest in steps */
export function histories(longest: number): fc.Arbitrary<Step[]> {
  return fc
    .array(chunk, { minLength: 1, maxLength: longest, size: 'max' })
    .map((chunks) => chunks.flat().slice(0, longest));
}

/** Histories in which something was lost or doubled, in kb or in one that a bug was put into on purpose. */
export const KNOWN_HISTORIES: readonly Step[][] = [
  // A holder is killed with its push landed and the notes of others in it.
  [
    { step: 'hold' },
    { step: 'pause', deed: { do: 'note', where: 'append' }, request: 2, when: 'after' },
    {
      step: 'come',
      deeds: [
        { do: 'note', where: 'append' },
        { do: 'note', where: 'new' },
      ],
    },
    { step: 'goOn' },
    { step: 'kill', which: 0 },
  ],
  // The same, the push has not been seen by the remote, and somebody else pushes.
  [
    { step: 'hold' },
    { step: 'pause', deed: { do: 'sync', edit: 'shared' }, request: 2, when: 'before' },
    {
      step: 'come',
      deeds: [
        { do: 'note', where: 'append' },
        { do: 'note', where: 'append', key: 1 },
      ],
    },
    { step: 'goOn' },
    { step: 'kill', which: 0 },
    { step: 'remote', what: 'append' },
  ],
  // The lock is taken away from one whose push is on its way, and goes on when others have been there.
  [
    { step: 'hold' },
    { step: 'pause', deed: { do: 'note', where: 'append' }, request: 2, when: 'before' },
    {
      step: 'come',
      deeds: [
        { do: 'note', where: 'append' },
        { do: 'note', where: 'new' },
      ],
    },
    { step: 'goOn' },
    { step: 'unlock', force: true },
    { step: 'command', deed: { do: 'note', where: 'append' } },
    { step: 'goOn' },
  ],
  // A run is killed on its way, and what it had made a commit must not go out beneath the next edit. (kb, collected.json)
  [
    { step: 'pause', deed: { do: 'run', fails: false }, request: 3, when: 'before' },
    { step: 'kill', which: 0 },
    { step: 'command', deed: { do: 'sync' } },
    { step: 'command', deed: { do: 'sync', edit: 'own' } },
  ],
  // A note that was kept locally goes out upon what others have pushed, and nobody hears that it did. (kb, saved notes)
  [
    { step: 'offline', where: 'new' },
    { step: 'remote', what: 'new' },
    { step: 'pause', deed: { do: 'sync' }, request: 3, when: 'after' },
    { step: 'kill', which: 0 },
    { step: 'command', deed: { do: 'sync', edit: 'own' } },
  ],
  // Half an advance must not be taken for edits by hand: others have edited the same place since.
  [
    { step: 'remote', what: 'append' },
    { step: 'command', deed: { do: 'sync' }, killAt: 'index' },
    { step: 'remote', what: 'append' },
  ],
  // The same, with an edit by hand in between, and somebody's note.
  [
    { step: 'remote', what: 'append' },
    { step: 'command', deed: { do: 'sync' }, killAt: 'branch' },
    { step: 'remote', what: 'append' },
    { step: 'command', deed: { do: 'note', where: 'append' } },
    { step: 'command', deed: { do: 'sync', edit: 'shared' } },
  ],
  // Unlock takes a lock away from one who is at work, and lives. (kb, unlock.ts)
  [
    { step: 'pause', deed: { do: 'note', where: 'append' }, request: 2, when: 'before' },
    { step: 'come', deeds: [{ do: 'sync', edit: 'own' }] },
    { step: 'unlock', force: false },
    { step: 'goOn' },
  ],
  // A command of a run has done its work, the lock is nobody's, and somebody edits by hand.
  [
    { step: 'pause', deed: { do: 'run', fails: true }, request: 1, when: 'after' },
    { step: 'garbage', into: 'owner', which: 0, bytes: 'junk' },
    { step: 'goOn' },
    { step: 'command', deed: { do: 'sync', edit: 'own' } },
    { step: 'unlock', force: true },
    { step: 'command', deed: { do: 'sync', edit: 'own' } },
  ],
];
