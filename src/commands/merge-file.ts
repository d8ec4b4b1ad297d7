import { isUtf8 } from 'node:buffer';
import { Args, Flags } from '@oclif/core';
import { KbCommand } from '../cli/base-command.js';
import { tellMerged } from '../cli/tell-merged.js';
import { mergeFiles, type MergeFilesRequest, type MergeFilesResult } from '../kb/merge-files.js';

/** A conflict is left, as git expects it of a merge driver; not the contract's code for a bug in kb. */
const CONFLICT_EXIT_CODE = 1;

export default class MergeFile extends KbCommand {
  static override summary = 'Merge three versions of a file, as kb sync does; also a merge driver for native git.';
  static override description =
    'Prints the merged text. Exit codes are those of a merge driver: 0 merged, 1 a conflict is left (the text has it between ' +
    'markers, with the base in the middle), 2 an error. No KB is needed, and nothing but --output is written.';
  static override examples = [
    '<%= config.bin %> merge-file base.md ours.md theirs.md --path notes/today.md',
    "git config merge.kb.driver '<%= config.bin %> merge-file %O %A %B --path %P --output %A --marker-size %L'",
  ];
  static override args = {
    base: Args.string({ description: 'The common ancestor; an empty file: both sides added it.', required: true }),
    ours: Args.string({ description: 'One changed version.', required: true }),
    theirs: Args.string({ description: 'The other one.', required: true }),
  };
  static override flags = {
    path: Flags.string({
      summary: 'What the file is called in its repository: its ending says what kind of text it is.',
      helpValue: 'PATH',
    }),
    output: Flags.string({
      summary: 'Write the text here instead of printing it; a binary conflict leaves the file as it is.',
      helpValue: 'FILE',
    }),
    'marker-size': Flags.integer({ summary: 'Characters of a conflict marker; 7 unless given.', helpValue: 'N' }),
    label: Flags.string({
      char: 'L',
      summary: 'What stands behind the markers: of ours, of the base, of theirs.',
      helpValue: 'LABEL',
      multiple: true,
      multipleNonGreedy: true,
    }),
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(MergeFile);
    const { disk } = this.start(flags);
    const request: MergeFilesRequest = {
      ...args,
      ...(flags.path === undefined ? {} : { path: flags.path }),
      ...(flags.output === undefined ? {} : { output: flags.output }),
      ...(flags['marker-size'] === undefined ? {} : { markerSize: flags['marker-size'] }),
      ...(flags.label === undefined ? {} : { labels: flags.label }),
    };
    const merged = await mergeFiles(disk, request);
    this.terminal.done();
    if (flags.output === undefined && merged.data !== undefined) this.terminal.bytes(merged.data);
    if (flags.verbose || merged.data === undefined) this.terminal.line('info', describe(merged));
    if (!this.jsonEnabled()) tellMerged(this.terminal, [merged], false);
    if (merged.result === 'conflict') process.exitCode = CONFLICT_EXIT_CODE;
    return asJson(merged);
  }
}

function describe({ result, path, rules, conflicts, reason }: MergeFilesResult): string {
  if (result === 'merged') return rules.length === 0 ? `${path}: merged` : `${path}: merged by ${rules.join(', ')}`;
  if (reason === 'binary') return `${path}: both sides changed it, and it is no text`;
  if (reason === 'encoding') return `${path}: both sides changed it, and they are not in one encoding`;
  return `${path}: ${conflicts} ${conflicts === 1 ? 'place is' : 'places are'} left to a person`;
}

/** Bytes that are no UTF-8 would not survive as text. */
function asJson({ data, ...facts }: MergeFilesResult): object {
  if (data === undefined) return { ...facts, text: null };
  return isUtf8(data)
    ? { ...facts, text: data.toString('utf8') }
    : { ...facts, text: null, base64: data.toString('base64') };
}
