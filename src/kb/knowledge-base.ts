import { KbError } from '../errors.js';
import { cloneKb, type CloneRequest } from './clone.js';
import { editFile, type EditResult } from './edit.js';
import { initKb, type InitRequest } from './init.js';
import { callBack, callKb, flagsOf, makeCall, type CallOptions, type HostOptions } from './library-call.js';
import { requireValidId } from './note-id.js';
import { addNote, type NoteResult } from './note.js';
import type { NoteTarget } from './note-plan.js';
import { localTime } from './notes/date-format.js';
import { openKb, openKbAt, optional, type Kb } from './open.js';
import {
  parseDuration,
  parseRateLimit,
  runCommand,
  type ChildOutput,
  type FailurePolicy,
  type RunResult,
} from './run.js';
import { topicsOnlyByEnvironment } from './run/working-folder.js';
import { readStatus, type Status, type StatusRequest } from './status.js';
import { orStopped } from './stop-signal.js';
import type { Surroundings } from './surroundings.js';
import { sync, type SyncRequest, type SyncResult } from './sync.js';
import { unlock, type UnlockRequest, type UnlockResult } from './unlock.js';
import { callOptionsOf, holdFor, lockTimeoutOf, type LockedKb, type LockOptions } from './with-lock.js';

/** For all calls of one `KnowledgeBase`; each call may say otherwise for itself. */
export interface KnowledgeBaseOptions extends CallOptions, HostOptions {}

export interface OpenOptions extends KnowledgeBaseOptions {
  /** Directory, or a name from `kb list`. Default: as for the command line (`KB_PATH`, else the enclosing KB). */
  readonly kb?: string;
}

export interface CloneOptions
  extends KnowledgeBaseOptions, Partial<Omit<CloneRequest, 'url' | 'directory' | 'lockTimeout'>> {}

export interface InitOptions extends KnowledgeBaseOptions, Partial<Omit<InitRequest, 'directory'>> {}

/** A note as `kb note` takes it; what is left out is as its flags are by default. */
export interface NewNote {
  readonly text: string;
  /** Default: a new note. */
  readonly target?: NoteTarget;
  /** For `append` and `daily`: the section that the text goes to, such as `## Log`. */
  readonly heading?: string;
  readonly template?: string;
  readonly tags?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
  /** Default: true. */
  readonly frontmatter?: boolean;
  /** Of the commit. */
  readonly message?: string;
  /** Idempotence key: the same key again changes nothing and gives the same commit. */
  readonly id?: string;
  /** Default: true. false: it stays a local commit. */
  readonly push?: boolean;
  /** Default: true. false: no network at all, so nothing is pushed either. */
  readonly pull?: boolean;
}

export interface EditOptions extends CallOptions {
  /** Of the commit. */
  readonly message?: string;
  /** Default: true. false: the edit stays a local commit. */
  readonly push?: boolean;
}

export interface RunOptions extends CallOptions {
  /** Folder that the command starts in, relative to the KB's root. */
  readonly cwd?: string;
  /** Commit only what these select, written as in a `.gitignore`. Default: everything that it changed. */
  readonly paths?: readonly string[];
  /** Of the commit. */
  readonly message?: string;
  /** Default: true. false: the changes stay a local commit. */
  readonly push?: boolean;
  /** What becomes of the changes of a command that fails. Default: `stash`, saved under `refs/kb/stash/`. */
  readonly onFailure?: FailurePolicy;
  /** End the command after so long, such as `10m`. Default: never. */
  readonly timeout?: string;
  /** Start in `topics/`, and fail if a file outside of it is changed. Default: as `KB_TOPICS_ONLY` says. */
  readonly topicsOnly?: boolean;
  /** Start at most so many of this user's runs in this KB within a time, such as `5/1h`. */
  readonly rateLimit?: string;
  /** Where goes what it prints. Default: `ignore`; `inherit`: to this process's own streams. */
  readonly output?: ChildOutput;
}

/** What is known of a file that is being edited. */
export interface FileToEdit {
  /** From the KB's root. */
  readonly path: string;
  readonly isNew: boolean;
  /** Aborts when the caller stops the call: nothing comes of the edit then. */
  readonly signal: AbortSignal;
}

export interface KnowledgeBaseLockOptions extends Omit<LockOptions, keyof HostOptions> {
  /** What for, in a word; others see it while they wait. Default: `lock`. */
  readonly operation?: string;
}

/**
 * A KB for a program: what the commands do, with the same guarantees and defaults, as methods. Any number of calls may
 * be under way at once; those that write take turns, with those of other processes too. Nothing is printed, no
 * process ends, no signal is caught, no variable is changed, and between calls nothing is held open.
 *
 * Every method rejects with a `KbError`, but for what the program's own functions throw.
 */
export class KnowledgeBase {
  private readonly calls = new Set<Promise<unknown>>();
  private isClosed = false;

