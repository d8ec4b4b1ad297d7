import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nodeDisk } from '../../src/disk/disk.js';
import { isKbError, KbError } from '../../src/errors.js';
import { asOid, branchRef, type Oid } from '../../src/git/ids.js';
import { ObjectStore } from '../../src/git/objects/store.js';
import { openRemote, type RemoteOptions } from '../../src/remote/open.js';
import type { FetchRequest, FetchResult, PushOutcome, Remote } from '../../src/remote/remote.js';
import { parseRemoteUrl } from '../../src/remote/url.js';
import { expectSound } from '../support/agree.js';
import { createBareRepository, installHook } from '../support/http-backend.js';
import { git, gitEnvironment, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';
import { openSsh, startSshd, writeProgram, type Sshd, type SshdOptions } from '../support/sshd.js';

const main = branchRef('main');
const isReady = nativeGit.available && openSsh.available;

let root: string;
let bare: string;
let work: string;
const remotes: Remote[] = [];

function commit(name: string, text: string | Buffer = `${name}\n`): Oid {
  writeFileSync(join(work, name), text);
  git(work, ['add', '.']);
  git(work, ['commit', '--quiet', '-m', name]);
  return tip(work);
}

function tip(directory: string, rev = 'HEAD'): Oid {
  return asOid(git(directory, ['rev-parse', rev]).trim());
}

function newObjects(from: string | null, to: string): Oid[] {
  return git(work, ['rev-list', '--objects', to, ...(from === null ? [] : [`^${from}`])])
    .trim()
    .split('\n')
    .map((line) => asOid(line.slice(0, 40)));
}

function push(to: Remote, from: Oid | null, oid: Oid, fence?: () => void): Promise<PushOutcome> {
  return to.push({
    ref: main,
    from,
    to: oid,
    objects: ObjectStore.open(nodeDisk, join(work, '.git')),
    oids: newObjects(from, oid),
    shallow: new Set(),
    ...(fence === undefined ? {} : { fence }),
  });
}

async function fetchPack(from: Remote, request: Partial<FetchRequest>): Promise<FetchResult & { pack: Buffer }> {
  const parts: Buffer[] = [];
  const sink = { write: (chunk: Uint8Array): void => void parts.push(Buffer.from(chunk)) };
  const result = await from.fetch({ wants: [], haves: [], shallow: new Set(), sink, ...request });
  return { ...result, pack: Buffer.concat(parts) };
}

/** Native git checks a fetched pack and keeps it. */
function keepPack(directory: string, pack: Buffer): void {
  git(directory, ['index-pack', '--stdin', '--fix-thin'], { input: pack });
}

async function errorOf(promise: Promise<unknown>): Promise<KbError> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (isKbError(error)) return error;
  throw new Error(`not refused as it should be: ${String(error)}`);
}

async function open(url: string, env: NodeJS.ProcessEnv, options: Partial<RemoteOptions> = {}): Promise<Remote> {
  const remote = await openRemote(parseRemoteUrl(url, { cwd: '/' }), {
    disk: nodeDisk,
    env: { PATH: process.env['PATH'], HOME: root, ...env },
    timeoutMs: 30_000,
    ...options,
  });
  remotes.push(remote);
  return remote;
}

/** The children of this process that are running or not reaped, by their command. */
function children(): string[] {
  const found: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid)
        found.push(stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')));
    } catch {
      // it has ended meanwhile
    }
  }
  return found;
}

beforeEach(() => {
  if (!isReady) return;
  root = makeTemporaryDirectory();
  bare = createBareRepository(root, "it's a kb!.git");
  work = join(root, 'work');
  git(root, ['clone', '--quiet', bare, work], {});
  commit('one.md');
  commit('two.md');
  git(work, ['push', '--quiet', 'origin', 'main']);
});

afterEach(async () => {
  await Promise.all(remotes.splice(0).map((remote) => remote.close()));
  // Whatever a test did, of ssh nothing is left.
  expect(children().filter((name) => name === 'ssh')).toEqual([]);
});

