import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { asRefName, branchRef, ZERO_OID, type Oid, type RefName } from '../../src/git/ids.js';
import { RefMoved, Refs, type RefChange } from '../../src/git/refs/refs.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const WHO = 'Ann Author <ann@example.com> 1700000000 +0100';
const MAIN = branchRef('main');
const HEAD = asRefName('HEAD');

interface Repository {
  readonly root: string;
  readonly refs: Refs;
  readonly first: Oid;
  readonly second: Oid;
}

function makeRepository(): Repository {
  const root = makeTemporaryDirectory();
  git(root, ['init', '-q']);
  git(root, ['commit', '-q', '--allow-empty', '-m', 'first']);
  git(root, ['commit', '-q', '--allow-empty', '-m', 'second']);
  const [second, first] = git(root, ['log', '--format=%H']).split('\n') as Oid[];
  return { root, refs: openRefs(root), first: first as Oid, second: second as Oid };
}

function openRefs(root: string): Refs {
  return Refs.open(nodeDisk, join(root, '.git'), { lockWaitMs: 0 });
}

function change(name: RefName, to: Oid | null, more: Partial<RefChange> = {}): RefChange {
  return { name, to, message: 'kb: test', who: WHO, ...more };
}

function forEachRef(root: string, prefix = 'refs/'): [string, string][] {
  const lines = git(root, ['for-each-ref', '--format=%(refname) %(objectname)', prefix]).split('\n').filter(Boolean);
  return lines.map((line) => line.split(' ') as [string, string]);
}

function reflog(root: string, ref: string): string[] {
  return git(root, ['reflog', 'show', '--format=%H %gs', ref]).split('\n').filter(Boolean);
}

function lockFiles(root: string): string[] {
  return (readdirSync(join(root, '.git'), { recursive: true }) as string[]).filter((name) => name.endsWith('.lock'));
}