  private constructor(
    /** The KB's root directory. */
    readonly root: string,
    private readonly options: KnowledgeBaseOptions,
  ) {}

  /** @throws KbError E_NO_KB, E_UNSAFE_STATE (foreign owner, a form of repository that kb does not handle), E_USAGE (settings) */
  static async open(target: string | OpenOptions = {}): Promise<KnowledgeBase> {
    const { kb, ...options } = typeof target === 'string' ? { kb: target } : target;
    return KnowledgeBase.at(options, async (surroundings) => {
      const opened = await openKb(surroundings, { ...optional('kb', kb), flags: flagsOf(options, {}) });
      opened.objects.close();
      return opened.root;
    });
  }

  /**
   * Clones a remote; a directory that is a clone of it already is simply opened.
   * @param directory default: named after the repository, in the working directory
   * @throws KbError E_NO_KB (the directory holds something else), E_NETWORK, E_AUTH, E_STORAGE, E_USAGE
   */
  static async clone(url: string, directory?: string, options: CloneOptions = {}): Promise<KnowledgeBase> {
    const { depth, branch, name, timeout, insecure, ssh, ...others } = options;
    const request: CloneRequest = {
      url,
      ...optional('directory', directory),
      depth: depth ?? 1,
      ...optional('branch', branch),
      ...optional('name', name),
      timeout: timeout ?? '300s',
      ...optional('lockTimeout', others.lockTimeout),
      insecure: insecure ?? false,
      ...optional('ssh', ssh),
    };
    return KnowledgeBase.at(others, async (surroundings) => (await cloneKb(surroundings, request)).dir);
  }

  /**
   * Makes a KB without any server; a directory that is one already is simply opened.
   * @throws KbError E_NO_KB when it is a KB of another remote; E_STORAGE, E_USAGE
   */
  static async init(directory: string, options: InitOptions = {}): Promise<KnowledgeBase> {
    const { remote, branch, name, ...others } = options;
    const request: InitRequest = {
      directory,
      ...optional('remote', remote),
      branch: branch ?? 'main',
      ...optional('name', name),
    };
    return KnowledgeBase.at(others, async (surroundings) => (await initKb(surroundings, request)).dir);
  }

  /**
   * Writes a note, or adds to one, and shares it.
   * @param note its text, or all that `kb note` takes
   * @throws KbError E_USAGE, E_CONFLICT (`ifMatch`), E_QUEUED, E_NETWORK with details.saved, and as any cycle
   */
  note(note: string | NewNote, options: CallOptions = {}): Promise<NoteResult> {
    const wanted: NewNote = typeof note === 'string' ? { text: note } : note;
    return this.use(options, async (kb) => {
      const { text, target, heading, template, tags, properties, frontmatter, message, id, push, pull } = wanted;
      if (id !== undefined) requireValidId(id);
      return addNote(kb, {
        text,
        target: target ?? { kind: 'new' },
        ...optional('heading', heading),
        ...optional('template', template),
        tags: tags ?? [],
        properties: Object.entries(properties ?? {}),
        frontmatter: frontmatter ?? true,
        now: localTime(new Date(kb.surroundings.clock.wall())),
        settings: kb.settings,
        ...optional('message', message),
        ...optional('id', id),
        push: (push ?? true) && (pull ?? true),
        pull: pull ?? true,
      });
    });
  }

  /**
   * Edits one file: the newest version is given to `change`, with no lock held, and what it gives back is merged with what
   * others wrote meanwhile, committed and pushed.
   * @param change the new text; undefined, or the same text: nothing is changed. Called once
   * @throws KbError E_CONFLICT when others changed the same lines meanwhile (details `ours`, `theirs`: the blobs);
   *   E_USAGE (path; a file that is no UTF-8 text: see editBytes), E_UNSAFE_STATE (uncommitted edits), and as any cycle
   */
  edit(
    path: string,
    change: (text: string, file: FileToEdit) => string | undefined | Promise<string | undefined>,
    options: EditOptions = {},
  ): Promise<EditResult> {
    const onText = async (data: Buffer, file: FileToEdit): Promise<Buffer | undefined> => {
      const edited = await change(asText(data, file.path), file);
      return edited === undefined ? undefined : Buffer.from(edited);
    };
    return this.editBytes(path, onText, options);
  }

  /** As `edit`, for files of any kind. What is no text can be changed by one side only. */
  editBytes(
    path: string,
    change: (data: Buffer, file: FileToEdit) => Uint8Array | undefined | Promise<Uint8Array | undefined>,
    options: EditOptions = {},
  ): Promise<EditResult> {
    const { message, push } = options;
    return this.use(options, (kb, signal) =>
      editFile(kb, {
        path,
        change: ({ data, ...file }) =>
          orStopped(
            callBack(() => change(data, { ...file, signal })),
            signal,
          ),
        ...optional('message', message),
        push: push ?? true,
      }),
    );
  }