describe.skipIf(!isReady).each<[string, SshdOptions]>([
  ['a server that lets GIT_PROTOCOL in', {}],
  ['a server of protocol v0', { acceptsProtocol: false }],
])('%s (needs sshd and native git)', (_title, options) => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd(options);
  });
  beforeEach(() => sshd.forget());
  afterAll(() => sshd.close());

  const remote = (more: Partial<RemoteOptions> = {}): Promise<Remote> =>
    open(sshd.url(bare), { GIT_SSH: sshd.program, GIT_SSH_VARIANT: 'ssh' }, more);

  it.each(['read', 'write'] as const)('discover to %s', async (intent) => {
    git(work, ['push', '--quiet', 'origin', 'main:refs/heads/other', 'main:refs/tags/v1']);
    const found = await (await remote()).discover(intent, ['refs/heads/']);
    expect([...found.refs]).toEqual([
      ['refs/heads/main', tip(work)],
      ['refs/heads/other', tip(work)],
    ]);
    expect(found.empty).toBe(false);
    if (intent === 'read') expect(found.head).toBe(main);
  });

  it('an empty repository', async () => {
    const empty = createBareRepository(root, 'empty.git');
    const to = await open(sshd.url(empty), { GIT_SSH: sshd.program });
    expect((await to.discover('read', [])).empty).toBe(true);
    expect(await to.discover('write', [])).toMatchObject({ empty: true });
    expect(await push(to, null, tip(work))).toEqual({ kind: 'landed' });
    expect(tip(empty, 'main')).toBe(tip(work));
    expectSound(empty);
  });

  it('a cycle: one connection when nothing moved, two when it did', async () => {
    const one = await remote();
    const before = (await one.discover('write', [main])).refs.get(main) ?? null;
    const mine = commit('mine.md');
    expect(await push(one, before, mine)).toEqual({ kind: 'landed' });
    expect(sshd.starts()).toHaveLength(1);
    expect(one.requests).toBe(1);
    await one.close();

    git(root, ['clone', '--quiet', bare, 'other']);
    writeFileSync(join(root, 'other', 'theirs.md'), 'theirs\n');
    git(join(root, 'other'), ['add', '.']);
    git(join(root, 'other'), ['commit', '--quiet', '-m', 'theirs']);
    git(join(root, 'other'), ['push', '--quiet', 'origin', 'main']);
    sshd.forget();
    const two = await remote();
    const moved = (await two.discover('write', [main])).refs.get(main) ?? null;
    expect(moved).not.toBe(mine);
    const { pack, empty } = await fetchPack(two, { wants: moved === null ? [] : [moved], haves: [mine] });
    expect(empty).toBe(false);
    keepPack(work, pack);
    git(work, ['reset', '--quiet', '--hard', moved ?? '']);
    expect(await push(two, moved, commit('upon.md'))).toEqual({ kind: 'landed' });
    expect(sshd.starts()).toHaveLength(2);
    expectSound(bare);
  });

  it('fetches: a shallow clone, more of it, and the whole', async () => {
    const from = await remote();
    const wants = [(await from.discover('read', [main])).refs.get(main) ?? asOid('0'.repeat(40))];
    const shallow = await fetchPack(from, { wants, depth: 1 });
    expect(shallow.shallow).toEqual(wants);
    const target = createBareRepository(root, 'target.git');
    keepPack(target, shallow.pack);
    const rest = await fetchPack(from, { wants, haves: wants, shallow: new Set(wants), deepenBy: 1 });
    expect(rest.unshallow).toEqual(wants);
    keepPack(target, rest.pack);
    git(target, ['update-ref', main, wants[0] ?? '']);
    expectSound(target);
    expect(git(target, ['rev-list', '--count', 'main']).trim()).toBe('2');
    // v2 asks again on the same connection; v0 cannot.
    expect(sshd.starts()).toHaveLength(options.acceptsProtocol === false ? 2 : 1);
  });

  it('a fetch and a push of many megabytes', async () => {
    const large = commit('large.bin', randomBytes(6_000_000));
    const before = tip(bare, 'main');
    const to = await remote();
    await to.discover('write', [main]);
    expect(await push(to, before, large)).toEqual({ kind: 'landed' });
    expectSound(bare);
    const { pack } = await fetchPack(to, { wants: [large], haves: [before] });
    const target = createBareRepository(root, 'target.git');
    git(target, ['fetch', '--quiet', bare, before]);
    keepPack(target, pack);
    git(target, ['update-ref', main, large]);
    expectSound(target);
  });

  it('what races is a race, what a hook refuses is refused, and both leave the server as it was', async () => {
    const to = await remote();
    const before = (await to.discover('write', [main])).refs.get(main) ?? null;
    const mine = commit('mine.md');
    git(bare, ['update-ref', main, `${mine.slice(0, 0)}${tip(work, 'HEAD~2')}`]);
    expect(await push(to, before, mine)).toEqual({ kind: 'race' });
    git(bare, ['update-ref', main, before ?? '']);
    installHook(bare, 'pre-receive', "printf 'no \\033[2J notes on \\342\\200\\256 Sundays\\n' >&2; exit 1");
    await to.discover('write', [main]);
    const outcome = await push(to, before, mine);
    expect(outcome).toMatchObject({ kind: 'refused' });
    expect(outcome.kind === 'refused' && outcome.message).toMatch(/no \\x1b\[2J notes on \\u202e Sundays/);
    expect(tip(bare, 'main')).toBe(before);
    git(bare, ['config', 'receive.maxInputSize', '10']);
    await to.discover('write', [main]);
    expect(await push(to, before, commit('large.bin', randomBytes(3_000_000)))).toMatchObject({ kind: 'refused' });
    expectSound(bare);
  });

  it('what the fence stops changes nothing', async () => {
    const to = await remote();
    const before = (await to.discover('write', [main])).refs.get(main) ?? null;
    const lost = new KbError('E_LOCK_LOST', 'the lock is lost');
    const stop = (): void => {
      throw lost;
    };
    for (const size of [10, 3_000_000]) {
      const mine = commit(`mine-${size}.bin`, randomBytes(size));
      await expect(push(to, before, mine, stop)).rejects.toBe(lost);
    }
    await to.close();
    expect(tip(bare, 'main')).toBe(before);
    expectSound(bare);
  });

  it('native git takes turns with it', async () => {
    const env = gitEnvironment({ GIT_SSH_COMMAND: sshd.program, GIT_SSH_VARIANT: 'ssh' });
    const native = (cwd: string, args: string[]): Promise<unknown> => promisify(execFile)('git', args, { cwd, env });
    git(work, ['remote', 'set-url', 'origin', sshd.url(bare)]);
    for (let turn = 0; turn < 3; turn += 1) {
      const to = await remote();
      const before = (await to.discover('write', [main])).refs.get(main) ?? null;
      expect(await push(to, before, commit(`kb-${turn}.md`))).toEqual({ kind: 'landed' });
      commit(`git-${turn}.md`);
      await native(work, ['push', '--quiet', 'origin', 'main']);
    }
    expect(git(bare, ['rev-list', '--count', 'main']).trim()).toBe('8');
    expectSound(bare);
  });

  describe('connections that are cut', () => {
    /** An ssh that is killed after so many bytes in one direction. */
    const cutting = (direction: 'request' | 'reply', at: number): NodeJS.ProcessEnv => {
      const script = join(root, 'cut.mjs');
      writeFileSync(
        script,
        `import { spawn } from 'node:child_process';
const child = spawn(${JSON.stringify(sshd.program)}, process.argv.slice(2), { stdio: ['pipe', 'pipe', 'inherit'] });
const end = () => { child.kill('SIGKILL'); process.exit(255); };
const pass = (from, to, limit) => {
  let left = limit;
  from.on('data', (chunk) => {
    to.write(chunk.subarray(0, left), () => { if (left < 0) end(); });
    left -= chunk.length;
  });
  from.on('end', () => to.end());
  to.on('error', () => undefined);
};
pass(process.stdin, child.stdin, ${direction === 'request' ? at : 'Infinity'});
pass(child.stdout, process.stdout, ${direction === 'reply' ? at : 'Infinity'});
child.on('close', (code) => process.exit(code ?? 255));
`,
      );
      return { GIT_SSH_COMMAND: `'${process.execPath}' '${script}'`, GIT_SSH_VARIANT: 'ssh' };
    };

    it('in the request of a push: nothing has landed, or the outcome is open, and looking tells', async () => {
      const before = tip(bare, 'main');
      const mine = commit('mine.md');
      const outcomes = new Map<string, number>();
      for (const at of [0, 1, 60, 150, 200, 250, 300, 350, 400]) {
        git(bare, ['update-ref', main, before]);
        const to = await open(sshd.url(bare), cutting('request', at));
        await to.discover('write', [main]);
        const outcome = await push(to, before, mine).then(
          ({ kind }) => kind,
          (error: unknown) => (isKbError(error) ? error.code : 'other'),
        );
        await to.close();
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        const landed = tip(bare, 'main') === mine;
        if (outcome === 'landed') expect(landed).toBe(true);
        else expect(['unknown', 'E_NETWORK']).toContain(outcome);
        if (outcome === 'E_NETWORK') expect(landed).toBe(false);
      }
      expect(outcomes.get('unknown') ?? 0).toBeGreaterThan(3);
      expectSound(bare);
    });

    it('in the reply to a push: landed or open, never wrong', async () => {
      const before = tip(bare, 'main');
      const mine = commit('mine.md');
      const whole = await open(sshd.url(bare), cutting('reply', 1_000_000));
      await whole.discover('write', [main]);
      expect(await push(whole, before, mine)).toEqual({ kind: 'landed' });
      git(bare, ['update-ref', main, before]);
      const advertised = await advertisementBytes(sshd, bare);
      let open_ = 0;
      for (const more of [0, 1, 4, 9, 20, 30, 45]) {
        git(bare, ['update-ref', main, before]);
        const to = await open(sshd.url(bare), cutting('reply', advertised + more));
        await to.discover('write', [main]);
        const outcome = await push(to, before, mine);
        await to.close();
        if (outcome.kind === 'landed') expect(tip(bare, 'main')).toBe(mine);
        else {
          expect(outcome.kind).toBe('unknown');
          open_ += 1;
        }
      }
      expect(open_).toBeGreaterThan(3);
    });

    it('in what is fetched or listed: an error, never a wrong success', async () => {
      const wants = [tip(bare, 'main')];
      for (const at of [0, 3, 10, 100, 300, 400, 500]) {
        const from = await open(sshd.url(bare), cutting('reply', at));
        const error = await from
          .discover('read', [main])
          .then(() => fetchPack(from, { wants }))
          .then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
        expect(isKbError(error, 'E_NETWORK')).toBe(true);
        await from.close();
      }
    });
  });
});

