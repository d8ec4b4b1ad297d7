import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cloneKb } from '../../src/kb/clone.js';
import { readDiff } from '../../src/kb/diff.js';
import { collectGarbage } from '../../src/kb/gc.js';
import { findLink, type LinkResult } from '../../src/kb/link.js';
import { switchBranch } from '../../src/kb/switch.js';
import { expectNativeGitAgrees } from '../support/agree.js';
import { createBareRepository, hasGitHttpBackend, startGitServer, type GitServer } from '../support/http-backend.js';
import { git, gitEnvironment, makeTemporaryDirectory } from '../support/native-git.js';
import {
  addTo,
  appendTo,
  errorOf,
  outcomeOf,
  syncAt,
  timesOnRemote,
  withSite,
  world,
  type QueueSite,
} from '../support/queue-site.js';

const FILES: Readonly<Record<string, string>> = {
  'root.md': 'root\n',
  'team/in.md': 'one\ntwo\nthree\n',
  'far/away.md': 'one\ntwo\nthree\nfour\nfive\n',
  'far/other.md': 'other\n',
  'far/deep/big.md': 'big\n'.repeat(5000),
};

describe.skipIf(!hasGitHttpBackend())('a partial clone (needs native git with http-backend)', () => {
  const root = makeTemporaryDirectory();
  let server: GitServer;
  let made = 0;
  let site: QueueSite;

  beforeAll(async () => {
    server = await startGitServer({ root });
  });
  afterAll(() => server.close());
  beforeEach(() => {
    server.faults = undefined;
    made += 1;
    const name = `partial${made}.git`;
    const settings = ['uploadpack.allowFilter=true', 'uploadpack.allowAnySHA1InWant=true'];
    const remote = createBareRepository(root, name, ...settings);
    const own = join(makeTemporaryDirectory(), 'site');
    mkdirSync(own);
    site = { root: own, remote, url: `${server.url}/${name}`, kb: join(own, 'kb') };
    git(own, ['init', '-q', 'elsewhere']);
    pushFromElsewhere(FILES);
    server.reset();
  });

  const elsewhere = (): string => join(site.root, 'elsewhere');

  function put(directory: string, files: Readonly<Record<string, string | null>>): void {
    for (const [path, text] of Object.entries(files)) {
      const at = join(directory, path);
      if (text === null) rmSync(at);
      else {
        mkdirSync(dirname(at), { recursive: true });
        writeFileSync(at, text);
      }
    }
  }

  function pushFromElsewhere(files: Readonly<Record<string, string | null>>, branch = 'main'): void {
    const work = elsewhere();
    git(work, ['pull', '-q', '--rebase', site.remote, 'main'], { allowFailure: true });
    put(work, files);
    git(work, ['add', '-A']);
    git(work, ['commit', '-q', '-m', 'Elsewhere']);
    git(work, ['push', '-q', site.remote, `HEAD:${branch}`]);
  }

  /** Native git while the server, in this process, can answer it. */
  async function gitInBackground(cwd: string, args: readonly string[]): Promise<void> {
    await promisify(execFile)('git', [...args], { cwd, env: gitEnvironment() });
  }

  async function cloneSparse(url = site.url): Promise<void> {
    const request = { url, directory: site.kb, depth: 1, timeout: '60s', insecure: false, sparse: ['team'] };
    await cloneKb(world(site), request);
  }

  /** What native git has to fetch for all files of the last commit, without fetching it. */
  const missing = (): string[] =>
    git(site.kb, ['rev-list', '--objects', '--missing=print', '--all'])
      .split('\n')
      .filter((line) => line.startsWith('?'))
      .map((line) => line.slice(1));
  const blob = (path: string, commit = 'main'): string => git(site.remote, ['rev-parse', `${commit}:${path}`]).trim();
  const onRemote = (path: string): string => git(site.remote, ['show', `main:${path}`]);
  const fetches = (): number =>
    server.requests.filter(({ method, path }) => method === 'POST' && /upload/.test(path)).length;
  const packs = (): string[] => readdirSync(join(site.kb, '.git/objects/pack'));

  it('has the files of its folders, and is set as native git sets it', async () => {
    await cloneSparse();
    // refs, what the server can do, history, files
    expect(server.requests).toHaveLength(4);
    expect(missing().sort()).toEqual([blob('far/away.md'), blob('far/other.md'), blob('far/deep/big.md')].sort());
    expect(packs().filter((name) => name.endsWith('.promisor'))).toHaveLength(2);
    expect(packs().filter((name) => name.endsWith('.pack'))).toHaveLength(2);
    expectNativeGitAgrees(site.kb, site.remote);
    const native = join(site.root, 'native');
    await gitInBackground(site.root, ['clone', '-q', '--sparse', '--filter=blob:none', '--depth=1', site.url, native]);
    const settings = (directory: string): string[] =>
      git(directory, ['config', '--local', '--list']).trim().split('\n').sort();
    expect(settings(site.kb)).toEqual(settings(native));
    // native git fetches the rest by itself
    await gitInBackground(site.kb, ['sparse-checkout', 'disable']);
    expect(readFileSync(join(site.kb, 'far/away.md'), 'utf8')).toBe(FILES['far/away.md']);
    expect(missing()).toEqual([]);
    expectNativeGitAgrees(site.kb, site.remote);
    expect(await addTo(site, 'now whole.')).toMatchObject({ landed: true });
  });

  it('takes notes, and fetches for them only what they change', async () => {
    await cloneSparse();
    server.reset();
    await addTo(site, { text: 'inside.', target: { kind: 'new', path: 'team/new.md' } });
    await addTo(site, { text: 'outside.', target: { kind: 'new', path: 'far/new.md' } });
    expect(fetches()).toBe(0);
    await addTo(site, appendTo('far/away.md', 'appended.'));
    expect(fetches()).toBe(1);
    expect(onRemote('far/away.md')).toMatch(/five\n.*appended\.\n$/);
    expect(missing()).toHaveLength(2);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('links a file that is elsewhere, and fetches it only to count its lines', async () => {
    writeFileSync(join(elsewhere(), 'kb.yaml'), 'permalink: https://view.example/{commit}/{path}#L{line}\n');
    pushFromElsewhere({ 'far/away.md': '# One\n\n## Log\n' });
    await cloneSparse();
    server.reset();
    const link = (over: object): Promise<LinkResult> =>
      withSite(site, {}, (kb) => findLink(kb, { path: 'far/away.md', ...over }));
    expect((await link({})).path).toBe('far/away.md');
    expect(server.requests).toEqual([]);
    expect((await link({ heading: 'Log' })).lines).toEqual({ first: 3, last: 3 });
    expect(fetches()).toBe(1);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('of a tag, where no branch is checked out, fetches as well', async () => {
    pushFromElsewhere({
      'far/away.md': '# One\n\n## Log\n',
      'kb.yaml': 'permalink: https://view.example/{commit}/{path}#L{line}\n',
    });
    git(site.remote, ['tag', 'v1', 'main']);
    const request = { url: site.url, directory: site.kb, depth: 1, timeout: '60s', insecure: false, sparse: ['team'] };
    await cloneKb(world(site), { ...request, branch: 'v1' });
    const found = await withSite(site, {}, (kb) => findLink(kb, { path: 'far/away.md', heading: 'Log' }));
    expect(found.lines).toEqual({ first: 3, last: 3 });
  });

  it('shows what a commit changed, and fetches for it the files that are elsewhere, at once', async () => {
    pushFromElsewhere({ 'far/away.md': 'changed\n', 'far/deep/big.md': 'small\n', 'team/in.md': 'in\n' });
    await cloneSparse();
    server.reset();
    const { diff } = await withSite(site, {}, (kb) => readDiff(kb, { paths: [], commit: 'main' }));
    // more history, files
    expect(fetches()).toBe(2);
    const native = git(site.remote, ['diff', '--no-renames', '--full-index', 'main~1', 'main']);
    expect(diff.toString()).toBe(native);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('pulls what changed without the files that are not to be here, those that are in one further request', async () => {
    await cloneSparse();
    pushFromElsewhere({
      'far/away.md': 'changed\n',
      'far/deep/big.md': 'bigger\n'.repeat(5000),
      'team/in.md': 'one\nTWO\nthree\n',
      'team/more.md': 'more\n',
    });
    server.reset();
    await syncAt(site);
    expect(fetches()).toBe(3); // refs, history, files
    expect(readFileSync(join(site.kb, 'team/in.md'), 'utf8')).toBe('one\nTWO\nthree\n');
    expect(missing()).toContain(blob('far/deep/big.md'));
    expectNativeGitAgrees(site.kb, site.remote);
    pushFromElsewhere({ 'far/other.md': 'changed\n' });
    server.reset();
    await syncAt(site);
    expect(fetches()).toBe(2); // no file comes into sight
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('merges files that are not here, all that it needs for it in one request', async () => {
    await cloneSparse();
    await addTo(site, { ...appendTo('far/away.md', 'mine.') });
    await addTo(site, { ...appendTo('far/other.md', 'mine too.'), push: false });
    pushFromElsewhere({ 'far/away.md': 'ONE\ntwo\n', 'far/other.md': 'OTHER\nother\n', 'team/in.md': 'in\n' });
    server.reset();
    await syncAt(site);
    expect(fetches()).toBeLessThanOrEqual(3);
    expect(onRemote('far/other.md')).toMatch(/^OTHER\nother\n.*mine too\.\n$/);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('pushes a file that was moved without having it', async () => {
    await cloneSparse();
    const tree = git(site.kb, ['ls-tree', 'HEAD:far']).replace('away.md', 'moved.md');
    const far = git(site.kb, ['mktree', '--missing'], { input: tree }).trim();
    const top = git(site.kb, ['ls-tree', 'HEAD']).replace(/(tree )\w+(\tfar)/, `$1${far}$2`);
    const moved = git(site.kb, ['mktree', '--missing'], { input: top }).trim();
    const commit = git(site.kb, ['commit-tree', moved, '-p', 'HEAD', '-m', 'Move']).trim();
    git(site.kb, ['reset', '-q', '--soft', commit]);
    git(site.kb, ['read-tree', '-m', 'HEAD']);
    git(site.kb, ['sparse-checkout', 'reapply']);
    const before = missing();
    expect(await syncAt(site)).toMatchObject({ result: 'pushed' });
    expect(missing()).toEqual(before);
    expect(onRemote('far/moved.md')).toBe(FILES['far/away.md']);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('says so when what it needs cannot be fetched, keeps nothing half done, and does it later', async () => {
    await cloneSparse();
    server.faults = () => ({ kind: 'reset' });
    const error = errorOf(await outcomeOf(addTo(site, appendTo('far/away.md', 'offline.'))));
    expect(error).toMatchObject({ code: 'E_NETWORK' });
    expect(error.hint).not.toBe('');
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    server.faults = undefined;
    await addTo(site, appendTo('far/away.md', 'online.'));
    await syncAt(site);
    expect(timesOnRemote(site, 'online.') + timesOnRemote(site, 'offline.')).toBeLessThanOrEqual(2);
    expect(onRemote('far/away.md')).toMatch(/online\.\n/);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('keeps a note to a file that is elsewhere when older local commits are in conflict: the remote is there', async () => {
    await cloneSparse();
    writeFileSync(join(site.kb, 'team/in.md'), 'ours\n');
    git(site.kb, ['commit', '-q', '-am', 'Ours']);
    pushFromElsewhere({ 'team/in.md': 'theirs\n' });
    const error = errorOf(await outcomeOf(addTo(site, appendTo('far/away.md', 'behind.'))));
    expect(error).toMatchObject({ code: 'E_CONFLICT' });
    expect(git(site.kb, ['rev-parse', 'HEAD']).trim()).toBe(error.details['saved']);
    expect(git(site.kb, ['show', 'HEAD:far/away.md'])).toMatch(/five\n.*behind\.\n$/);
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    expect(git(site.kb, ['fsck', '--strict', '--no-dangling'])).toBe('');
  });

  it('a note inside is saved offline as ever', async () => {
    await cloneSparse();
    server.faults = () => ({ kind: 'reset' });
    const error = errorOf(await outcomeOf(addTo(site, appendTo('team/in.md', 'offline.'))));
    expect(error.details).toHaveProperty('saved');
    server.faults = undefined;
    await syncAt(site);
    expect(onRemote('team/in.md')).toMatch(/offline\.\n$/);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('leaves nothing when a fetch of files is cut', async () => {
    await cloneSparse();
    pushFromElsewhere({ 'team/in.md': 'changed\n' });
    server.reset();
    server.faults = ({ number }) => (number >= 3 ? { kind: 'reset' } : undefined);
    expect(errorOf(await outcomeOf(syncAt(site))).code).toBe('E_NETWORK');
    expect(git(site.kb, ['fsck', '--strict', '--no-dangling'])).toBe('');
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
    server.faults = undefined;
    expect(await syncAt(site)).toMatchObject({ result: 'pulled' });
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('is packed, and what the remote promised stays its business', async () => {
    await cloneSparse();
    for (let n = 0; n < 3; n += 1) await addTo(site, `note ${n}.`);
    const before = missing();
    await withSite(site, {}, (kb) => collectGarbage(kb));
    expect(missing()).toEqual(before);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('goes to a branch that only the remote has, with the files that are to be here', async () => {
    await cloneSparse();
    pushFromElsewhere({ 'team/in.md': 'draft\n', 'far/away.md': 'far draft\n' }, 'drafts');
    await withSite(site, {}, (kb) => switchBranch(kb, { branch: 'drafts', create: false, uncommitted: 'bring' }));
    expect(readFileSync(join(site.kb, 'team/in.md'), 'utf8')).toBe('draft\n');
    expect(missing()).toContain(blob('far/away.md', 'drafts'));
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
  });

  it('is not made where the server does not offer it', async () => {
    git(site.remote, ['config', 'uploadpack.allowFilter', 'false']);
    await cloneSparse();
    expect(missing()).toEqual([]);
    expect(git(site.kb, ['config', '--get-regexp', 'promisor'], { allowFailure: true })).toBe('');
    expect(existsSync(join(site.kb, 'far'))).toBe(false);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it('is not made from a path', async () => {
    await cloneSparse(site.remote);
    expect(missing()).toEqual([]);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it.each(['http', 'path'])('of native git, from %s, is used as it is', async (way) => {
    const url = way === 'http' ? site.url : `file://${site.remote}`;
    pushFromElsewhere({ 'far/away.md': `${FILES['far/away.md']}six\n` });
    await gitInBackground(site.root, ['clone', '-q', '--filter=blob:none', '--no-checkout', url, site.kb]);
    git(site.kb, ['sparse-checkout', 'set', 'team']);
    await gitInBackground(site.kb, ['checkout', '-q', 'main']);
    await addTo(site, appendTo('far/away.md', 'appended.'));
    pushFromElsewhere({ 'team/in.md': 'changed\n', 'far/other.md': 'changed\n' });
    await syncAt(site);
    expect(readFileSync(join(site.kb, 'team/in.md'), 'utf8')).toBe('changed\n');
    expect(onRemote('far/away.md')).toMatch(/six\n.*appended\.\n$/);
    expectNativeGitAgrees(site.kb, site.remote);
  });

  it.each(['tree:0', 'sparse:oid=main:team/in.md'])(
    'of native git by %s is refused before anything changes',
    async (filter) => {
      await gitInBackground(site.root, ['clone', '-q', '--filter=blob:none', '--no-checkout', site.url, site.kb]);
      git(site.kb, ['config', 'remote.origin.partialclonefilter', filter]);
      const before = git(site.kb, ['count-objects', '-v']);
      const error = errorOf(await outcomeOf(addTo(site, 'never.')));
      expect(error).toMatchObject({ code: 'E_UNSAFE_STATE' });
      expect(error.message).toContain('partial clone');
      expect(git(site.kb, ['count-objects', '-v'])).toBe(before);
    },
  );
});