describe.skipIf(!nativeGit.available)('refs, with native git as oracle (needs git)', () => {
  it('reads loose, packed, symbolic and peeled refs as git does', () => {
    const { root, refs, first, second } = makeRepository();
    git(root, ['tag', '-a', '-m', 'tag', 'v1', first]);
    git(root, ['branch', 'topic/one', first]);
    git(root, ['update-ref', 'refs/remotes/origin/main', first]);
    git(root, ['symbolic-ref', 'refs/remotes/origin/HEAD', 'refs/remotes/origin/main']);
    git(root, ['symbolic-ref', 'refs/remotes/gone/HEAD', 'refs/remotes/gone/main']);
    git(root, ['pack-refs', '--all', '--prune']);
    git(root, ['branch', 'topic/two', second]);
    git(root, ['update-ref', 'refs/heads/topic/one', second]);
    expect([...refs.list('refs/')]).toEqual(forEachRef(root));
    expect([...refs.list('refs/heads/')]).toEqual(forEachRef(root, 'refs/heads/'));
    expect([...refs.list('refs/heads/topic/t')].map(([name]) => name)).toEqual(['refs/heads/topic/two']);
    expect(refs.resolve(asRefName('refs/remotes/origin/HEAD'))).toBe(first);
    expect(refs.resolve(asRefName('refs/remotes/gone/HEAD'))).toBeUndefined();
    expect(refs.resolve(branchRef('topic/one'))).toBe(second);
    expect(refs.resolve(branchRef('topic'))).toBeUndefined();
    expect(refs.resolve(branchRef('main/below'))).toBeUndefined();
    expect(refs.head()).toEqual({ branch: MAIN, oid: second });
  });

  it('knows a detached HEAD and a branch without commits', () => {
    const { root, refs, first } = makeRepository();
    git(root, ['checkout', '-q', '--detach', first]);
    expect(refs.head()).toEqual({ oid: first });
    git(root, ['symbolic-ref', 'HEAD', 'refs/heads/unborn']);
    expect(refs.head()).toEqual({ branch: 'refs/heads/unborn' });
  });

  it('reads a symref that is a link, as very old git wrote them, and replaces the link itself', () => {
    const { root, refs, first, second } = makeRepository();
    rmSync(join(root, '.git/HEAD'));
    symlinkSync('refs/heads/main', join(root, '.git/HEAD'));
    expect(refs.head()).toEqual({ branch: MAIN, oid: second });
    refs.update(change(HEAD, first, { expected: second }));
    expect(git(root, ['rev-parse', 'main']).trim()).toBe(first);
    refs.setSymbolic(HEAD, branchRef('other'));
    expect(git(root, ['symbolic-ref', 'HEAD']).trim()).toBe('refs/heads/other');
    expect(git(root, ['rev-parse', 'main']).trim()).toBe(first);
  });

  it.each([MAIN, HEAD])('moves the branch by %s, with its log and that of HEAD, as git update-ref', (name) => {
    const { root, refs, first, second } = makeRepository();
    const twin = makeTemporaryDirectory();
    git(twin, ['clone', '-q', root, '.']);
    for (const log of ['HEAD', 'refs/heads/main'])
      writeFileSync(join(twin, '.git/logs', log), readFileSync(join(root, '.git/logs', log)));
    refs.update(change(name, first, { expected: second, message: ' kb:  two\n lines ' }));
    const env = {
      GIT_COMMITTER_NAME: 'Ann Author',
      GIT_COMMITTER_EMAIL: 'ann@example.com',
      GIT_COMMITTER_DATE: '1700000000 +0100',
    };
    git(twin, ['update-ref', '-m', ' kb:  two\n lines ', name, first, second], { env });
    for (const file of ['HEAD', 'refs/heads/main', 'logs/HEAD', 'logs/refs/heads/main']) {
      expect(readFileSync(join(root, '.git', file), 'utf8')).toBe(readFileSync(join(twin, '.git', file), 'utf8'));
    }
    expect(reflog(root, 'HEAD')[0]).toBe(`${first} kb: two lines`);
    git(root, ['fsck', '--strict']);
    expect(lockFiles(root)).toEqual([]);
  });

  it('begins a log for branches and remote-tracking refs only, keeps up every log that is there', () => {
    const { root, refs, first, second } = makeRepository();
    git(root, ['update-ref', '--create-reflog', 'refs/kb/logged', first]);
    for (const name of [
      'refs/heads/new',
      'refs/remotes/origin/x',
      'refs/tags/t',
      'refs/kb/private',
      'refs/kb/logged',
    ]) {
      refs.update(change(asRefName(name), second));
    }
    const logs = (readdirSync(join(root, '.git/logs/refs'), { recursive: true }) as string[]).sort();
    expect(logs).toEqual([
      'heads',
      'heads/main',
      'heads/new',
      'kb',
      'kb/logged',
      'remotes',
      'remotes/origin',
      'remotes/origin/x',
    ]);
    expect(readFileSync(join(root, '.git/logs/refs/heads/new'), 'utf8')).toBe(
      `${ZERO_OID} ${second} ${WHO}\tkb: test\n`,
    );
    expect(reflog(root, 'refs/kb/logged')).toHaveLength(2);
  });

  it.each([
    ['a bare repository', ['core.bare', 'true'], []],
    ['core.logAllRefUpdates = false', ['core.logallrefupdates', 'false'], []],
    ['core.logAllRefUpdates = always', ['core.logAllRefUpdates', 'always'], ['refs/heads/n', 'refs/tags/t']],
  ])('begins logs as git does in %s', (what, setting, expected) => {
    const root = makeTemporaryDirectory();
    git(root, ['init', '-q', ...(what.includes('bare') ? ['--bare', '.git'] : [])]);
    git(join(root, '.git'), ['config', ...setting]);
    const commit = git(join(root, '.git'), [
      'commit-tree',
      '-m',
      'x',
      git(join(root, '.git'), ['mktree'], { input: '' }).trim(),
    ]).trim() as Oid;
    for (const name of expected.length > 0 ? expected : ['refs/heads/n'])
      openRefs(root).update(change(asRefName(name), commit));
    const logs = existsSync(join(root, '.git/logs'))
      ? (readdirSync(join(root, '.git/logs'), { recursive: true }) as string[])
      : [];
    expect(expected.every((name) => logs.includes(name))).toBe(true);
    expect(logs.length > 0).toBe(expected.length > 0);
  });

  describe('compare-and-swap', () => {
    it.each([
      ['another value', (r: Repository) => change(MAIN, r.first, { expected: r.first })],
      ['no ref expected', (r: Repository) => change(MAIN, r.first, { expected: null })],
      ['a ref expected where none is', (r: Repository) => change(branchRef('none'), r.first, { expected: r.second })],
      ['a delete of another value', (r: Repository) => change(MAIN, null, { expected: r.first })],
    ])('%s changes nothing', (_what, make) => {
      const repository = makeRepository();
      const before = [forEachRef(repository.root), reflog(repository.root, 'HEAD')];
      expect(() => repository.refs.update(make(repository))).toThrow(RefMoved);
      expect([forEachRef(repository.root), reflog(repository.root, 'HEAD')]).toEqual(before);
      expect(lockFiles(repository.root)).toEqual([]);
    });

    it('says what it expected and what it found', () => {
      const { refs, first, second } = makeRepository();
      expect(() => refs.update(change(MAIN, first, { expected: null }))).toThrow(
        expect.objectContaining({
          code: 'E_UNSAFE_STATE',
          retryable: true,
          details: { ref: MAIN, expected: null, actual: second },
        }),
      );
    });

    it('a fence that throws stops before log and ref, for a write and for a delete', () => {
      const { root, refs, first } = makeRepository();
      git(root, ['pack-refs', '--all']);
      const before = [forEachRef(root), reflog(root, 'HEAD')];
      const fence = (): never => {
        throw new Error('lock lost');
      };
      expect(() => refs.update(change(MAIN, first, { fence }))).toThrow('lock lost');
      expect(() => refs.update(change(MAIN, null, { fence }))).toThrow('lock lost');
      expect([forEachRef(root), reflog(root, 'HEAD')]).toEqual(before);
      expect(lockFiles(root)).toEqual([]);
    });

    it('the value it already has writes nothing', () => {
      const { root, refs, second } = makeRepository();
      const before = reflog(root, 'HEAD');
      refs.update(change(MAIN, second, { expected: second }));
      expect(reflog(root, 'HEAD')).toEqual(before);
    });
  });

  it.each(['HEAD.lock', 'refs/heads/main.lock'])(
    'waits for %s and gives up without a trace, never removing it',
    (lock) => {
      const { root, refs, first } = makeRepository();
      writeFileSync(join(root, '.git', lock), '');
      expect(() => refs.update(change(MAIN, first))).toThrow(
        expect.objectContaining({
          code: 'E_UNSAFE_STATE',
          retryable: true,
          message: expect.stringContaining(lock) as string,
        }),
      );
      expect(() => git(root, ['update-ref', 'refs/heads/main', first])).toThrow();
      expect(lockFiles(root)).toEqual([lock]);
      expect(refs.resolve(MAIN)).not.toBe(first);
    },
  );

  describe('deleting', () => {
    it.each([
      ['loose', []],
      ['packed', ['pack-refs', '--all', '--prune']],
      ['both', ['pack-refs', '--all', '--no-prune']],
    ])('%s: ref, log and empty folders go, all else stays', (_what, command) => {
      const { root, refs, first } = makeRepository();
      git(root, ['tag', '-a', '-m', 'tag', 'v1', first]);
      git(root, ['branch', 'deep/er/topic', first]);
      if (command.length > 0) git(root, command);
      const others = forEachRef(root).filter(([name]) => name !== 'refs/heads/deep/er/topic');
      refs.update(change(branchRef('deep/er/topic'), null, { expected: first }));
      expect(forEachRef(root)).toEqual(others);
      expect([...refs.list('refs/')]).toEqual(others);
      expect(existsSync(join(root, '.git/refs/heads/deep'))).toBe(false);
      expect(existsSync(join(root, '.git/logs/refs/heads/deep'))).toBe(false);
      expect(existsSync(join(root, '.git/refs/heads'))).toBe(true);
      expect(git(root, ['rev-parse', 'v1^{commit}']).trim()).toBe(first);
      expect(lockFiles(root)).toEqual([]);
      git(root, ['fsck', '--strict']);
      git(root, ['branch', 'deep']);
    });

    it('a packed annotated tag takes its peeled line along', () => {
      const { root, refs, first, second } = makeRepository();
      for (const [name, commit] of [
        ['v1', first],
        ['v2', second],
        ['v10', first],
      ] as const)
        git(root, ['tag', '-a', '-m', name, name, commit]);
      git(root, ['pack-refs', '--all', '--prune']);
      refs.update(change(asRefName('refs/tags/v1'), null));
      expect(
        git(root, ['show-ref', '-d'])
          .split('\n')
          .filter((line) => line.includes('tags'))
          .map((line) => line.slice(41)),
      ).toEqual(['refs/tags/v10', 'refs/tags/v10^{}', 'refs/tags/v2', 'refs/tags/v2^{}']);
      git(root, ['fsck', '--strict']);
    });

    it('waits for packed-refs.lock', () => {
      const { root, refs } = makeRepository();
      git(root, ['branch', 'topic']);
      writeFileSync(join(root, '.git/packed-refs.lock'), '');
      expect(() => refs.update(change(branchRef('topic'), null))).toThrow(
        expect.objectContaining({
          code: 'E_UNSAFE_STATE',
          message: expect.stringContaining('packed-refs.lock') as string,
        }),
      );
      expect(forEachRef(root).map(([name]) => name)).toContain('refs/heads/topic');
    });

    it('of the branch that HEAD is on is logged in HEAD, as git does', () => {
      const { root, refs, second } = makeRepository();
      refs.update(change(HEAD, null, { expected: second }));
      expect(refs.head()).toEqual({ branch: MAIN });
      expect(readFileSync(join(root, '.git/logs/HEAD'), 'utf8').split('\n').at(-2)).toBe(
        `${second} ${ZERO_OID} ${WHO}\tkb: test`,
      );
    });

    it('of a ref that is not there, or of HEAD itself', () => {
      const { root, refs, first } = makeRepository();
      refs.update(change(branchRef('nothing/here'), null));
      git(root, ['checkout', '-q', '--detach', first]);
      expect(() => refs.update(change(HEAD, null))).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
    });
  });

  describe('a name is a file or a folder', () => {
    it.each([
      ['loose, below', 'a', 'a/b', false],
      ['loose, above', 'a/b/c', 'a', false],
      ['packed, below', 'a', 'a/b/c', true],
      ['packed, above', 'a/b', 'a', true],
    ])('%s', (_what, existing, wanted, packed) => {
      const { root, refs, first } = makeRepository();
      git(root, ['branch', existing]);
      if (packed) git(root, ['pack-refs', '--all', '--prune']);
      const before = forEachRef(root);
      expect(() => refs.update(change(branchRef(wanted), first))).toThrow(
        expect.objectContaining({
          code: 'E_UNSAFE_STATE',
          details: { ref: `refs/heads/${wanted}`, conflictsWith: `refs/heads/${existing}` },
        }),
      );
      expect(() => refs.setSymbolic(branchRef(wanted), MAIN)).toThrow(
        expect.objectContaining({ code: 'E_UNSAFE_STATE' }),
      );
      expect(forEachRef(root)).toEqual(before);
      expect(lockFiles(root)).toEqual([]);
      git(root, ['fsck', '--strict']);
    });

    it('empty folders of deleted refs are no obstacle, for the ref and for its log', () => {
      const { root, refs, first } = makeRepository();
      mkdirSync(join(root, '.git/refs/heads/a/b/c'), { recursive: true });
      mkdirSync(join(root, '.git/logs/refs/heads/a/b'), { recursive: true });
      refs.update(change(branchRef('a'), first));
      expect(git(root, ['rev-parse', 'a']).trim()).toBe(first);
      expect(reflog(root, 'a')).toEqual([`${first} kb: test`]);
    });
  });

  it.each([
    ['empty', ''],
    ['no id', 'hello\n'],
    ['half an id', 'abc123\n'],
    ['a symref out of the repository', 'ref: ../../etc/passwd\n'],
  ])('a broken ref is named, not guessed: %s', (_what, content) => {
    const { root, refs, first } = makeRepository();
    mkdirSync(dirname(join(root, '.git/refs/heads/x')), { recursive: true });
    writeFileSync(join(root, '.git/refs/heads/x'), content);
    const corrupt = expect.objectContaining({
      code: 'E_CORRUPT',
      message: expect.stringContaining('refs/heads/x') as string,
    }) as Error;
    expect(() => refs.resolve(branchRef('x'))).toThrow(corrupt);
    expect(() => refs.list('refs/heads/')).toThrow(corrupt);
    expect(() => refs.update(change(branchRef('x'), first))).toThrow(corrupt);
    expect(readFileSync(join(root, '.git/refs/heads/x'), 'utf8')).toBe(content);
    expect(lockFiles(root)).toEqual([]);
  });

  it('symrefs in a circle end', () => {
    const { root, refs } = makeRepository();
    writeFileSync(join(root, '.git/refs/heads/x'), 'ref: refs/heads/y\n');
    writeFileSync(join(root, '.git/refs/heads/y'), 'ref: refs/heads/x\n');
    expect(() => refs.resolve(branchRef('x'))).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it('files below refs/ that are no refs are passed over', () => {
    const { root, refs } = makeRepository();
    for (const name of ['main.lock', '.hidden', 'with space', 'a..b'])
      writeFileSync(join(root, '.git/refs/heads', name), 'junk');
    expect([...refs.list('refs/heads/').keys()]).toEqual([MAIN]);
  });

  it('makes a symref that git follows', () => {
    const { root, refs, second } = makeRepository();
    refs.update(change(asRefName('refs/remotes/origin/main'), second));
    refs.setSymbolic(asRefName('refs/remotes/origin/HEAD'), asRefName('refs/remotes/origin/main'));
    refs.setSymbolic(HEAD, branchRef('new'));
    expect(git(root, ['symbolic-ref', 'refs/remotes/origin/HEAD']).trim()).toBe('refs/remotes/origin/main');
    expect(git(root, ['symbolic-ref', 'HEAD']).trim()).toBe('refs/heads/new');
    expect(() => refs.setSymbolic(HEAD, HEAD)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  it('refuses a linked work tree and reftable', () => {
    const { root } = makeRepository();
    git(root, ['worktree', 'add', '-q', join(root, 'linked')]);
    expect(() => Refs.open(nodeDisk, join(root, '.git/worktrees/linked'))).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE' }),
    );
    mkdirSync(join(root, '.git/reftable'));
    expect(() => openRefs(root)).toThrow(
      expect.objectContaining({ code: 'E_UNSAFE_STATE', hint: expect.stringContaining('git refs migrate') as string }),
    );
  });

  it('refuses a SHA-256 repository', () => {
    const root = makeTemporaryDirectory();
    git(root, ['init', '-q', '--object-format=sha256']);
    git(root, ['commit', '-q', '--allow-empty', '-m', 'x']);
    expect(() => openRefs(root).head()).toThrow(expect.objectContaining({ code: 'E_UNSAFE_STATE' }));
  });
});
