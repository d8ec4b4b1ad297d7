/* eslint-disable @typescript-eslint/no-unnecessary-type-parameters, @typescript-eslint/no-unused-expressions --
   type parameters and expressions that are there for the compiler alone are what this file is made of */
/**
 * What a program may rely on in the library's types. Nothing here is run: `npm run typecheck` checks it against the
 * sources, and test/e2e/library.test.ts against the types that are published. Each `@ts-expect-error` fails when a type
 * becomes looser, each `exactly` when it becomes another.
 */
import {
  addNote,
  isKbError,
  KbError,
  KnowledgeBase,
  openKb,
  surroundings,
  sync,
  withLock,
  type EditResult,
  type ErrorCode,
  type LockedKb,
  type LockWait,
  type NewNote,
  type NoteResult,
  type NoteTarget,
  type Report,
  type RunResult,
  type Status,
  type SyncResult,
  type UnlockResult,
} from '../../src/index.js';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** `exactly<Type>()(value)` compiles only when the value has that very type: none wider, none narrower, not any. */
function exactly<Wanted>() {
  return <Actual>(value: Actual, ..._differs: Same<Actual, Wanted> extends true ? [] : [never]): Actual => value;
}

export async function results(kb: KnowledgeBase): Promise<void> {
  exactly<string>()(kb.root);
  const note = await exactly<Promise<NoteResult>>()(kb.note('text'));
  const edit = await exactly<Promise<EditResult>>()(kb.edit('a.md', () => undefined));
  await exactly<Promise<EditResult>>()(kb.editBytes('a.md', () => undefined));
  const synced = await exactly<Promise<SyncResult>>()(kb.sync());
  await exactly<Promise<Status>>()(kb.status());
  await exactly<Promise<UnlockResult>>()(kb.unlock());
  await exactly<Promise<void>>()(kb.close());

  exactly<boolean>()(note.landed);
  exactly<string | null>()(note.url);
  exactly<'edited' | 'unchanged'>()(edit.result);
  exactly<number>()(synced.pushed);
  exactly<'up_to_date' | 'pulled' | 'pushed' | 'merged' | 'created_branch' | 'local_only'>()(synced.result);
  const commit: string = note.commit;
  // @ts-expect-error -- the file may be in no commit yet
  const edited: string = edit.commit;
  // @ts-expect-error -- a result is read only
  note.landed = commit === edited;
  // @ts-expect-error -- no such field
  note.hash;
}

export async function notes(kb: KnowledgeBase): Promise<void> {
  const target: NoteTarget = { kind: 'append', path: 'log.md' };
  const whole: NewNote = {
    text: 'text',
    target,
    heading: '## Log',
    tags: ['ops'],
    properties: { status: 'open' },
    id: 'job-1',
    push: false,
  };
  await kb.note(whole, { signal: new AbortController().signal, author: 'Ann <ann@example.org>', lockTimeout: '30s' });
  // @ts-expect-error -- a note has text
  await kb.note({ target });
  // @ts-expect-error -- appending needs a path
  await kb.note({ text: 'text', target: { kind: 'append' } });
  // @ts-expect-error -- no such kind of target
  await kb.note({ text: 'text', target: { kind: 'prepend', path: 'log.md' } });
  // @ts-expect-error -- a path is part of the target
  await kb.note({ text: 'text', path: 'log.md' });
  // @ts-expect-error -- properties have text for values
  await kb.note({ text: 'text', properties: { count: 1 } });
  // @ts-expect-error -- no such option
  await kb.note('text', { abort: new AbortController().signal });
  // @ts-expect-error -- the signal, not its controller
  await kb.note('text', { signal: new AbortController() });
}

export async function edits(kb: KnowledgeBase): Promise<void> {
  await kb.edit('a.md', (text, file) => {
    exactly<string>()(text);
    exactly<string>()(file.path);
    exactly<boolean>()(file.isNew);
    exactly<AbortSignal>()(file.signal);
    return text.toUpperCase();
  });
  await kb.edit('a.md', async (text) => Promise.resolve(text), { message: 'Sort', push: false });
  await kb.editBytes('a.png', (data) => new Uint8Array(exactly<Buffer>()(data)));
  // @ts-expect-error -- text comes from text
  await kb.edit('a.md', () => Buffer.alloc(0));
  // @ts-expect-error -- bytes come from bytes
  await kb.editBytes('a.md', () => 'text');
  // @ts-expect-error -- null is no text: undefined changes nothing
  await kb.edit('a.md', () => null);
  // @ts-expect-error -- an edit says what becomes of the text
  await kb.edit('a.md');
}

