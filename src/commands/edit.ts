import { posix } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { collectGarbageLater } from '../cli/background-gc.js';
import { KbCommand, lockTimeoutFlag, openRequest } from '../cli/base-command.js';
import { chosenEditor, openInEditor, type EditorCopy } from '../cli/editor.js';
import { formatDuration } from '../cli/format.js';
import { Terminal } from '../cli/terminal.js';
import { isKbError, KbError } from '../errors.js';
import { editFile, type EditResult, type OpenedFile } from '../kb/edit.js';
import { tellMerged } from '../cli/tell-merged.js';
import { openKb } from '../kb/open.js';
import type { Surroundings } from '../kb/surroundings.js';
import { printable } from '../printable.js';

export default class Edit extends KbCommand {
  static override summary = 'Edit a file in your editor, and share it at once.';
  static override description =
    'Pulls, opens $VISUAL or $EDITOR on a copy while nobody is kept waiting, then merges your edit with what came in meanwhile, ' +
    'commits and pushes. Saved unchanged or empty: nothing is done. In a pipe the result is the path.';
  static override examples = [
    '<%= config.bin %> edit inbox/idea.md',
    'EDITOR="code --wait" <%= config.bin %> edit todo.md -m "Sort the list"',
  ];
  static override args = {
    path: Args.string({ required: true, description: "The file, from the KB's root; made when it is not there." }),
  };
  static override flags = {
    author: Flags.string({ summary: 'Author of the commit.', helpValue: '"A <a@b>"' }),
    message: Flags.string({ char: 'm', summary: 'Message of the commit.' }),
    push: Flags.boolean({ summary: 'Push; without it the edit stays a local commit.', allowNo: true, default: true }),
    'lock-timeout': lockTimeoutFlag,
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Edit);
    const surroundings: Surroundings = { ...this.start(flags), report: (event) => this.terminal.report(event) };
    chosenEditor(surroundings.env); // nobody waits for the lock to hear that there is no editor
    const kb = await openKb(surroundings, openRequest(flags));
    let copy: EditorCopy | undefined;
    const change = async ({ path, data, isNew }: OpenedFile): Promise<Buffer | undefined> => {
      this.terminal.done(); // a spinner would draw into the editor
      copy = await openInEditor(surroundings, posix.basename(path), data);
      this.goOnAfterEditor(flags);
      if (copy.data.toString('latin1').trim() !== '' || copy.data.equals(data)) return copy.data;
      if (!isNew)
        this.terminal.report({ kind: 'warning', text: `an empty text means no edit: ${path} stays as it is` });
      return undefined;
    };
    try {
      const { message } = flags;
      const request = { path: args.path, change, push: flags.push, ...(message === undefined ? {} : { message }) };
      const result = await editFile(kb, request);
      copy?.discard();
      collectGarbageLater(kb);
      this.terminal.done();
      this.render(result);
      if (!this.jsonEnabled()) tellMerged(this.terminal, [result], flags.verbose);
      return result;
    } catch (error) {
      if (copy === undefined) throw error;
      throw this.keepText(error, copy, args.path, surroundings.signal);
    }
  }

  /** The first terminal has ended, so that nothing of it shows while the editor has the screen. */
  private goOnAfterEditor({ quiet, verbose, color }: { quiet: boolean; verbose: boolean; color: boolean }): void {
    const { stdout, stderr, env } = process;
    const next = new Terminal({ stdout, stderr, env, quiet, verbose, color, json: this.jsonEnabled() });
    next.warnings.push(...this.terminal.warnings);
    this.terminal = next;
  }

  /** The error, and where the text is, unless a local commit holds it. */
  private keepText(error: unknown, copy: EditorCopy, path: string, signal: AbortSignal | undefined): unknown {
    if (isKbError(error, 'E_NETWORK') && error.details['saved'] !== undefined) {
      copy.discard();
      return error;
    }
    const where = `your text is in ${copy.file}`;
    if (!(error instanceof KbError) || signal?.aborted === true) {
      this.terminal.report({ kind: 'warning', text: where });
      return error;
    }
    const hint = error.code === 'E_CONFLICT' ? `${error.hint}; ${where} too` : `${where}; ${error.hint}`;
    const { code, message, retryable, details } = error;
    return new KbError(code, message, { hint, retryable, details: { ...details, file: copy.file }, cause: error });
  }

  private render(result: EditResult): void {
    const { out, isInteractive } = this.terminal;
    if (result.result === 'unchanged') return this.terminal.line('info', `nothing was changed in ${result.path}`);
    if (!isInteractive) return this.terminal.result(result.path);
    const commit = (result.commit ?? '').slice(0, 10);
    const where = result.landed ? `landed on ${result.branch} as ${commit}` : `saved as local commit ${commit}`;
    const how = result.merged ? ", merged with others' edits" : '';
    const time = formatDuration(result.durationMs);
    this.terminal.result(`${out.green('✓')} ${out.bold(printable(result.path))}  ${where}${how}, ${time}`);
    this.terminal.detail(out.dim(`  ${printable(result.wikilink)}${result.url === null ? '' : `  ${result.url}`}`));
  }
}
