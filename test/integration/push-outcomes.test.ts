import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCodeOf, type ErrorCode } from '../../src/errors.js';
import { addNote } from '../../src/kb/note.js';
import { hasGitHttpBackend, installHook, type Fault } from '../support/http-backend.js';
import { git } from '../support/native-git.js';
import {
  errorOf,
  expectSettled,
  isPush,
  noteRequest,
  outcomeOf,
  pushesOf,
  serveSites,
  timesOnRemote,
  withSite,
  type QueueSite,
  type Writer,
} from '../support/queue-site.js';
import { openSsh, startSshd, writeProgram, type Sshd } from '../support/sshd.js';

/** What a server said about a push, as its report and in band 2, and what kb makes of it. */
interface Answer {
  readonly who: string;
  /** Of the `ng` line. */
  readonly reason: string;
  readonly says?: readonly string[];
  readonly unpack?: string;
  /** `race`: kb tries again, and lands. */
  readonly outcome: 'race' | ErrorCode;
  /** In the message or the hint. */
  readonly told?: string;
}

const REPORTS: readonly Answer[] = [
  { who: 'git: another push came first', reason: 'failed to update ref', outcome: 'race' },
  { who: 'git: another push holds the lock', reason: 'cannot lock ref', outcome: 'race' },
  {
    who: 'GitHub: another push came first',
    reason: `cannot lock ref 'refs/heads/main': is at ${'a'.repeat(40)} but expected ${'b'.repeat(40)}`,
    outcome: 'race',
  },
  { who: 'git 2.50: another push came first', reason: 'incorrect old value provided', outcome: 'race' },
  { who: 'git 2.50: another push made the branch', reason: 'reference already exists', outcome: 'race' },
  { who: 'git: receive.denyNonFastForwards', reason: 'non-fast-forward', outcome: 'race' },
  { who: 'JGit (Gerrit, Bitbucket)', reason: 'non-fast forward', outcome: 'race' },
  { who: 'JGit: another push holds the lock', reason: 'failed to lock', outcome: 'race' },
  { who: 'some hosts say it as the client would', reason: 'fetch first', outcome: 'race' },
  {
    who: 'GitHub: protected branch',
    reason: 'protected branch hook declined',
    says: [
      'error: GH006: Protected branch update failed for refs/heads/main.',
      '- Changes must be made through a pull request.',
    ],
    outcome: 'E_REFUSED',
    told: 'GH006',
  },
  {
    who: 'GitHub: push protection',
    reason: 'push declined due to repository rule violations',
    says: [
      'error: GH013: Repository rule violations found for refs/heads/main.',
      '- GITHUB PUSH PROTECTION',
      '—— GitHub Personal Access Token ——',
    ],
    outcome: 'E_REFUSED',
    told: 'GH013',
  },
  {
    who: 'GitHub: a file that is too large',
    reason: 'pre-receive hook declined',
    says: [
      "error: File big.bin is 123.00 MB; this exceeds GitHub's file size limit of 100.00 MB",
      'error: GH001: Large files detected.',
    ],
    outcome: 'E_REFUSED',
    told: 'GH001',
  },
  {
    who: 'GitLab: protected branch',
    reason: 'pre-receive hook declined',
    says: ['GitLab: You are not allowed to push code to protected branches on this project.'],
    outcome: 'E_REFUSED',
    told: 'not allowed to push code to protected branches',
  },
  {
    who: 'GitLab: for a moment nobody may write',
    reason: 'pre-receive hook declined',
    says: ['GitLab: The repository is temporarily read-only. Please try again later.'],
    outcome: 'E_NETWORK',
    told: 'temporarily read-only',
  },
  {
    who: 'GitLab: its own parts do not answer',
    reason: 'pre-receive hook declined',
    says: ['GitLab: Internal API unreachable'],
    outcome: 'E_NETWORK',
    told: 'Internal API unreachable',
  },
  {
    who: 'Gitea, Forgejo: protected branch',
    reason: 'pre-receive hook declined',
    says: ['Gitea: Not allowed to push to protected branch main'],
    outcome: 'E_REFUSED',
    told: 'Not allowed to push to protected branch main',
  },
  {
    who: 'a hook with race words of its own',
    reason: 'pre-receive hook declined',
    says: ['failed to update ref: fetch first'],
    outcome: 'E_REFUSED',
    told: 'fetch first',
  },
  { who: 'an update hook', reason: 'hook declined', outcome: 'E_REFUSED', told: 'hook declined' },
  { who: 'a ref that the host keeps', reason: 'deny updating a hidden ref', outcome: 'E_REFUSED', told: 'hidden ref' },
  {
    who: 'a server that takes no shallow history',
    reason: 'shallow update not allowed',
    outcome: 'E_REFUSED',
    told: 'kb clone --depth full',
  },
  {
    who: 'the branch of a work tree',
    reason: 'branch is currently checked out',
    outcome: 'E_REFUSED',
    told: 'checked out',
  },
  {
    who: 'git: receive.maxInputSize',
    reason: 'unpacker error',
    unpack: 'index-pack abnormal exit',
    says: ['fatal: pack exceeds maximum allowed size (1.00 MiB)'],
    outcome: 'E_REFUSED',
    told: 'exceeds maximum allowed size',
  },
  {
    who: 'a name that is taken by a folder',
    reason: "cannot lock ref 'refs/heads/main': 'refs/heads/main/x' exists; cannot create 'refs/heads/main'",
    outcome: 'E_REFUSED',
    told: 'cannot create',
  },
  {
    who: 'a disk that is full',
    reason: 'failed to update ref',
    says: ['error: unable to write: No space left on device'],
    outcome: 'E_REFUSED',
    told: 'No space left',
  },
  {
    who: 'control characters',
    reason: 'hook declined',
    says: ['\u001b[31mred \u202e no'],
    outcome: 'E_REFUSED',
    told: '\\x1b[31mred',
  },
];

