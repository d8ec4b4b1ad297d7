import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commitOnRemote, generateRepository } from './generate.js';
import type { GitServer } from './git-server.js';
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

export type Contestant = 'native' | 'kb';

/**
 * One generated KB with two remotes that are copies of each other, and one clone of depth 1 of each: one for
 * native git, one for kb, so that neither disturbs the other.
 */
export class Arena {
  private edits = 0;
  /** The notes that each contestant was told to write, by file name. */
  private readonly notes: Readonly<Record<Contestant, string[]>> = { native: [], kb: [] };
  private readonly env: Record<string, string>;

  private constructor(
    private readonly directory: string,
    private readonly repositories: string,
    private readonly server: GitServer,
    readonly files: number,
    home: string,
  ) {
    this.env = environment(home);
  }

  /** @param directory is made; `repositories` is what the server serves */
  static async create(options: {
    readonly directory: string;
    readonly repositories: string;
    readonly server: GitServer;
    readonly files: number;
    readonly seed: number;
    readonly home: string;
  }): Promise<{ arena: Arena; cloneMs: { native: number; kb: number } }> {
    const { directory, repositories, server, files, seed, home } = options;
    mkdirSync(directory);
    mkdirSync(join(home, '.cache'), { recursive: true });
    const arena = new Arena(directory, repositories, server, files, home);
    mkdirSync(arena.bare('native'));
    await generateRepository(arena.bare('native'), files, seed);
    cpSync(arena.bare('native'), arena.bare('kb'), { recursive: true });
    const cloneMs = {
      native: timed(arena.program('git', ['clone', '-q', '--depth', '1', arena.url('native'), arena.clone('native')])),
      kb: timed(arena.kb(['clone', '--quiet', arena.url('kb'), arena.clone('kb')], directory)),
    };
    return { arena, cloneMs };
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
    return this.program('flock', [join(this.directory, 'native.lock'), ...command], this.clone('native'));
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

  /** Somebody else's commit reaches the remote of one contestant. */
  async moveRemote(whose: Contestant): Promise<void> {
    this.edits += 1;
    await commitOnRemote(this.bare(whose), this.edits);
  }

  /**
   * A scenario must not pass because a contestant did nothing, did it twice, or left half of it for later.
   * @throws Error unless each note is on the remote, brought by one commit and touched by no other, and the clones
   *   are where their remotes are, with clean work trees
   */
  check(): void {
    for (const whose of ['native', 'kb'] as const) {
      const bare = this.bare(whose);
      const onTip = native(bare, ['ls-tree', '--name-only', 'main']).split('\n').filter(isNote).sort();
      requireSame(`${whose}: notes on the remote`, onTip, [...this.notes[whose]].sort());
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
    rmSync(this.directory, { recursive: true, force: true });
    for (const whose of ['native', 'kb'] as const) rmSync(this.bare(whose), { recursive: true, force: true });
  }

  /** Where a child may leave a report. */
  reportFile(): string {
    const path = join(this.directory, 'report');
    writeFileSync(path, '');
    return path;
  }

  clone(whose: Contestant): string {
    return join(this.directory, whose);
  }

  private newNote(whose: Contestant): string {
    this.edits += 1;
    const name = `bench-note-${this.edits}.md`;
    this.notes[whose].push(name);
    return name;
  }

  private kb(args: readonly string[], cwd = this.clone('kb')): Program {
    return this.program(process.execPath, [KB_PROGRAM, ...args], cwd);
  }

  private program(command: string, args: readonly string[], cwd = this.directory): Program {
    return { command, args, cwd, env: this.env };
  }

  private bare(whose: Contestant): string {
    return join(this.repositories, `${whose}-${this.files}.git`);
  }

  private url(whose: Contestant): string {
    return `${this.server.url}/${whose}-${this.files}.git`;
  }
}

function requireSame(what: string, found: readonly string[], wanted: readonly string[]): void {
  if (found.join('\n') === wanted.join('\n')) return;
  const missing = wanted.filter((line) => !found.includes(line));
  const extra = found.filter((line, at) => !wanted.includes(line) || found.indexOf(line) !== at);
  const some = (lines: readonly string[]): string => `${lines.length} (${lines.slice(0, 3).join(', ')})`;
  throw new Error(`${what}: missing ${some(missing)}, too many ${some(extra)}`);
}
