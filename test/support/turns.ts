import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  appendFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Stats } from 'node:fs';
import { promisify } from 'node:util';
import { kb, kbOk } from './kb.js';
import { gitEnvironment, makeTemporaryDirectory, NATIVE_SETTINGS } from './native-git.js';

const FILES = ['a.md', 'd/b.md', 'd/e/c.md', 'n.md', 'ünïcode 😀.md', 'binary.bin'];
const PATHS = [...FILES, 'd', 'd/e', 'n.md/in.md', 'new/deep/er.md'];

export interface TurnsOptions {
  /** The address that both clone from, and the folder that it is. */
  readonly url: string;
  readonly remote: string;
  readonly seed: number;
  /** Of each side. */
  readonly turns: number;
  /** More for the environment of both: how ssh is started. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Native git and kb, each with a clone of its own, take turns at one remote. After each turn both bring theirs out and
 * in, and must hold the same tree, with nothing to commit and nothing that `git fsck --strict` minds.
 * @throws Error with all turns so far, when they do not agree
 */
export async function takeTurns(options: TurnsOptions): Promise<readonly string[]> {
  const table = new Turns(options);
  await table.begin();
  for (let turn = 0; turn < options.turns; turn += 1) {
    await table.turnOf('native');
    await table.turnOf('kb');
  }
  return table.log;
}

class Turns {
  readonly log: string[] = [];
  private readonly place = makeTemporaryDirectory();
  private readonly native = join(this.place, 'native');
  private readonly kb = join(this.place, 'kb');
  private state: number;
  private count = 0;

  constructor(private readonly options: TurnsOptions) {
    this.state = options.seed >>> 0;
  }

  async begin(): Promise<void> {
    const { url } = this.options;
    await this.git(this.place, 'clone', '--quiet', url, 'native');
    await this.git(this.native, 'checkout', '--quiet', '-B', 'main');
    writeFileSync(join(this.native, 'a.md'), '# a\n');
    await this.git(this.native, 'add', '.');
    await this.git(this.native, 'commit', '--quiet', '-m', 'first');
    await this.git(this.native, 'push', '--quiet', '-u', 'origin', 'main');
    await this.kbOk(this.place, ['clone', url, 'kb', '--depth', 'full']);
  }

  private kbOk(directory: string, args: readonly string[]): Promise<unknown> {
    return kbOk(directory, args, { env: this.options.env ?? {} });
  }

  async turnOf(side: 'native' | 'kb'): Promise<void> {
    this.count += 1;
    try {
      await (side === 'native' ? this.nativeTurn() : this.kbTurn());
      await this.exchange();
      await this.compare();
    } catch (error) {
      throw new Error(`turn ${this.count} of ${side}, seed ${this.options.seed}:\n${this.log.slice(-12).join('\n')}`, {
        cause: error,
      });
    }
  }

  private async nativeTurn(): Promise<void> {
    const run = (...args: string[]): Promise<string> => this.git(this.native, ...args);
    const commit = async (): Promise<void> => {
      for (let left = this.below(3); left >= 0; left -= 1) this.change(this.native);
      await run('add', '-A');
      await run('commit', '--quiet', '--allow-empty', '-m', `native ${this.count}`);
    };
    const aside = `aside-${this.count}`;
    const home = (await run('symbolic-ref', '--short', 'HEAD')).trim();
    const acts: Record<string, () => Promise<unknown>> = {
      commit,
      'commit, twice': async () => [await commit(), await commit()],
      'commit, while kb goes on': async () => {
        await commit();
        this.log.push('  kb: note');
        await this.kbOk(this.kb, ['note', `meanwhile ${this.count}`]);
      },
      'merge --no-ff': async () => {
        await run('checkout', '--quiet', '-b', aside);
        await commit();
        await run('checkout', '--quiet', home);
        await run('merge', '--quiet', '--no-ff', '-m', `merge ${aside}`, aside);
        await run('branch', '--quiet', '-D', aside);
      },
      'rebase of two commits': async () => {
        await run('checkout', '--quiet', '-b', aside);
        writeFileSync(join(this.native, `${aside}.md`), 'one\n');
        await run('add', `${aside}.md`);
        await run('commit', '--quiet', '-m', `${aside} one`);
        await run('checkout', '--quiet', home);
        writeFileSync(join(this.native, `other-${this.count}.md`), 'other\n');
        await run('add', '-A');
        await run('commit', '--quiet', '-m', 'other');
        await run('rebase', '--quiet', '@', aside);
        await run('checkout', '--quiet', home);
        await run('merge', '--quiet', '--ff-only', aside);
        await run('branch', '--quiet', '-D', aside);
      },
      'tag and push it': async () => {
        await run('tag', ...(this.below(2) === 0 ? ['-a', '-m', 'a tag'] : []), `tag-${this.count}`);
        await run('push', '--quiet', 'origin', `tag-${this.count}`);
      },
      'branch and push it': async () => {
        await run('branch', '--quiet', aside);
        await run('push', '--quiet', 'origin', aside);
      },
      'pack all': async () => [await run('repack', '-a', '-d', '-q'), await run('pack-refs', '--all')],
      revert: async () => {
        const revert = (...parent: string[]): Promise<unknown> => run('revert', '--no-edit', ...parent, 'HEAD');
        // Of a commit that changed nothing there is nothing to revert: git fails.
        const isEmpty = await run('diff', '--quiet', 'HEAD^', 'HEAD').then(
          () => true,
          () => false,
        );
        if (!isEmpty) await revert('-m1').catch(() => revert());
      },
    };
    await this.pick('native', acts);
  }