const pkt = (text: string | Buffer): Buffer => {
  const data = Buffer.from(text);
  return Buffer.concat([Buffer.from((data.length + 4).toString(16).padStart(4, '0')), data]);
};

/** Status report in band 1, messages in band 2 (gitprotocol-pack(5), "Report Status"; gitprotocol-common(5), side-band). */
function reportOf({ reason, says = [], unpack = 'ok' }: Answer): Buffer {
  const band = (number: number, data: Buffer): Buffer => pkt(Buffer.concat([Buffer.from([number]), data]));
  const report = Buffer.concat([pkt(`unpack ${unpack}\n`), pkt(`ng refs/heads/main ${reason}\n`), Buffer.from('0000')]);
  const messages = says.map((line) => band(2, Buffer.from(`${line}\n`)));
  return Buffer.concat([...messages, band(1, report), Buffer.from('0000')]);
}

describe.skipIf(!hasGitHttpBackend())('what becomes of a push (needs native git with http-backend)', () => {
  const at = serveSites();

  const note = (site: QueueSite, writer: Writer = {}): ReturnType<typeof addNote> =>
    withSite(site, writer, (kb) => addNote(kb, noteRequest(kb, { text: 'exactly once' })));

  /** @param tries pushes that the server saw */
  async function expectOutcome(
    site: QueueSite,
    { outcome, told }: Pick<Answer, 'outcome' | 'told'>,
    writer: Writer = {},
  ): Promise<void> {
    const before = git(site.remote, ['rev-parse', 'main']);
    const result = await outcomeOf(note(site, writer));
    if (outcome === 'race') {
      expect(result.status === 'fulfilled' ? result.value.landed : result.reason).toBe(true);
      expect(timesOnRemote(site, 'exactly once')).toBe(1);
      expectSettled(site);
      return;
    }
    const error = errorOf(result);
    expect(`${error.code}: ${error.message}`).toMatch(new RegExp(`^${outcome}: `));
    expect(error.exitCode).toBe(exitCodeOf(outcome));
    if (told !== undefined) expect(`${error.message} ${error.hint}`).toContain(told);
    expect(git(site.remote, ['rev-parse', 'main'])).toBe(before);
    // What could not go out for a while is kept as a commit; what was refused is nowhere.
    expect(git(site.kb, ['rev-list', '--count', 'origin/main..main']).trim()).toBe(outcome === 'E_NETWORK' ? '1' : '0');
    expect(git(site.kb, ['status', '--porcelain'])).toBe('');
  }

  describe('by its report, over http', () => {
    it.each(REPORTS)('$who: $reason', async (answer) => {
      const type = 'application/x-git-receive-pack-result';
      const fault: Fault = {
        kind: 'status',
        status: 200,
        headers: { 'Content-Type': type },
        body: reportOf(answer).toString('utf8'),
      };
      let told = 0;
      at.server.faults = (request) => (isPush(request) && (told += 1) === 1 ? fault : undefined);
      await expectOutcome(at.site, answer);
      expect(pushesOf(at.server)).toBe(answer.outcome === 'race' ? 2 : 1);
    });
  });

  describe.skipIf(!openSsh.available)('by its report, over ssh (needs sshd)', () => {
    let sshd: Sshd;
    beforeAll(async () => {
      sshd = await startSshd();
    });
    afterAll(() => sshd.close());

    it.each(REPORTS)('$who: $reason', async (answer) => {
      const { site } = at;
      const place = join(site.root, 'server');
      mkdirSync(place);
      writeFileSync(join(place, 'report'), reportOf(answer));
      // Lists what is there, hears the request, and gives the answer; after that it is git's own program.
      const server = writeProgram(
        place,
        'receive',
        `if [ -e '${place}/told' ]; then exec git-receive-pack "$1"; fi
touch '${place}/told'
git receive-pack --http-backend-info-refs "$1"
exec '${process.execPath}' -e "process.stdin.once('data', () => setTimeout(() => { process.stdout.write(require('fs').readFileSync('${place}/report')); process.stdin.destroy(); }, 50))"`,
      );
      git(site.kb, ['remote', 'set-url', 'origin', sshd.url(site.remote)]);
      git(site.kb, ['config', 'remote.origin.receivepack', server]);
      const env = {
        HOME: join(site.root, 'home'),
        PATH: process.env['PATH'] ?? '',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_AUTHOR_NAME: 'Ann',
        GIT_AUTHOR_EMAIL: 'ann@example.com',
        GIT_SSH: sshd.program,
        GIT_SSH_VARIANT: 'ssh',
      };
      await expectOutcome(site, answer, { over: { env } });
      expect(readFileSync(join(place, 'told'), 'utf8')).toBe('');
    });
  });

  describe('by a hook, in a directory', () => {
    it.each(REPORTS.filter(({ reason, outcome }) => outcome === 'E_REFUSED' && reason === 'pre-receive hook declined'))(
      '$who',
      async (answer) => {
        const { site } = at;
        git(site.kb, ['remote', 'set-url', 'origin', site.remote]);
        writeFileSync(join(site.root, 'says'), `${(answer.says ?? []).join('\n')}\n`);
        installHook(site.remote, 'pre-receive', `cat '${join(site.root, 'says')}' >&2; exit 1`);
        await expectOutcome(site, answer, {});
      },
    );
  });

  const text = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Fault => ({
    kind: 'status',
    status,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers },
    body,
  });

  describe('by an HTTP status, before the push', () => {
    it.each<[string, Fault, ErrorCode, string, (string | undefined)?]>([
      ['nobody has logged in', text(401, 'Repository not found.'), 'E_AUTH', 'kb help auth'],
      [
        'GitHub: a password',
        text(401, 'Invalid username or token. Password authentication is not supported for Git operations.'),
        'E_AUTH',
        'Password authentication',
        'wrong-token-1',
      ],
      [
        'GitLab: a token that is wrong',
        text(401, 'HTTP Basic: Access denied.'),
        'E_AUTH',
        'KB_GIT_AUTH_TOKEN',
        'wrong-token-1',
      ],
      ['GitHub: a private repository', text(404, 'Repository not found.'), 'E_AUTH', 'not visible'],
      [
        'GitHub: a token that may only read',
        text(403, 'Write access to repository not granted.'),
        'E_AUTH',
        'right to write',
        'wrong-token-1',
      ],
      [
        'GitHub: somebody else',
        text(403, 'Permission to ann/kb.git denied to bob.'),
        'E_AUTH',
        'right to write',
        'wrong-token-1',
      ],
      [
        'GitLab: a guest',
        text(403, 'You are not allowed to push code to this project.'),
        'E_AUTH',
        'right to write',
        'wrong-token-1',
      ],
      ['GitHub: an archive', text(403, 'This repository was archived so it is read-only.'), 'E_REFUSED', 'archived'],
      ['GitLab: an archive', text(403, "You can't push code to an archived project."), 'E_REFUSED', 'archived'],
      [
        'GitLab: an instance that only reads',
        text(403, "You can't push code to a read-only GitLab instance."),
        'E_REFUSED',
        'read-only GitLab instance',
      ],
      [
        'Gitea: an archive',
        text(
          403,
          'This repo is archived. You can view files and clone it, but cannot push or open issues/pull-requests.',
        ),
        'E_REFUSED',
        'archived',
      ],
      ['Gitea: a mirror', text(403, 'mirror repository is read-only'), 'E_REFUSED', 'mirror'],
      ['too many requests', text(429, 'slow down', { 'Retry-After': '3600' }), 'E_NETWORK', '3600 s'],
      [
        'GitHub: too many requests',
        text(403, 'You have exceeded a secondary rate limit.', { 'Retry-After': '3600' }),
        'E_NETWORK',
        'secondary rate limit',
      ],
      ['a server that is down', text(500, 'oops'), 'E_NETWORK', '500'],
      ['a gateway without a server', text(502, 'Bad Gateway'), 'E_NETWORK', '502'],
    ])('%s', async (_title, fault, outcome, told, token) => {
      at.server.faults = ({ path }) => (path.includes('service=git-receive-pack') ? fault : undefined);
      const env = {
        HOME: join(at.site.root, 'home'),
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_AUTHOR_NAME: 'Ann',
        GIT_AUTHOR_EMAIL: 'ann@example.com',
        KB_GIT_TIMEOUT: '3s',
        ...(token === undefined ? {} : { KB_GIT_AUTH_TOKEN: token }),
      };
      await expectOutcome(at.site, { outcome, told }, { over: { env } });
    });
  });

  describe('by an HTTP status, to the push itself', () => {
    it.each<[string, Fault, ErrorCode, string]>([
      [
        'larger than a gateway takes',
        text(413, 'Request Entity Too Large'),
        'E_REFUSED',
        'larger than the server allows',
      ],
      [
        'a right that ended meanwhile',
        text(403, 'You are not allowed to push code to this project.'),
        'E_AUTH',
        'right to write',
      ],
      ['archived meanwhile', text(403, 'This repository was archived so it is read-only.'), 'E_REFUSED', 'archived'],
      ['credentials that ended meanwhile', text(401, ''), 'E_AUTH', 'kb help auth'],
      ['too many requests', text(429, '', { 'Retry-After': '3600' }), 'E_NETWORK', '3600 s'],
    ])('%s', async (_title, fault, outcome, told) => {
      at.server.faults = (request) => (isPush(request) ? fault : undefined);
      await expectOutcome(at.site, { outcome, told });
    });

    it.each<[string, Fault]>([
      ['a gateway that gave up waiting', text(504, '')],
      ['no reply at all', { kind: 'reset' }],
      ['a reply that was lost', { kind: 'lose-reply' }],
    ])('%s: it is looked up, and lands exactly once', async (_title, fault) => {
      let faults = 0;
      at.server.faults = (request) => (isPush(request) && (faults += 1) === 1 ? fault : undefined);
      await expectOutcome(at.site, { outcome: 'race' });
    });
  });
});
