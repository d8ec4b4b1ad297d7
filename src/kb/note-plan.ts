import { posix } from 'node:path';
import { KbError } from '../errors.js';
import type { FileMode } from '../git/objects/tree.js';
import type { RepoPath } from '../git/paths.js';
import { collisionKey } from '../git/worktree/collisions.js';
import { printable } from '../printable.js';
import { asNotePath, existingPath, folderOf, requireRegular } from './note-path.js';
import { appendText } from './notes/append.js';
import { logLine } from './notes/log-line.js';
import { composeNote } from './notes/compose.js';
import { DAILY_SETTINGS_PATH, dailyNotePath, parseDailySettings, type DailySettings } from './notes/daily.js';
import type { LocalTime } from './notes/date-format.js';
import { cleanFileName, freeName, noteFileName } from './notes/name.js';
import { expandTemplate } from './notes/template.js';
import type { Settings } from '../config/settings.js';
import type { TipView } from './tip-view.js';

/** Where a note's text goes. */
export type NoteTarget =
  | {
      readonly kind: 'new';
      readonly title?: string;
      readonly path?: string;
      readonly dir?: string;
      readonly name?: string;
    }
  | { readonly kind: 'append'; readonly path: string }
  | { readonly kind: 'daily' }
  | { readonly kind: 'replace'; readonly path: string; readonly ifMatch?: string };

export interface NoteText {
  readonly text: string;
  readonly target: NoteTarget;
  /** For `append` and `daily`: the section that it goes to. */
  readonly heading?: string;
  readonly template?: string;
  readonly tags: readonly string[];
  readonly properties: readonly (readonly [string, string])[];
  readonly frontmatter: boolean;
  /** Fixed when the command starts, so that waiting for the lock does not change a note's date. */
  readonly now: LocalTime;
  readonly settings: Pick<Settings, 'notes'>;
}

export interface PlannedNote {
  readonly path: RepoPath;
  readonly data: Buffer;
  readonly mode: FileMode;
  readonly verb: 'Add' | 'Append to' | 'Update';
}

/**
 * Decides path and bytes of a note, given the files of the tip that it is put upon.
 * @throws KbError E_USAGE, E_CONFLICT (`ifMatch`)
 */
export async function planNote(view: TipView, request: NoteText): Promise<PlannedNote> {
  if (request.text.trim() === '') throw emptyNote();
  const { target } = request;
  switch (target.kind) {
    case 'new':
      return planNew(view, request, target);
    case 'append':
      return planAppend(view, request, existingPath(view, target.path));
    case 'daily':
      return planDaily(view, request);
    case 'replace':
      return planReplace(view, request, target);
  }
}

export function emptyNote(): KbError {
  return new KbError('E_USAGE', 'the note is empty', { hint: 'give its text: kb note "…", or pipe it in' });
}

async function planNew(
  view: TipView,
  request: NoteText,
  target: Extract<NoteTarget, { kind: 'new' }>,
): Promise<PlannedNote> {
  const path = target.path === undefined ? freePath(view, request, target) : exactPath(view, target.path);
  const name = posix.basename(path).replace(/\.md$/i, '');
  const text = await composeNote({
    body: request.text,
    ...(target.title === undefined ? {} : { title: target.title }),
    name,
    tags: [...request.tags],
    properties: request.properties.map(([key, value]) => [key, value]),
    frontmatter: request.frontmatter,
    now: request.now,
    ...(request.template === undefined ? {} : { template: readTemplate(view, request.settings, request.template) }),
  });
  return { path, data: Buffer.from(text), mode: 0o100644, verb: 'Add' };
}

function freePath(view: TipView, request: NoteText, target: Extract<NoteTarget, { kind: 'new' }>): RepoPath {
  const folder = asFolder(
    target.dir ?? request.settings.notes.dir ?? (view.isFolder('inbox' as RepoPath) ? 'inbox' : ''),
  );
  const file =
    target.name === undefined ? noteFileName(target.title ?? request.text, request.now) : cleanFileName(target.name);
  const wanted = asNotePath(folder === '' ? file : `${folder}/${file}`);
  return freeName(wanted, (key) => view.isTaken(folder, posix.basename(key)), collisionKey);
}

/** `--path` names one file; where it is taken, nothing else is guessed. */
function exactPath(view: TipView, given: string): RepoPath {
  const path = asNotePath(given);
  const folder = posix.dirname(path);
  if (view.isTaken(folder === '.' ? '' : folder, collisionKey(posix.basename(path)))) {
    throw new KbError('E_USAGE', `there is a file at ${printable(path)} already`, {
      hint: `add to it with --append ${path}, or choose another path`,
    });
  }
  return path;
}