  /** Commits local edits, brings in what others wrote, and pushes. @throws KbError E_CONFLICT, and as any cycle */
  sync(request: Partial<SyncRequest> = {}, options: CallOptions = {}): Promise<SyncResult> {
    const { direction, commit, message, onConflict } = request;
    return this.use(options, (kb) =>
      sync(kb, {
        direction: direction ?? 'both',
        commit: commit ?? true,
        ...optional('message', message),
        ...optional('onConflict', onConflict),
      }),
    );
  }

  /**
   * Runs a program in the KB, commits what it changed, and pushes. The lock is held all along; kb called by the program joins
   * it. No shell is involved. The call's signal ends the program, and all that it started.
   * @throws KbError E_COMMAND with the program's exit code, E_TIMEOUT, E_INTERRUPTED, E_UNSAFE_STATE (topicsOnly), E_USAGE, and
   *   as any cycle; once the program was started, details hold `child`, `changes` and `stash`
   */
  run(command: string, args: readonly string[] = [], request: RunOptions = {}): Promise<RunResult> {
    const { cwd, paths, message, push, onFailure, timeout, topicsOnly, rateLimit, output } = request;
    return this.use(request, async (kb) =>
      runCommand(kb, {
        command: [command, ...args],
        ...optional('cwd', cwd),
        ...optional('paths', paths),
        ...optional('message', message),
        push: push ?? true,
        onFailure: onFailure ?? 'stash',
        ...optional('timeoutMs', timeout === undefined ? undefined : parseDuration(timeout, 'timeout')),
        topicsOnly: topicsOnly ?? topicsOnlyByEnvironment(kb.surroundings.env),
        ...optional('rateLimit', rateLimit === undefined ? undefined : parseRateLimit(rateLimit)),
        output: output ?? 'ignore',
        foreground: false,
      }),
    );
  }

  /** The KB's state. Takes no lock, and asks no remote unless told to. */
  status(request: Partial<StatusRequest> = {}, options: CallOptions = {}): Promise<Status> {
    return this.use(options, (kb) => readStatus(kb, { fetch: request.fetch ?? false }));
  }

  /** Removes the lock of a holder that is gone. @throws KbError E_LOCK_TIMEOUT when it is alive and `force` is not given */
  unlock(request: Partial<UnlockRequest> = {}, options: CallOptions = {}): Promise<UnlockResult> {
    const { force, id } = request;
    return this.use(options, async (kb) => unlock(kb, { force: force ?? false, ...optional('id', id) }));
  }

  /**
   * Runs a function as the only one that has this KB's lock. Calls in it, of this object too, join the lock and take
   * turns among themselves.
   * @throws KbError as `withLock`; and whatever the function throws
   */
  withLock<T>(fn: (held: LockedKb) => T | Promise<T>, options: KnowledgeBaseLockOptions = {}): Promise<T> {
    const { operation, ...lock } = options;
    // In the call, so that a wrong option rejects like everything else.
    const lockTimeout = (): CallOptions => optional('lockTimeout', lockTimeoutOf(lock));
    return this.use(callOptionsOf(lock), (kb, signal) => holdFor(kb, operation ?? 'lock', fn, signal), lockTimeout);
  }

  /** Takes no more calls, and waits for those that are under way. Not from inside of one of them: it would wait for itself. */
  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.allSettled(this.calls);
  }

  private static async at(
    options: KnowledgeBaseOptions,
    make: (surroundings: Surroundings) => Promise<string>,
  ): Promise<KnowledgeBase> {
    return new KnowledgeBase(await makeCall(options, {}, make), options);
  }

  private use<T>(
    options: CallOptions,
    work: (kb: Kb, signal: AbortSignal) => Promise<T>,
    further: () => CallOptions = () => ({}),
  ): Promise<T> {
    const { root } = this;
    // Opened anew for each call: others may have changed its settings, switched its branch or repacked its objects.
    const open = async (surroundings: Surroundings): Promise<Kb> => {
      this.requireOpen();
      return openKbAt(surroundings, root, flagsOf(this.options, { ...options, ...further() }));
    };
    return this.track(callKb(root, this.options, options, open, work));
  }

  private requireOpen(): void {
    if (!this.isClosed) return;
    throw new KbError('E_USAGE', `this KnowledgeBase (${this.root}) was closed`, {
      hint: 'call close() after everything else',
    });
  }

  private track<T>(call: Promise<T>): Promise<T> {
    this.calls.add(call);
    const done = (): void => void this.calls.delete(call);
    call.then(done, done);
    return call;
  }
}

function asText(data: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch (error) {
    throw new KbError('E_USAGE', `${path} is not UTF-8 text`, { cause: error, hint: 'edit it with editBytes' });
  }
}
