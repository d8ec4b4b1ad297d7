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

/**
 * One generated KB with two remotes that are copies of each other, and one clone of depth 1 of each: one for
 * native git, one for kb, so that neither disturbs the other.
 */
export class Arena {
  private edits = 0;
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
  nativeCycle(): Program {
    this.edits += 1;
    const name = `bench-note-${this.edits}.md`;
    const script = `git pull -q && echo 'a short note' > ${name} && git add ${name} && git commit -q -m 'note' && git push -q`;
    return this.program('flock', [join(this.directory, 'native.lock'), 'sh', '-c', script], this.clone('native'));
  }

  kbCycle(): Program {
    this.edits += 1;
    return this.kb(['note', '--quiet', '--path', `bench-note-${this.edits}.md`, 'a short note']);
  }

  nativeSync(): Program {
    return this.program('git', ['pull', '-q'], this.clone('native'));
  }

  kbSync(): Program {
    return this.kb(['sync', '--quiet']);
  }

  /** Somebody else's commit reaches the remote of one contestant. */
  async moveRemote(whose: 'native' | 'kb'): Promise<void> {
    this.edits += 1;
    await commitOnRemote(this.bare(whose), this.edits);
  }

  /** A scenario must not pass because a contestant did nothing: both remotes hold every note, both trees are clean. */
  check(cycles: number): void {
    for (const whose of ['native', 'kb'] as const) {
      const names = native(this.bare(whose), ['ls-tree', '--name-only', 'main']).split('\n');
      const found = names.filter((name) => name.startsWith('bench-note-')).length;
      if (found !== cycles) throw new Error(`${whose}: ${found} of ${cycles} notes are on the remote`);
      const status = native(this.clone(whose), ['status', '--porcelain']);
      if (status !== '') throw new Error(`${whose}: the work tree is not clean:\n${status.slice(0, 500)}`);
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

  private kb(args: readonly string[], cwd = this.clone('kb')): Program {
    return this.program(process.execPath, [KB_PROGRAM, ...args], cwd);
  }

  private program(command: string, args: readonly string[], cwd = this.directory): Program {
    return { command, args, cwd, env: this.env };
  }

  private bare(whose: 'native' | 'kb'): string {
    return join(this.repositories, `${whose}-${this.files}.git`);
  }

  private clone(whose: 'native' | 'kb'): string {
    return join(this.directory, whose);
  }

  private url(whose: 'native' | 'kb'): string {
    return `${this.server.url}/${whose}-${this.files}.git`;
  }
}