/** What a client reads before it may push. */
async function advertisementBytes(sshd: Sshd, repository: string): Promise<number> {
  const { stdout } = await promisify(execFile)('git-receive-pack', ['--http-backend-info-refs', repository], {
    env: { ...gitEnvironment(), PATH: `${git('/', ['--exec-path']).trim()}:${process.env['PATH'] ?? ''}` },
    encoding: 'buffer',
  });
  expect(sshd.port).toBeGreaterThan(0);
  return stdout.length;
}

describe.skipIf(!isReady)('what goes wrong with ssh (needs sshd and native git)', () => {
  let sshd: Sshd;
  beforeAll(async () => {
    sshd = await startSshd();
  });
  afterAll(() => sshd.close());

  const client = (options: string): NodeJS.ProcessEnv => ({
    GIT_SSH_COMMAND: `'${openSsh.client}' -F none -o IdentityAgent=none -o GlobalKnownHostsFile=none ${options}`,
  });
  const withKey = `-o IdentitiesOnly=yes -i KEY -o UserKnownHostsFile=HOSTS`;
  const failing = (options: string, url = sshd.url(bare), more: Partial<RemoteOptions> = {}): Promise<KbError> =>
    open(url, client(options.replace('KEY', sshd.key).replace('HOSTS', sshd.knownHosts)), more).then((remote) =>
      errorOf(remote.discover('read', [])),
    );

  it('as it is configured here, nothing does', async () => {
    const env = client(withKey.replace('KEY', sshd.key).replace('HOSTS', sshd.knownHosts));
    expect((await (await open(sshd.url(bare), env)).discover('read', [])).refs.size).toBe(1);
  });

  it('an unknown host', async () => {
    const error = await failing('-o UserKnownHostsFile=/dev/null -i KEY');
    expect(error).toMatchObject({ code: 'E_AUTH', details: { ssh: 'host-unknown' } });
    expect(error.hint).toContain('ssh-keyscan');
  });

  it('a host with another key', async () => {
    const hosts = join(root, 'hosts');
    const other = readFileSync(`${sshd.key}.pub`, 'utf8').split(' ');
    writeFileSync(hosts, `[127.0.0.1]:${sshd.port} ${other[0]} ${other[1]}\n`);
    const error = await failing(`-i KEY -o UserKnownHostsFile=${hosts}`);
    expect(error).toMatchObject({ code: 'E_AUTH', details: { ssh: 'host-key-changed' } });
  });

  it('a key that is not accepted', async () => {
    const error = await failing('-i /nowhere -o IdentitiesOnly=yes -o UserKnownHostsFile=HOSTS');
    expect(error).toMatchObject({ code: 'E_AUTH', details: { ssh: 'refused-key' } });
    expect(error.message).toContain('publickey');
  });

  it('a repository that is not there', async () => {
    const error = await failing(withKey, sshd.url('/nowhere.git'));
    expect(error).toMatchObject({ code: 'E_AUTH', details: { ssh: 'not-found' } });
    expect(error.message).toContain("'/nowhere.git' does not appear to be a git repository");
  });

  it('nobody who listens', async () => {
    const error = await failing(withKey, `ssh://127.0.0.1:1${bare}`);
    expect(error).toMatchObject({ code: 'E_NETWORK', retryable: true, details: { ssh: 'refused' } });
  });

  it.each([
    ['GIT_SSH', { GIT_SSH: '/nowhere/ssh' }],
    ['GIT_SSH_COMMAND', { GIT_SSH_COMMAND: '/nowhere/ssh -v' }],
    ['PATH', { PATH: '/nowhere' }],
  ])('no client: %s', async (_title, env) => {
    const error = await errorOf((await open(sshd.url(bare), env)).discover('write', []));
    expect(error).toMatchObject({ code: 'E_NETWORK', retryable: false, details: { ssh: 'missing' } });
  });

  it('a configuration that is none', async () => {
    expect(await failing('-o NoSuchOption=yes')).toMatchObject({ code: 'E_USAGE' });
  });

  it('an account that prints something first', async () => {
    const talkative = writeProgram(root, 'talkative', `echo welcome; exec '${sshd.program}' "$@"`);
    const remote = await open(sshd.url(bare), { GIT_SSH: talkative, GIT_SSH_VARIANT: 'ssh' });
    const error = await errorOf(remote.discover('read', []));
    expect(error.code).toBe('E_NETWORK');
    expect(error.hint).toContain('prints something at its start');
  });

  describe('a server that never says anything', () => {
    let silent: Server;
    let url: string;
    beforeEach(async () => {
      silent = createServer((socket) => socket.on('error', () => undefined));
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      url = `ssh://127.0.0.1:${(silent.address() as AddressInfo).port}/kb`;
    });
    afterEach(() => void silent.close());

    it('is given up after the time for all, and after the time of silence', async () => {
      expect((await failing(withKey, url, { timeoutMs: 300 })).message).toMatch(/time for the whole operation is over/);
      expect((await failing(withKey, url, { idleTimeoutMs: 300 })).message).toMatch(/went silent/);
    });

    it('can be aborted', async () => {
      const controller = new AbortController();
      const reason = new KbError('E_INTERRUPTED', 'Ctrl-C');
      setTimeout(() => controller.abort(reason), 200);
      expect(await failing(withKey, url, { signal: controller.signal })).toBe(reason);
    });
  });

  it('a wrapper that ignores being asked to end is ended, with all that it started', async () => {
    const pids = join(root, 'pids');
    const stubborn = writeProgram(
      root,
      'stubborn',
      `trap '' TERM\nsleep 600 & echo $! $$ >'${pids}'; wait; wait; sleep 600`,
    );
    const remote = await open(sshd.url(bare), { GIT_SSH: stubborn, GIT_SSH_VARIANT: 'ssh' }, { timeoutMs: 500 });
    expect(await errorOf(remote.discover('read', []))).toMatchObject({ code: 'E_NETWORK' });
    await remote.close();
    // What was killed is gone only when its new parent has taken note of it.
    for (const pid of readFileSync(pids, 'utf8').trim().split(' '))
      await expect.poll(() => isRunning(Number(pid)), { timeout: 5000 }).toBe(false);
  });

  it('kb asks nobody where nobody is, and lets ssh ask where somebody is', async () => {
    const log = join(root, 'arguments');
    const printing = writeProgram(root, 'printing', `printf '%s\\n' "$*" >>'${log}'; exit 1`);
    for (const ask of [() => Promise.resolve(''), undefined]) {
      const remote = await open(sshd.url(bare), { GIT_SSH: printing, GIT_SSH_VARIANT: 'ssh' }, { ask });
      await errorOf(remote.discover('read', []));
    }
    const [asking, silent] = readFileSync(log, 'utf8').split('\n');
    expect(asking).not.toContain('BatchMode');
    expect(silent).toContain('-o BatchMode=yes');
  });

  it('an unknown program is asked with -G whether it is an ssh, as git does', async () => {
    sshd.forget();
    const wrapped = join(root, 'my-wrapper');
    rmSync(wrapped, { force: true });
    writeProgram(root, 'my-wrapper', `exec '${sshd.program}' "$@"`);
    const remote = await open(sshd.url(bare), { GIT_SSH: wrapped });
    expect((await remote.discover('read', [])).refs.size).toBe(1);
    expect(sshd.starts()[0]).toMatch(/^-G -p \d+ \S+$/);
    const simple = writeProgram(
      root,
      'my-simple',
      `[ "$1" = -G ] && exit 1; exec '${sshd.program}' -p ${sshd.port} "$@"`,
    );
    const other = await open(`${sshd.user}@127.0.0.1:${bare}`, { GIT_SSH: simple });
    expect((await other.discover('read', [])).refs.size).toBe(1);
  });

  it('passes ssh no secret of the environment', async () => {
    const log = join(root, 'environment');
    const printing = writeProgram(root, 'printing', `env >'${log}'; exit 1`);
    const env = {
      GIT_SSH: printing,
      GIT_SSH_VARIANT: 'ssh',
      KB_GIT_AUTH_TOKEN: 's3cret-one',
      GITHUB_TOKEN: 's3cret-two',
    };
    await errorOf((await open(sshd.url(bare), env)).discover('read', []));
    const seen = readFileSync(log, 'utf8');
    expect(seen).toContain('GIT_PROTOCOL=version=2');
    expect(seen).not.toContain('s3cret');
  });
});

