import { Args, Flags } from '@oclif/core';
import { KbCommand, lockTimeoutFlag, sessionBranchFlag } from '../cli/base-command.js';
import { formatBytes, formatDuration, plural } from '../cli/format.js';
import { KbError } from '../errors.js';
import { startInBackground, takeRequest } from '../cli/background.js';
import { cloneInBackground, detachClone, waitForClone } from '../kb/clone-background.js';
import { cloneKb, type CloneRequest, type CloneResult } from '../kb/clone.js';
import type { Surroundings } from '../kb/surroundings.js';
import { printable } from '../printable.js';

export default class Clone extends KbCommand {
  static override summary = 'Clone a shared KB.';
  static override description =
    'Into a directory that is missing, empty, or a mount point. The same command again does nothing and exits 0. ' +
    'By default only the newest state is fetched; later commands deepen as they need. ' +
    'With --detach the clone goes on in the background: kb status shows how far it is, kb clone --wait waits for it.';
  static override examples = [
    '<%= config.bin %> clone https://github.com/example/notes',
    '<%= config.bin %> clone --name team --depth full https://git.example.org/team/notes.git ~/notes',
    '<%= config.bin %> clone --sparse team/notes --sparse templates https://git.example.org/team/notes.git',
    '<%= config.bin %> clone --ssh-key ~/.ssh/notes_deploy git@github.com:example/notes.git',
    '<%= config.bin %> clone --detach https://github.com/example/notes && cd notes && <%= config.bin %> clone --wait',
  ];
  static override args = {
    url: Args.string({
      description: 'https://, http://, ssh://, user@host:path, file://, or a path; default: KB_GIT_REPO_URL.',
    }),
    dir: Args.string({ description: "Where to; default: the repository's name." }),
  };
  static override flags = {
    depth: Flags.string({ summary: 'How many commits of history, or full.', helpValue: 'N|full', default: '1' }),
    branch: Flags.string({
      summary:
        "Branch to check out; default: the remote's own. A tag or the whole id of a commit makes a read-only KB.",
    }),
    'session-branch': sessionBranchFlag,
    sparse: Flags.string({
      summary: 'Only the files of this folder, those at the root and in the folders above (repeatable).',
      helpValue: 'PATH',
      multiple: true,
      multipleNonGreedy: true,
    }),
    timeout: Flags.string({ summary: 'For the whole clone.', helpValue: 'DURATION', default: '300s' }),
    name: Flags.string({ summary: 'Register the KB under this name for --kb.' }),
    detach: Flags.boolean({ summary: 'Return at once, and clone on in the background.', exclusive: ['wait'] }),
    wait: Flags.boolean({
      summary: 'Wait for a clone in the background, in this directory or --kb DIR, and end as it ends.',
    }),
    background: Flags.boolean({ summary: 'How kb starts itself for --detach.', hidden: true }),
    'ssh-key': Flags.string({
      summary: 'Private key for an ssh remote, also for later commands (core.sshCommand of the clone).',
      helpValue: 'FILE',
    }),
    'known-hosts': Flags.string({
      summary: 'Host keys to trust instead of those in ~/.ssh/known_hosts, also for later commands.',
      helpValue: 'FILE',
    }),
    insecure: Flags.boolean({ summary: 'Send credentials over plain http to another machine.' }),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Clone);
    const surroundings = this.start(flags);
    if (flags.background) return this.inBackground(surroundings);
    const directory = args.dir ?? flags.kb;
    const request: CloneRequest = {
      depth: readDepth(flags.depth),
      timeout: flags.timeout,
      insecure: flags.insecure,
      ssh: {
        ...(flags['ssh-key'] === undefined ? {} : { key: flags['ssh-key'] }),
        ...(flags['known-hosts'] === undefined ? {} : { knownHosts: flags['known-hosts'] }),
      },
      ...(args.url === undefined ? {} : { url: args.url }),
      ...(directory === undefined ? {} : { directory }),
      ...(flags.branch === undefined ? {} : { branch: flags.branch }),
      ...(flags['session-branch'] === undefined ? {} : { sessionBranch: flags['session-branch'] }),
      ...(flags.sparse === undefined ? {} : { sparse: flags.sparse }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags['lock-timeout'] === undefined ? {} : { lockTimeout: flags['lock-timeout'] }),
    };
    const result = flags.detach
      ? await detachClone(surroundings, request, (order) => startInBackground(['clone', '--background'], order))
      : flags.wait
        ? await waitForClone(surroundings, request)
        : await cloneKb(surroundings, request);
    this.terminal.done();
    this.terminal.result(this.terminal.isInteractive ? this.sentenceFor(result) : result.dir);
    return result;
  }

  /** The other end of `startInBackground`: the request has passed the checks of the process that sent it. */
  private async inBackground(surroundings: Surroundings): Promise<object> {
    const { request, started, failed } = await takeRequest();
    try {
      return await cloneInBackground(surroundings, request as CloneRequest, started);
    } catch (error) {
      failed(error);
      throw error;
    }
  }

  private sentenceFor(result: CloneResult): string {
    const dir = printable(result.dir);
    const { green, bold } = this.terminal.out;
    if (result.status === 'already_cloned') return `${dir} is a clone of it already`;
    if (result.status === 'cloning')
      return `cloning into ${bold(dir)} in the background; wait for it with: kb clone --wait --kb ${dir}`;
    const facts = `${plural(result.fileCount, 'file')}, ${formatBytes(result.bytes)}, ${formatDuration(result.durationMs)}`;
    return `${green('✓')} cloned into ${bold(dir)} on ${result.branch ?? 'no branch'} (${facts})`;
  }
}

function readDepth(text: string): number | 'full' {
  if (text === 'full') return 'full';
  const depth = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (depth > 0) return depth;
  throw new KbError('E_USAGE', `--depth must be a number from 1 or "full", not ${JSON.stringify(text)}`);
}