  private async kbTurn(): Promise<void> {
    const run = (...args: string[]): Promise<unknown> => this.kbOk(this.kb, args);
    const acts: Record<string, () => Promise<unknown>> = {
      note: () => run('note', `text ${this.count}`),
      append: () =>
        run('note', '--append', 'log.md', `line ${this.count}`).catch(() => run('note', '--path', 'log.md', 'log')),
      'daily note': () => run('note', '--daily', `day ${this.count}`),
      'note without push': () => run('note', '--no-push', `later ${this.count}`),
      'note without network': () => run('note', '--no-pull', `offline ${this.count}`),
      'run with changes': () => this.runChanges([]),
      'run that fails': () => this.runChanges(['exit 3'], 3),
      'edits and sync': async () => {
        for (let left = this.below(3); left >= 0; left -= 1) this.change(this.kb);
        await run('sync');
      },
      'note of a session': () => run('note', '--session-branch', `session-${this.count}`, 'of a session'),
      'switch --create': async () => {
        await run('switch', '--create', `topic-${this.count}`);
        await run('note', `on topic ${this.count}`);
      },
      'switch to main': () => run('switch', 'main'),
      gc: () => run('gc'),
    };
    await this.pick('kb', acts);
  }

  /** Lines of shell, made now, carried out under the lock. */
  private async runChanges(lines: readonly string[], code = 0): Promise<void> {
    const script = [...Array(1 + this.below(3)).keys()].map(() => {
      const [path, other] = [this.of(FILES), this.of(PATHS)];
      return this.of([
        `rm -rf '${path}'`,
        `if [ -f '${path}' ]; then mv '${path}' 'moved ${this.count}.md'; fi`,
        `if [ -f '${path}' ]; then chmod +x '${path}'; fi`,
        `rm -rf '${path}'; mkdir -p "$(dirname '${path}')" && ln -s a.md '${path}'`,
        `rm -rf '${other}'; mkdir -p "$(dirname '${other}')" && echo ${this.count} > '${other}'`,
        `if [ -f '${path}' ] && [ ! -L '${path}' ]; then echo more >> '${path}'; fi`,
      ]);
    });
    this.log.push(...script.map((line) => `  ${line}`));
    const text = ['set +e', ...script, ...lines, 'true'].join('\n');
    const env = { PATH: process.env['PATH'] };
    const ended = await kb(this.kb, ['run', '--', '/bin/sh', '-c', text], { env: { ...this.options.env, ...env } });
    if (ended.code !== code) throw new Error(`kb run ended with ${ended.code}: ${ended.stderr}`);
  }

