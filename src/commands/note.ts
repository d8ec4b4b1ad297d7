import { Args, Flags } from '@oclif/core';
import { collectGarbageLater } from '../cli/background-gc.js';
import { KbCommand, lockTimeoutFlag, openRequest, sessionBranchFlag } from '../cli/base-command.js';
import type { EditorCopy } from '../cli/editor.js';
import { readNoteText } from '../cli/note-input.js';
import { formatDuration } from '../cli/format.js';
import { readNoteTarget } from '../cli/note-target.js';
import { tellMerged } from '../cli/tell-merged.js';
import { isKbError } from '../errors.js';
import type { FirstQuestion } from '../kb/ask-ahead.js';
import { addNote, previewNote, type NoteResult } from '../kb/note.js';
import { requireValidId } from '../kb/note-id.js';
import { localTime } from '../kb/notes/date-format.js';
import { openKb } from '../kb/open.js';
import { printable } from '../printable.js';

export default class Note extends KbCommand {
  static override summary = 'Write a note, or add to one, and share it at once.';
  static override description =
    'One cycle under the lock: pull, write, commit, push. The text comes from the arguments, a pipe, a file or an editor. ' +
    'In a pipe the result is the path of the note.';
  static override examples = [
    '<%= config.bin %> note "Call the mill about the rye flour"',
    'journalctl -p err --since today | <%= config.bin %> note --title "Errors of today" --tag ops',
    '<%= config.bin %> note --daily --heading "## Log" "Deployed version 12"',
  ];
  static override args = {
    text: Args.string({ multiple: true, description: 'The text; `-` reads it from standard input.' }),
  };
  static override flags = {
    title: Flags.string({ summary: 'Title of a new note.', exclusive: ['append', 'daily', 'replace'] }),
    path: Flags.string({
      summary: 'Exact path of a new note.',
      exclusive: ['dir', 'name', 'append', 'daily', 'replace'],
    }),
    dir: Flags.string({ summary: 'Folder of a new note.', exclusive: ['append', 'daily', 'replace'] }),
    name: Flags.string({ summary: 'File name of a new note.', exclusive: ['append', 'daily', 'replace'] }),
    template: Flags.string({
      summary: 'Template from the templates folder; nothing in it is evaluated.',
      helpValue: 'NAME',
      exclusive: ['append', 'replace'],
    }),
    tag: Flags.string({
      summary: 'Tag in the front matter; repeatable.',
      multiple: true,
      multipleNonGreedy: true,
      exclusive: ['append', 'daily', 'replace'],
    }),
    property: Flags.string({
      summary: 'Property in the front matter; repeatable.',
      helpValue: 'KEY=VALUE',
      multiple: true,
      multipleNonGreedy: true,
      exclusive: ['append', 'daily', 'replace'],
    }),
    frontmatter: Flags.boolean({ summary: 'Begin a new note with front matter.', allowNo: true, default: true }),
    append: Flags.string({ summary: 'Append to this note.', helpValue: 'PATH', exclusive: ['daily', 'replace'] }),
    daily: Flags.boolean({
      summary: "Append to today's note, made as Obsidian would make it.",
      exclusive: ['replace'],
    }),
    heading: Flags.string({ summary: 'Append at the end of this section; made when missing.' }),
    replace: Flags.string({ summary: 'Replace the whole of this note.', helpValue: 'PATH', exclusive: ['heading'] }),
    'if-match': Flags.string({
      summary: 'Replace only if the note is still this blob.',
      helpValue: 'BLOB',
      dependsOn: ['replace'],
    }),
    file: Flags.string({ summary: 'Take the text from a file.', helpValue: 'PATH', exclusive: ['edit'] }),
    edit: Flags.boolean({ summary: 'Write the text in $VISUAL or $EDITOR, before any lock is taken.' }),
    author: Flags.string({ summary: 'Author of the commit.', helpValue: '"A <a@b>"' }),
    message: Flags.string({ char: 'm', summary: 'Message of the commit.' }),
    id: Flags.string({ summary: 'Idempotence key: the same key again changes nothing.', helpValue: 'KEY' }),
    push: Flags.boolean({ summary: 'Push; without it the note stays a local commit.', allowNo: true, default: true }),
    pull: Flags.boolean({
      summary: 'Pull first; without it nothing touches the network.',
      allowNo: true,
      default: true,
    }),
    'dry-run': Flags.boolean({ summary: 'Print what would be written, the path on stderr; change nothing.' }),
    'session-branch': sessionBranchFlag,
    'lock-timeout': lockTimeoutFlag,
  };

