import type { NoteTarget } from '../kb/note-plan.js';

export interface TargetFlags {
  readonly title?: string | undefined;
  readonly path?: string | undefined;
  readonly dir?: string | undefined;
  readonly name?: string | undefined;
  readonly append?: string | undefined;
  readonly daily: boolean;
  readonly replace?: string | undefined;
  readonly 'if-match'?: string | undefined;
}

/** The one target that the flags of `kb note` name. That they do not contradict each other is oclif's check. */
export function readNoteTarget(flags: TargetFlags): NoteTarget {
  if (flags.append !== undefined) return { kind: 'append', path: flags.append };
  if (flags.daily) return { kind: 'daily' };
  if (flags.replace !== undefined) {
    return {
      kind: 'replace',
      path: flags.replace,
      ...(flags['if-match'] === undefined ? {} : { ifMatch: flags['if-match'] }),
    };
  }
  return {
    kind: 'new',
    ...(flags.title === undefined ? {} : { title: flags.title }),
    ...(flags.path === undefined ? {} : { path: flags.path }),
    ...(flags.dir === undefined ? {} : { dir: flags.dir }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
  };
}