  /** One change of a person, to files and folders, links and modes. */
  private change(directory: string): void {
    const [path, other] = [join(directory, this.of(FILES)), join(directory, this.of(PATHS))];
    const isFile = kindOf(path)?.isFile() === true;
    const place = (at: string, make: () => void): void => {
      for (let above = dirname(at); above.length > directory.length; above = dirname(above))
        if (kindOf(above)?.isDirectory() === false) rmSync(above);
      rmSync(at, { recursive: true, force: true });
      mkdirSync(dirname(at), { recursive: true });
      make();
    };
    const acts: Record<string, () => void> = {
      write: () => place(other, () => writeFileSync(other, `text of ${this.count}\nsecond line\n`)),
      binary: () => place(path, () => writeFileSync(path, Buffer.from([0, 255, this.count & 255, 13, 10]))),
      append: () => (isFile ? appendFileSync(path, `line ${this.count}\n`) : undefined),
      delete: () => (kindOf(path) === undefined ? undefined : rmSync(path, { recursive: true })),
      executable: () => (isFile ? chmodSync(path, this.below(2) === 0 ? 0o755 : 0o644) : undefined),
      link: () => place(path, () => symlinkSync(this.of(['a.md', '../nowhere', 'd']), path)),
    };
    const name = this.of(Object.keys(acts));
    this.log.push(`  ${name} ${path.slice(directory.length + 1)} or ${other.slice(directory.length + 1)}`);
    acts[name]?.();
  }

  /** Both bring out what they have and take in what there is, on the branch that kb is on. */
  private async exchange(): Promise<void> {
    await this.kbOk(this.kb, ['sync', '--on-conflict', 'copy']);
    const branch = (await this.git(this.kb, 'symbolic-ref', '--short', 'HEAD')).trim();
    await this.git(this.native, 'fetch', '--quiet', '--prune', 'origin');
    const current = (await this.git(this.native, 'symbolic-ref', '--short', 'HEAD')).trim();
    if (current !== branch) {
      await this.push(current);
      const known = (await this.git(this.native, 'branch', '--list', branch)).trim() !== '';
      await this.git(
        this.native,
        'checkout',
        '--quiet',
        ...(known ? [branch] : ['-b', branch, '--track', `origin/${branch}`]),
      );
    }
    await this.push(branch);
    await this.kbOk(this.kb, ['sync']);
    await this.git(this.native, 'fetch', '--quiet', 'origin');
    await this.git(this.native, 'merge', '--quiet', '--ff-only', `origin/${branch}`);
  }

  /** Whoever has a merge keeps it; what overlaps is taken as it lies here: what this is about is that both then agree. */
  private async push(branch: string): Promise<void> {
    await this.git(this.native, 'merge', '--quiet', '--no-edit', '-X', 'ours', `origin/${branch}`).catch(async () => {
      await this.git(this.native, 'merge', '--abort').catch(() => '');
      await this.git(this.native, 'merge', '--quiet', '--no-edit', '-s', 'ours', `origin/${branch}`);
    });
    await this.git(this.native, 'push', '--quiet', 'origin', branch);
  }

  private async compare(): Promise<void> {
    const told = async (directory: string): Promise<object> => ({
      tree: (await this.git(directory, 'rev-parse', 'HEAD^{tree}')).trim(),
      head: (await this.git(directory, 'rev-parse', 'HEAD')).trim(),
      status: await this.git(directory, 'status', '--porcelain'),
      written: (await this.git(directory, 'write-tree')).trim(),
      fsck: (await this.git(directory, 'fsck', '--strict', '--no-dangling', '--no-progress')).trim(),
    });
    const [ours, theirs] = [await told(this.native), await told(this.kb)];
    if (JSON.stringify(ours) !== JSON.stringify(theirs))
      throw new Error(`native git and kb do not agree:\n${JSON.stringify(ours)}\n${JSON.stringify(theirs)}`);
    if (!JSON.stringify(ours).includes('"status":"","')) throw new Error(`not clean: ${JSON.stringify(ours)}`);
    await this.git(this.options.remote, 'fsck', '--strict', '--no-dangling', '--no-progress');
    // An index whose times are wrong is told clean by its content: refreshed by git, it must stay as it is.
    await this.git(this.kb, 'diff-index', '--quiet', 'HEAD', '--');
    if (existsSync(join(this.kb, '.kb_operations.lock'))) throw new Error('the lock was left');
  }

  private async pick(side: string, acts: Record<string, () => Promise<unknown>>): Promise<void> {
    const name = this.of(Object.keys(acts));
    this.log.push(`${this.count} ${side}: ${name}`);
    await acts[name]?.();
  }

  private async git(directory: string, ...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)('git', [...NATIVE_SETTINGS, ...args], {
      cwd: directory,
      env: gitEnvironment(this.options.env),
      maxBuffer: 1 << 28,
    });
    return stdout;
  }

  private of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** xorshift32: the same turns for the same seed. */
  private below(limit: number): number {
    let x = this.state || 1;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state % limit;
  }
}

/** undefined: nothing is there, or a file stands where a folder above would be */
function kindOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}
