import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cloneKb, type CloneRequest, type CloneResult } from '../../src/kb/clone.js';
import { findLink } from '../../src/kb/link.js';
import { switchBranch } from '../../src/kb/switch.js';
import type { Report } from '../../src/kb/surroundings.js';
import { sync } from '../../src/kb/sync.js';
import { expectSound } from '../support/agree.js';
import { runOnce } from '../support/crash-run-scenarios.js';
import {
  note,
  pushFromElsewhere,
  siteAt,
  startKb,
  syncOnce,
  withKb,
  worldOf,
  write,
  type Site,
} from '../support/crash-site.js';
import { hasGitHttpBackend, startGitServer, type GitServer } from '../support/http-backend.js';
import { git, makeTemporaryDirectory } from '../support/native-git.js';

describe.skipIf(!hasGitHttpBackend())('what kb clone checks out (needs native git with http-backend)', () => {
  const root = makeTemporaryDirectory();
  let server: GitServer;
  let site: Site;
  let url: string;
  let count = 0;
  const reports: Report[] = [];
  beforeAll(async () => {
    server = await startGitServer({ root });
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    count += 1;
    reports.length = 0;
    site = siteAt(join(root, `s${count}`));
    mkdirSync(site.root);
    await startKb(site);
    git(site.remote, ['config', 'http.receivepack', 'true']);
    git(site.remote, ['tag', '-a', '-m', 'One', 'v1']);
    git(site.remote, ['tag', 'light']);
    pushFromElsewhere(site, (work) => write(work, { 'later.md': 'later\n' }));
    rmSync(site.kb, { recursive: true });
    url = `${server.url}/s${count}/remote.git`;
  });

  const world = (env: Record<string, string> = {}): ReturnType<typeof worldOf> =>
    worldOf(site, { env, report: (event) => void reports.push(event) });
  const clone = (over: Partial<CloneRequest>, env: Record<string, string> = {}): Promise<CloneResult> =>
    cloneKb(world(env), { depth: 1, timeout: '60s', insecure: false, url, directory: site.kb, ...over });
  const inKb = (...args: string[]): string => git(site.kb, args).trim();
  const onRemote = (...args: string[]): string => git(site.remote, args).trim();
  const warnings = (): string => reports.flatMap((event) => (event.kind === 'warning' ? [event.text] : [])).join('; ');

  it.each([
    [{ sessionBranch: 'agents/a' }, {}],
    [{}, { SESSION_BRANCH: 'agents/{id}', SESSION_ID: 'a' }],
  ])(
    'a session that is new begins at the default branch, and is on the remote with its first edit (%j, %j)',
    async (over, env) => {
      const main = onRemote('rev-parse', 'main');
      expect(await clone(over, env)).toMatchObject({ branch: 'agents/a', head: main, shallow: true });
      expect(onRemote('branch', '--list', 'agents/a')).toBe('');
      expect(inKb('config', '--get-all', 'remote.origin.fetch').split('\n')).toEqual([
        '+refs/heads/main:refs/remotes/origin/main',
        '+refs/heads/agents/a:refs/remotes/origin/agents/a',
      ]);
      expect(inKb('status', '--porcelain')).toBe('');
      // Whatever else the machine says about branches, the session's own is meant.
      await note(world({ ...env, SESSION_BRANCH: 'agents/a', KB_GIT_BRANCH: 'main' }), { text: 'first' });
      expect(inKb('rev-parse', '--symbolic-full-name', '@{u}')).toBe('refs/remotes/origin/agents/a');
      expect(inKb('rev-parse', 'HEAD')).toBe(onRemote('rev-parse', 'agents/a'));
      expect(onRemote('rev-parse', 'agents/a^')).toBe(main);
      expect(onRemote('rev-parse', 'main')).toBe(main);
      expect(warnings()).not.toContain('created branch');
      expect(existsSync(join(site.kb, 'later.md'))).toBe(true);
      await runOnce(world({ SESSION_BRANCH: 'agents/a' }), 'echo run > run.md');
      expect(onRemote('show', 'agents/a:run.md')).toBe('run');
      expectSound(site.kb);
      expectSound(site.remote);
      rmSync(site.kb, { recursive: true });
      expect(await clone(over, env)).toMatchObject({ branch: 'agents/a', head: onRemote('rev-parse', 'agents/a') });
    },
  );

  it('a session may begin at another branch', async () => {
    git(site.remote, ['branch', 'base', 'light']);
    await clone({ branch: 'base', sessionBranch: 's' });
    expect([inKb('symbolic-ref', 'HEAD'), inKb('rev-parse', 'HEAD')]).toEqual([
      'refs/heads/s',
      onRemote('rev-parse', 'base'),
    ]);
    rmSync(site.kb, { recursive: true });
    await expect(clone({ branch: 'v1', sessionBranch: 's' })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(clone({ sessionBranch: '-s' })).rejects.toMatchObject({ code: 'E_USAGE' });
    expect(existsSync(site.kb)).toBe(false);
  });

  it.each(['v1', 'light', 'commit'])('%s makes a read-only KB, and says so', async (name) => {
    const commit = onRemote('rev-parse', 'light');
    const asked = name === 'commit' ? commit : name;
    expect(await clone({ branch: asked })).toMatchObject({ branch: null, head: commit });
    expect(warnings()).toContain('read-only');
    expect([
      inKb('rev-parse', 'HEAD'),
      inKb('rev-parse', '--abbrev-ref', 'HEAD'),
      inKb('status', '--porcelain'),
    ]).toEqual([commit, 'HEAD', '']);
    if (name !== 'commit')
      expect(inKb('rev-parse', `refs/tags/${name}`)).toBe(onRemote('rev-parse', `refs/tags/${name}`));
    expectSound(site.kb);
    const refused = { code: 'E_UNSAFE_STATE', message: expect.stringContaining('read-only') as string };
    const refs = inKb('for-each-ref');
    await expect(note(world(), { text: 'x' })).rejects.toMatchObject(refused);
    await expect(runOnce(world(), 'touch made')).rejects.toMatchObject(refused);
    expect(existsSync(join(site.kb, 'made'))).toBe(false);
    expect(await withKb(world(), (kb) => sync(kb, { direction: 'both', commit: true }))).toMatchObject({
      result: 'up_to_date',
      after: commit,
    });
    write(site.kb, { 'edited.md': 'x\n' });
    await expect(syncOnce(world())).rejects.toMatchObject(refused);
    expect([inKb('for-each-ref'), readFileSync(join(site.kb, 'edited.md'), 'utf8')]).toEqual([refs, 'x\n']);
    git(site.kb, ['config', 'remote.origin.url', 'https://github.com/ann/notes']);
    expect((await withKb(world(), (kb) => findLink(kb, { path: 'diary.md' }))).commit).toBe(commit);
    git(site.kb, ['config', 'remote.origin.url', url]);
    const uncommitted = 'bring';
    await withKb(world(), (kb) => switchBranch(kb, { branch: 'main', create: false, uncommitted }));
    expect([inKb('rev-parse', 'HEAD'), inKb('status', '--porcelain')]).toEqual([
      onRemote('rev-parse', 'main'),
      '?? edited.md',
    ]);
    await syncOnce(world());
    expect(onRemote('show', 'main:edited.md')).toBe('x');
    expectSound(site.kb);
  });

  it('names nothing that is there: exit code 2, and nothing is left', async () => {
    await expect(clone({ branch: 'v2' })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(clone({ branch: onRemote('rev-parse', 'light').slice(0, 12) })).rejects.toMatchObject({
      code: 'E_USAGE',
    });
    git(site.remote, ['tag', 'tree', 'light^{tree}']);
    await expect(clone({ branch: 'tree' })).rejects.toMatchObject({ code: 'E_USAGE' });
    expect(existsSync(site.kb)).toBe(false);
  });

  it('a run for another branch than the one that is checked out does not start', async () => {
    await clone({});
    await expect(runOnce(world({ SESSION_BRANCH: 'other' }), 'touch made')).rejects.toMatchObject({
      code: 'E_UNSAFE_STATE',
      hint: expect.stringContaining('kb clone --session-branch other') as string,
    });
    expect(existsSync(join(site.kb, 'made'))).toBe(false);
  });
});