describe.skipIf(!nativeGit.available || process.platform === 'win32')(
  'what native git makes of addresses (needs native git)',
  () => {
    it.each([
      'ssh://git@host/kb.git',
      'ssh://host:2222/a/b',
      'ssh://[::1]:2222/a',
      'ssh://host/~ann/kb.git',
      'ssh://host/my%20kb',
      'git@github.com:ann/notes.git',
      'host:path/to/kb',
      'host:a%20b',
      'host:a:b',
      'ann@[::1]:kb',
      '[host:2222]:kb',
      "host:it's! $HOME `id`",
    ])('%s', async (address) => {
      const log = join(root, 'arguments');
      const printing = writeProgram(root, 'ssh', `printf '%s\\n' "$@" >>'${log}'; echo -- >>'${log}'; exit 1`);
      git(root, ['ls-remote', '--', address], { env: { GIT_SSH: printing }, allowFailure: true });
      await errorOf(
        (await open(address, { GIT_SSH: printing }, { ask: () => Promise.resolve('') })).discover('read', []),
      );
      const [native, own] = readFileSync(log, 'utf8').split('--\n');
      expect(own).toBe(native);
    });

    it.each(['ssh://-oProxyCommand=id/x', '-oProxyCommand=id:x', 'host:-x', 'ssh://host/-x'])(
      '%s: what native git blocks, kb refuses',
      (address) => {
        const log = join(root, 'arguments');
        const printing = writeProgram(root, 'ssh', `echo started >>'${log}'; exit 1`);
        git(root, ['ls-remote', '--', address], { env: { GIT_SSH: printing }, allowFailure: true });
        if (address !== 'ssh://host/-x') {
          expect(() => parseRemoteUrl(address, { cwd: '/' })).toThrow(KbError);
          expect(() => readFileSync(log)).toThrow(/ENOENT/);
        }
      },
    );
  },
);

function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^\d+ \(.*\) Z/s.test(stat);
  } catch {
    return false;
  }
}