function planAppend(view: TipView, request: NoteText, path: RepoPath): PlannedNote {
  const file = view.read(path);
  if (file === undefined) {
    throw new KbError('E_USAGE', `there is no note at ${printable(path)} to append to`, {
      hint: `make it with: kb note --path ${path} …`,
    });
  }
  requireRegular(path, file);
  const data = appendText(
    file.data,
    logLine(request.text, request.now),
    request.heading === undefined ? {} : { heading: request.heading },
  );
  return { path, data, mode: file.mode, verb: 'Append to' };
}

async function planDaily(view: TipView, request: NoteText): Promise<PlannedNote> {
  const daily = dailySettings(view, request.settings);
  const path = asNotePath(dailyNotePath(daily, request.now));
  if (view.read(path) !== undefined) return planAppend(view, request, path);
  if (view.isTaken(folderOf(path), collisionKey(posix.basename(path)))) {
    throw new KbError('E_UNSAFE_STATE', `today's note ${printable(path)} is on disk but in no commit yet`, {
      hint: 'commit it first with: kb sync',
    });
  }
  const template = request.template === undefined ? daily.template : templatePath(request.settings, request.template);
  const start = template === undefined ? '' : expandDaily(view, template, path, request.now);
  const data = appendText(
    Buffer.from(start),
    logLine(request.text, request.now),
    request.heading === undefined ? {} : { heading: request.heading },
  );
  return { path, data, mode: 0o100644, verb: 'Add' };
}

function planReplace(view: TipView, request: NoteText, target: Extract<NoteTarget, { kind: 'replace' }>): PlannedNote {
  const path = existingPath(view, target.path);
  const file = view.read(path);
  if (file === undefined) throw new KbError('E_USAGE', `there is no note at ${printable(path)} to replace`);
  requireRegular(path, file);
  if (target.ifMatch !== undefined && !/^[0-9a-f]{4,40}$/i.test(target.ifMatch)) {
    throw new KbError(
      'E_USAGE',
      `--if-match must be a blob's id, at least 4 of its digits, not ${JSON.stringify(target.ifMatch)}`,
    );
  }
  if (target.ifMatch !== undefined && !file.blob.startsWith(target.ifMatch.toLowerCase())) {
    throw new KbError(
      'E_CONFLICT',
      `${printable(path)} has changed: it is blob ${file.blob.slice(0, 10)} now, not ${target.ifMatch.slice(0, 10)}`,
      {
        hint: 'read it again, bring your change in, and use the new blob with --if-match',
        details: { path, expected: target.ifMatch, actual: file.blob },
      },
    );
  }
  return {
    path,
    data: replacementText(request.text),
    mode: file.mode,
    verb: 'Update',
  };
}

/** What a file is after `--replace`. */
export function replacementText(text: string): Buffer {
  return Buffer.from(text.endsWith('\n') ? text : `${text}\n`);
}

function dailySettings(view: TipView, settings: NoteText['settings']): DailySettings {
  const obsidian = view.readSettings(DAILY_SETTINGS_PATH);
  const found = parseDailySettings(obsidian?.toString('utf8'));
  const own = settings.notes.daily;
  const template = own.template ?? found.template;
  return {
    folder: own.folder ?? found.folder,
    format: own.format ?? found.format,
    ...(template === undefined ? {} : { template }),
  };
}

function expandDaily(view: TipView, template: string, path: RepoPath, now: LocalTime): string {
  const file = view.readSettings(asNotePath(withMarkdownEnding(template)));
  if (file === undefined) return ''; // as Obsidian: a template that is gone does not stop the day's note
  return expandTemplate(file.toString('utf8'), { title: posix.basename(path, '.md'), content: '', now });
}

function readTemplate(view: TipView, settings: NoteText['settings'], name: string): string {
  const path = templatePath(settings, name);
  const file = view.readSettings(asNotePath(path));
  if (file !== undefined) return file.toString('utf8');
  throw new KbError('E_USAGE', `there is no template ${printable(path)}`, {
    hint: 'the folder of templates is notes.templates in kb.yaml',
  });
}

function templatePath(settings: NoteText['settings'], name: string): string {
  return posix.join(settings.notes.templates, withMarkdownEnding(name));
}

function withMarkdownEnding(name: string): string {
  return /\.[a-z0-9]{1,8}$/i.test(name) ? name : `${name}.md`;
}

function asFolder(text: string): string {
  const folder = text.normalize('NFC').replace(/^\.\//, '').replace(/\/+$/, '');
  return folder === '' || folder === '.' ? '' : asNotePath(folder);
}
