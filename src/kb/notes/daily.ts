import { KbError } from '../../errors.js';
import type { RepoPath } from '../../git/paths.js';
import { formatDate, type LocalTime } from './date-format.js';

/** Where Obsidian's core plugin "Daily notes" keeps its settings. */
export const DAILY_SETTINGS_PATH = '.obsidian/daily-notes.json' as RepoPath;

export interface DailySettings {
  /** Relative to the KB; '' is its root. */
  readonly folder: string;
  /** Moment tokens; a `/` makes folders. */
  readonly format: string;
  /** Path of the template in the KB, with its ending. */
  readonly template?: string;
}

const DEFAULT_FORMAT = 'YYYY-MM-DD';

/**
 * @param json content of `.obsidian/daily-notes.json`; undefined when there is no such file
 * @throws KbError E_USAGE when the file is no JSON object: guessing would put notes where nobody looks
 */
export function parseDailySettings(json: string | undefined): DailySettings {
  const content = json === undefined ? {} : parseObject(json);
  const template = trimSlashes(text(content['template']));
  return {
    folder: trimSlashes(text(content['folder'])),
    format: text(content['format']) || DEFAULT_FORMAT,
    ...(template === '' ? {} : { template: withEnding(template) }),
  };
}

/**
 * @returns the path of the day's note
 * @throws KbError E_USAGE when folder and format lead out of the KB
 */
export function dailyNotePath(settings: DailySettings, now: LocalTime): RepoPath {
  const name = withEnding(formatDate(now, settings.format).trim());
  const path = (settings.folder === '' ? name : `${settings.folder}/${name}`).normalize('NFC');
  if (path.split('/').some((part) => part === '' || part === '.' || part === '..') || path.includes('\\')) {
    throw new KbError(
      'E_USAGE',
      `the daily-note settings give no path inside the KB: ${JSON.stringify(path.slice(0, 200))}`,
      {
        hint: `correct folder and format in ${DAILY_SETTINGS_PATH} or in kb.yaml (notes.daily)`,
      },
    );
  }
  return path as RepoPath;
}

function parseObject(json: string): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(json.replace(/^\ufeff/, ''));
    if (content !== null && typeof content === 'object' && !Array.isArray(content))
      return content as Record<string, unknown>;
  } catch (error) {
    throw notSettings(error);
  }
  throw notSettings();
}

function notSettings(cause?: unknown): KbError {
  return new KbError('E_USAGE', `${DAILY_SETTINGS_PATH} is not a JSON object`, {
    hint: `correct or remove ${DAILY_SETTINGS_PATH}`,
    cause,
  });
}

/** Other versions of Obsidian may keep other things there: what is no text counts as not set. */
function text(value: unknown): string {
  return typeof value === 'string' ? value.trim() : '';
}

function trimSlashes(path: string): string {
  return path.trim().replace(/^\/+|\/+$/g, '');
}

function withEnding(path: string): string {
  return /\.md$/i.test(path) ? path : `${path}.md`;
}