export async function syncs(kb: KnowledgeBase): Promise<void> {
  await kb.sync({ direction: 'pull', onConflict: 'copy', commit: false, message: 'Mine' });
  await kb.status({ fetch: true });
  await kb.unlock({ force: true, id: '01234567' });
  // @ts-expect-error -- no such policy
  await kb.sync({ onConflict: 'guess' });
  // @ts-expect-error -- no such direction
  await kb.sync({ direction: 'sideways' });
}

export async function runs(kb: KnowledgeBase): Promise<void> {
  const run = await exactly<Promise<RunResult>>()(kb.run('make', ['index'], { timeout: '10m', paths: ['topics/**'] }));
  exactly<'landed' | 'saved' | 'nothing'>()(run.result);
  exactly<number | null>()(run.child.exitCode);
  await kb.run('make', [], { onFailure: 'keep', topicsOnly: true, rateLimit: '5/1h', output: 'inherit', cwd: 'sub' });
  // @ts-expect-error -- no shell: words, not a line
  await kb.run('make', 'index');
  // @ts-expect-error -- no such policy
  await kb.run('make', [], { onFailure: 'revert' });
}

export async function locks(kb: KnowledgeBase): Promise<void> {
  const held = (lock: LockedKb): string => {
    exactly<AbortSignal>()(lock.signal);
    lock.assertHeld();
    // @ts-expect-error -- the token is given, not taken
    lock.token = '';
    return exactly<string>()(lock.token);
  };
  await exactly<Promise<string>>()(withLock('notes', 'index', held));
  await exactly<Promise<number>>()(kb.withLock(async () => Promise.resolve(1), { operation: 'index', timeout: '30s' }));
  const onWait = ({ holder, place, waitedMs, givesUpInMs }: LockWait): string =>
    `${holder ?? '?'} ${place + waitedMs + givesUpInMs}`;
  await withLock('notes', 'index', held, { timeoutMs: 0, signal: AbortSignal.abort(), onWait, cwd: '/' });
  // @ts-expect-error -- says what for
  await withLock('notes', held);
  // @ts-expect-error -- ms are a number; a text goes into `timeout`
  await withLock('notes', 'index', held, { timeoutMs: '30s' });
  // @ts-expect-error -- the KB is known: no other directory
  await kb.withLock(held, { cwd: '/' });
}

export async function opening(): Promise<void> {
  const onReport = (event: Report): void => {
    if (event.kind === 'warning') exactly<string>()(event.text);
    // @ts-expect-error -- only a progress counts
    event.total;
  };
  await exactly<Promise<KnowledgeBase>>()(KnowledgeBase.open('notes'));
  await KnowledgeBase.open({ kb: 'team', env: { HOME: '/' }, cwd: '/', onReport, signal: AbortSignal.abort() });
  const url = 'https://example.org/kb.git';
  const clone = KnowledgeBase.clone(url, undefined, { depth: 'full', branch: 'main', timeout: '5m' });
  await exactly<Promise<KnowledgeBase>>()(clone);
  await exactly<Promise<KnowledgeBase>>()(KnowledgeBase.init('notes', { remote: '/srv/kb.git', name: 'team' }));
  // @ts-expect-error -- made by open, clone or init
  new KnowledgeBase('notes', {});
  // @ts-expect-error -- a number of commits, or all
  await KnowledgeBase.clone(url, 'kb', { depth: 'all' });
  // @ts-expect-error -- a clone needs a URL
  await KnowledgeBase.clone();
}

export function errors(error: unknown): ErrorCode | undefined {
  if (isKbError(error, 'E_CONFLICT')) exactly<KbError>()(error);
  if (!isKbError(error)) return undefined;
  exactly<number>()(error.exitCode);
  exactly<boolean>()(error.retryable);
  exactly<Readonly<Record<string, unknown>>>()(error.details);
  // @ts-expect-error -- no such code
  if (error.code === 'E_NONE') return undefined;
  // @ts-expect-error -- no such code
  new KbError('E_NONE', 'x');
  return error.code;
}

/** The functions behind the methods, for whoever brings surroundings of their own. */
export async function functions(): Promise<void> {
  const kb = await openKb(surroundings({ env: {} }), { kb: 'notes', flags: { lockTimeout: '1s' } });
  const target = { kind: 'new' } as const;
  const now = { epochMs: 0, offsetMinutes: 0 };
  const { settings } = kb;
  const rest = { tags: [], properties: [], frontmatter: true, push: true, pull: true };
  await exactly<Promise<NoteResult>>()(addNote(kb, { text: 'text', target, now, settings, ...rest }));
  await exactly<Promise<SyncResult>>()(sync(kb, { direction: 'both', commit: true }));
  // @ts-expect-error -- a function takes everything: defaults are the methods'
  await sync(kb, {});
}
