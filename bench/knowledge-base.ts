import { appendFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { changeOnRemote, commitOnRemote } from './generate.js';
import type { GitServer } from './git-server.js';
import { porcelain } from './isomorphic.js';
import { timed, type Program } from './measure.js';
import { native } from './native.js';

export const KB_PROGRAM = fileURLToPath(new URL('../bin/run.js', import.meta.url));

/** What both contestants run with: an identity, and nothing of the person who measures. */
export function environment(home: string): Record<string, string> {
  return {
    HOME: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_CACHE_HOME: join(home, '.cache'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Bench',
    GIT_AUTHOR_EMAIL: 'bench@example.com',
    GIT_COMMITTER_NAME: 'Bench',
    GIT_COMMITTER_EMAIL: 'bench@example.com',
    CI: 'true',
  };
}

/** What the contestants wrote, told from the generated notes: as a pathspec, and as a question. */
const NOTES = ':(glob)bench-note-*';
const isNote = (name: string): boolean => name.startsWith('bench-note-');
const isGiven = (name: string): boolean => !isNote(name) && !name.startsWith('inbox/');

export type Contestant = 'native' | 'kb' | 'isomorphic';

/** Where an arena is made, and what it is made of. */
export interface ArenaOptions {
  /** Its own; is made. */
  readonly directory: string;
  /** What the server serves. */
  readonly repositories: string;
  readonly server: GitServer;
  readonly home: string;
  /** Tells its repositories from those of other arenas. */
  readonly name: string;
  /** Makes the bare repository, with the branch `main`, where there is nothing yet; tells how many files it has. */
  readonly prepare: (to: string) => Promise<number>;
}

/**
 * One KB with remotes that are copies of each other, and one clone of depth 1 of each: one for native git, one for
 * kb, one for isomorphic-git, so that none disturbs the others.
 */
export class Arena {
  private edits = 0;
  /** The notes that each contestant was told to write, by file name. */
  private readonly notes: Partial<Record<Contestant, string[]>> = { native: [], kb: [] };
  private readonly env: Record<string, string>;

  private constructor(
    private readonly options: ArenaOptions,
    readonly files: number,
  ) {
    this.env = environment(options.home);
  }

  static async create(options: ArenaOptions): Promise<Arena> {
    const { directory, home, prepare } = options;
    mkdirSync(directory);
    mkdirSync(join(home, '.cache'), { recursive: true });
    const files = await prepare(bare(options, 'native'));
    const arena = new Arena(options, files);
    cpSync(arena.bare('native'), arena.bare('kb'), { recursive: true });
    timed(arena.program('git', ['clone', '-q', '--depth', '1', arena.url('native'), arena.clone('native')]));
    timed(arena.kb(['clone', '--quiet', arena.url('kb'), arena.clone('kb')], directory));
    return arena;
  }

  /** A clone for isomorphic-git as well, made by native git: its own is measured apart, and may fail. */
  addIsomorphic(): void {
    if (this.notes.isomorphic !== undefined) return;
    // What the contestant before has pushed meanwhile does no harm: its notes are its own.
    this.notes.isomorphic = [...(this.notes.native ?? [])];
    cpSync(this.bare('native'), this.bare('isomorphic'), { recursive: true });
    const clone = ['clone', '-q', '--depth', '1', this.url('isomorphic'), this.clone('isomorphic')];
    timed(this.program('git', clone));
  }

  /** After a failure there is no telling what state it is in. */
  removeIsomorphic(): void {
    rmSync(this.clone('isomorphic'), { recursive: true, force: true });
    rmSync(this.bare('isomorphic'), { recursive: true, force: true });
    delete this.notes.isomorphic;
  }

  /** What a careful person's script does today: everybody waits on a lock, then pull, commit, push. */
  nativeCycle(pull = 'git pull -q'): Program {
    const name = this.newNote('native');
    return this.nativeLocked([
      'sh',
      '-c',
      `${pull} && echo 'a short note' > ${name} && git add ${name} && git commit -q -m 'note' && git push -q`,
    ]);
  }

  /** @param output what kb prints: nothing, or its receipt */
  kbCycle(output: '--quiet' | '--json' = '--quiet'): Program {
    return this.kb(['note', output, '--path', this.newNote('kb'), 'a short note']);
  }

  /** A command under the lock that native git's callers share. */
  nativeLocked(command: readonly string[]): Program {
    return this.program('flock', [join(this.options.directory, 'native.lock'), ...command], this.clone('native'));
  }

  isomorphicCycle(): Program {
    return porcelain(['cycle', this.clone('isomorphic'), this.newNote('isomorphic')], this.options.directory, this.env);
  }

  kbRun(command: readonly string[]): Program {
    return this.kb(['run', '--quiet', '--', ...command]);
  }

  nativeSync(): Program {
    return this.program('git', ['pull', '-q'], this.clone('native'));
  }

  kbSync(): Program {
    return this.kb(['sync', '--quiet']);
  }

  /** A line more in one of the notes that came with the clone. */
  editLocally(whose: Contestant): void {
    this.edits += 1;
    const tracked = native(this.clone(whose), ['ls-files', '-z', '*.md']).split('\0').filter(Boolean).filter(isGiven);
    const path = tracked[this.edits % tracked.length];
    if (path === undefined) throw new Error('this repository has no *.md file that could be edited');
    appendFileSync(join(this.clone(whose), path), `a line more: ${this.edits}\n`);
  }

  /** The script of nativeCycle, for edits that lie there already. */
  nativeSyncEdits(): Program {
    return this.nativeLocked([
      'sh',
      '-c',
      'git add -A && git commit -q -m edit && git pull -q --rebase && git push -q',
    ]);
  }

  nativeStatus(): Program {
    return this.program('git', ['status', '--porcelain'], this.clone('native'));
  }

  kbStatus(): Program {
    return this.kb(['status', '--json']);
  }

  isomorphicStatus(): Program {
    return porcelain(['status', this.clone('isomorphic')], this.options.directory, this.env);
  }

  /** A command of kb in its clone. */
  kb(args: readonly string[], cwd = this.clone('kb')): Program {
    return this.program(process.execPath, [KB_PROGRAM, ...args], cwd);
  }

  /** Somebody else's commit reaches the remote of one contestant. */
  async moveRemote(whose: Contestant): Promise<void> {
    this.edits += 1;
    await commitOnRemote(this.bare(whose), this.edits);
  }

  /** Somebody else's commit that changes many of the notes that came with the clone. */
  async changeRemote(whose: Contestant, count: number): Promise<void> {
    this.edits += 1;
    const tracked = native(this.bare(whose), ['ls-tree', '-r', '-z', '--name-only', 'main'])
      .split('\0')
      .filter(isGiven);
    const notes = tracked.filter((path) => path.endsWith('.md'));
    // from all folders alike
    const changed = notes.filter((_, at) => at % Math.max(1, Math.floor(notes.length / count)) === 0).slice(0, count);
    if (changed.length < count) throw new Error(`this repository has less than ${count} *.md files`);
    await changeOnRemote(this.bare(whose), this.edits, changed);
  }

  /**
   * A scenario must not pass because a contestant did nothing, did it twice, or left half of it for later.
   * @throws Error unless each note is on the remote, brought by one commit and touched by no other, and the clones
   *   are where their remotes are, with clean work trees
   */
  check(): void {
    for (const [whose, notes] of Object.entries(this.notes) as [Contestant, string[]][]) {
      const bare = this.bare(whose);
      const onTip = native(bare, ['ls-tree', '--name-only', 'main']).split('\n').filter(isNote).sort();
      requireSame(`${whose}: notes on the remote`, onTip, [...notes].sort());
      const history = ['log', '--full-history', '--no-renames', '--format=', '--name-status', 'main', '--', NOTES];
      const changes = native(bare, history).split('\n').filter(Boolean).sort();
      requireSame(`${whose}: changes of notes in the history`, changes, onTip.map((name) => `A\t${name}`).sort());
      const status = native(this.clone(whose), ['status', '--porcelain']);
      if (status !== '') throw new Error(`${whose}: the work tree is not clean:\n${status.slice(0, 500)}`);
      const heads = [native(this.clone(whose), ['rev-parse', 'HEAD']), native(bare, ['rev-parse', 'main'])];
      if (heads[0] !== heads[1]) throw new Error(`${whose}: the clone is not where its remote is: ${heads.join('')}`);
    }
  }

  remove(): void {
    rmSync(this.options.directory, { recursive: true, force: true });
    for (const whose of Object.keys(this.notes) as Contestant[]) rmSync(this.bare(whose), { recursive: true });
  }

  /** Where a child may leave a report. */
  reportFile(): string {
    const path = join(this.options.directory, 'report');
    writeFileSync(path, '');
    return path;
  }

  clone(whose: Contestant): string {
    return join(this.options.directory, whose);
  }

  private newNote(whose: Contestant): string {
    this.edits += 1;
    const name = `bench-note-${this.edits}.md`;
    this.notes[whose]?.push(name);
    return name;
  }

  /** Node by itself, with the same environment. */
  node(args: readonly string[]): Program {
    return this.program(process.execPath, args);
  }

  private program(command: string, args: readonly string[], cwd = this.options.directory): Program {
    return { command, args, cwd, env: this.env };
  }

  private bare(whose: Contestant): string {
    return bare(this.options, whose);
  }

  private url(whose: Contestant): string {
    return `${this.options.server.url}/${whose}-${this.options.name}.git`;
  }
}

function bare({ repositories, name }: ArenaOptions, whose: Contestant): string {
  return join(repositories, `${whose}-${name}.git`);
}

function requireSame(what: string, found: readonly string[], wanted: readonly string[]): void {
  if (found.join('\n') === wanted.join('\n')) return;
  const missing = wanted.filter((line) => !found.includes(line));
  const extra = found.filter((line, at) => !wanted.includes(line) || found.indexOf(line) !== at);
  const some = (lines: readonly string[]): string => `${lines.length} (${lines.slice(0, 3).join(', ')})`;
  throw new Error(`${what}: missing ${some(missing)}, too many ${some(extra)}`);
}
