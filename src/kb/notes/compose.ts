import { KbError } from '../../errors.js';
import { lineEnding } from './append.js';
import { formatDate, type LocalTime } from './date-format.js';
import {
  mergeFrontMatter,
  newFrontMatter,
  overlayFrontMatter,
  splitFrontMatter,
  type WantedProperties,
} from './front-matter.js';
import { checkProperties, cleanTags, parsePropertyValue } from './properties.js';
import { expandTemplate, hasContentPlaceholder } from './template.js';

export interface NoteInput {
  readonly body: string;
  /** Only when the user gave one. */
  readonly title?: string;
  /** The file's name, with or without its ending. */
  readonly name: string;
  readonly tags: readonly string[];
  readonly properties: readonly (readonly [string, string])[];
  /** false: the text stays as it is. */
  readonly frontmatter: boolean;
  readonly now: LocalTime;
  /** The template's text. */
  readonly template?: string;
}

/**
 * The text of a new note. Front matter is minimal: `date` (YYYY-MM-DD, local; the commit has the time of
 * day), `tags` if given, `title` if given and not the file's name, then the properties. Input or template
 * that begins with front matter of its own is added to: its `date` stays, tags are united, `--title` and
 * `--property` win. Ends with one line break at least, in the input's own line ending.
 * @throws KbError E_USAGE
 */
export async function composeNote(input: NoteInput): Promise<string> {
  checkProperties(input.properties);
  if (!input.frontmatter && (input.tags.length > 0 || input.properties.length > 0)) {
    throw new KbError('E_USAGE', 'tags and properties live in the front matter that --no-frontmatter leaves out', {
      hint: 'drop --no-frontmatter, or drop --tag and --property',
    });
  }
  const body = input.body.replace(/^\ufeff/, '');
  const text = withLineEnd(input.template === undefined ? body : await fillTemplate(input.template, body, input));
  if (!input.frontmatter) return text;
  const wanted = wantedProperties(input);
  const note = splitFrontMatter(text);
  if (note.yaml === undefined) return newFrontMatter(wanted, lineEnding(text)) + text;
  return note.open + (await mergeFrontMatter(note.yaml, wanted, lineEnding(text))) + note.close + note.body;
}

function wantedProperties(input: NoteInput): WantedProperties {
  const title = input.title?.trim() ?? '';
  const isName = title.normalize('NFC') === stemOf(input.name).normalize('NFC');
  const properties = input.properties.map(([key, value]) => [key, parsePropertyValue(value)] as const);
  const tagValues = properties.find(([key]) => key === 'tags')?.[1];
  return {
    defaults: [['date', formatDate(input.now, 'YYYY-MM-DD')]],
    values: [
      ...(title === '' || isName ? [] : [['title', title] as const]),
      ...properties.filter(([key]) => key !== 'tags'),
    ],
    tags: cleanTags([...input.tags, ...(tagValues === undefined ? [] : [tagValues].flat().map(String))]),
  };
}

/**
 * The input in the template's place for it: `{{content}}`, else below it. Front matter of the input moves up
 * into the template's, or it would stand as text in the middle of the note.
 */
async function fillTemplate(template: string, body: string, input: NoteInput): Promise<string> {
  const base = template.replace(/^\ufeff/, '');
  const note = input.frontmatter ? splitFrontMatter(body) : { yaml: undefined, body, open: '', close: '' };
  const content = note.body.replace(/^(?:[ \t]*\r?\n)+/, '').replace(/\s+$/, '');
  const filled = expandTemplate(base, { now: input.now, title: input.title?.trim() || stemOf(input.name), content });
  const text = hasContentPlaceholder(base) || content === '' ? filled : withLineEnd(filled) + content;
  if (note.yaml === undefined) return text;
  const outer = splitFrontMatter(text);
  if (outer.yaml === undefined) return note.open + note.yaml + note.close + text;
  return outer.open + (await overlayFrontMatter(outer.yaml, note.yaml, lineEnding(text))) + outer.close + outer.body;
}

function stemOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1).replace(/\.md$/i, '');
}

function withLineEnd(text: string): string {
  return text === '' || text.endsWith('\n') ? text : text + lineEnding(text);
}