  /** What was asked of the remote before this program was loaded. */
  static question: FirstQuestion | undefined;

  private copy: EditorCopy | undefined;

  async run(): Promise<object> {
    const { args, flags } = await this.parse(Note);
    const surroundings = this.start(flags);
    const now = localTime(new Date(surroundings.clock.wall()));
    if (flags.id !== undefined) requireValidId(flags.id);
    const target = readNoteTarget(flags);
    const text = await readNoteText(surroundings, {
      words: args.text ?? [],
      file: flags.file,
      edit: flags.edit,
      heading: flags.heading,
      onCopy: (copy) => (this.copy = copy),
    });
    const kb = await openKb(surroundings, openRequest(flags));
    const request = {
      text,
      target,
      tags: flags.tag ?? [],
      properties: readProperties(flags.property ?? []),
      frontmatter: flags.frontmatter,
      now,
      settings: kb.settings,
      ...(flags.heading === undefined ? {} : { heading: flags.heading }),
      ...(flags.template === undefined ? {} : { template: flags.template }),
    };
    if (flags['dry-run']) {
      const { path, data } = await previewNote(kb, request);
      const content = data.toString('utf8');
      this.terminal.done();
      if (!this.jsonEnabled()) {
        process.stdout.write(content);
        process.stderr.write(`${printable(path)}\n`);
      }
      return { dryRun: true, path, content };
    }
    const edit = {
      ...request,
      // No pull means no network, so a push is out of the question as well.
      push: flags.push && flags.pull,
      pull: flags.pull,
      ...(flags.message === undefined ? {} : { message: flags.message }),
      ...(flags.id === undefined ? {} : { id: flags.id }),
    };
    const result = await addNote(kb, edit, Note.question);
    this.copy?.discard();
    collectGarbageLater(kb);
    this.terminal.done();
    this.render(result);
    if (!this.jsonEnabled()) tellMerged(this.terminal, result.merged, flags.verbose);
    return result;
  }

  /** What was typed in an editor is not lost with the command. */
  override async catch(error: Error): Promise<void> {
    const isSaved = isKbError(error) && ['saved', 'queued'].some((detail) => typeof error.details[detail] === 'string');
    if (isSaved) this.copy?.discard();
    else if (this.copy !== undefined)
      this.terminal.report({ kind: 'warning', text: `your text is in ${this.copy.file}` });
    return super.catch(error);
  }

  private render(result: NoteResult): void {
    const { out } = this.terminal;
    if (!this.terminal.isInteractive) return this.terminal.result(result.path);
    const where = result.landed
      ? `landed on ${result.branch} as ${result.commit.slice(0, 10)}`
      : `saved as local commit ${result.commit.slice(0, 10)}`;
    this.terminal.result(
      `${out.green('✓')} ${out.bold(printable(result.path))}  ${where}, ${formatDuration(result.durationMs)}`,
    );
    this.terminal.detail(out.dim(`  ${printable(result.wikilink)}${result.url === null ? '' : `  ${result.url}`}`));
  }
}

function readProperties(pairs: readonly string[]): [string, string][] {
  return pairs.map((pair) => {
    const equals = pair.indexOf('=');
    return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
  });
}
