import type * as Yaml from 'yaml';
import type { Document, Pair, YAMLMap } from 'yaml';
import { KbError } from '../../errors.js';
import { frontMatterLines, splitLines } from './heading.js';
import type { PropertyValue } from './properties.js';
import { yamlScalar, yamlValue } from './yaml-text.js';

/** The library as loaded: it is imported only when a note brings front matter of its own. */
type YamlLibrary = typeof Yaml;

/** What kb wants in the front matter of a note. */
export interface WantedProperties {
  /** Set only where the note has no such key yet. */
  readonly defaults: readonly (readonly [string, PropertyValue])[];
  /** Set whatever is there. */
  readonly values: readonly (readonly [string, PropertyValue])[];
  /** Added to the note's own tags. */
  readonly tags: readonly string[];
}

export interface SplitNote {
  /** The YAML between the `---` lines, with its last line break; undefined: no front matter. */
  readonly yaml: string | undefined;
  /** Everything after the closing line. */
  readonly body: string;
  /** The opening and the closing line as written. */
  readonly open: string;
  readonly close: string;
}

/** Obsidian's rule: front matter begins in the first line and ends with the next `---` line. */
export function splitFrontMatter(text: string): SplitNote {
  const lines = splitLines(text);
  const count = frontMatterLines(lines);
  const first = lines[0];
  const last = lines[count - 1];
  if (count === 0 || first === undefined || last === undefined)
    return { yaml: undefined, body: text, open: '', close: '' };
  return {
    yaml: text.slice(first.end, last.start),
    body: text.slice(last.end),
    open: text.slice(0, first.end),
    close: text.slice(last.start, last.end),
  };
}

/** A fresh block, with the line that closes it and an empty one below. No YAML library needed. */
export function newFrontMatter(wanted: WantedProperties, eol: string): string {
  const pairs = collectPairs(wanted);
  if (pairs.length === 0) return '';
  return ['---', ...pairs.map(([key, value]) => `${yamlScalar(key)}: ${yamlValue(value)}`), '---', '', ''].join(eol);
}

function collectPairs(wanted: WantedProperties): (readonly [string, PropertyValue])[] {
  const pairs = new Map<string, PropertyValue>(wanted.defaults);
  if (wanted.tags.length > 0) pairs.set('tags', wanted.tags);
  for (const [key, value] of wanted.values) pairs.set(key, value);
  return [...pairs];
}

/**
 * Merges wanted properties into a note's front matter. Lines that need no change keep every byte: new keys
 * are added as lines at the end of the block and changed values are replaced where they stand. Only a
 * block whose shape does not allow that (a value over several lines, a map in braces) is written anew by
 * the YAML library, which keeps its comments.
 * @param eol the note's line ending
 * @throws KbError E_USAGE when the block is not valid YAML or no map
 */
export async function mergeFrontMatter(source: string, wanted: WantedProperties, eol: string): Promise<string> {
  const yaml = await import('yaml');
  const { document } = parseBlock(yaml, source);
  const changes = plan(yaml, document, wanted);
  const edited = editText(yaml, source, document, changes, eol);
  if (edited !== undefined && holds(yaml, edited, changes)) return edited;
  for (const { key, value } of changes) document.set(key, document.createNode(value, { flow: Array.isArray(value) }));
  const text = document.toString({ lineWidth: 0 });
  return text.replace(/\r?\n/g, eol);
}

/** Both blocks as one: keys of `extra` win over those of `base`, tags are united. For a template and the input it frames. */
export async function overlayFrontMatter(base: string, extra: string, eol: string): Promise<string> {
  const yaml = await import('yaml');
  const { document, map } = parseBlock(yaml, extra);
  const values: [string, PropertyValue][] = [];
  for (const pair of map?.items ?? []) {
    const key = keyOf(yaml, pair);
    if (key === undefined || key === 'tags') continue;
    const value = plainValue(yaml, pair.value);
    // something nested cannot be carried over line by line: the base is then extended node by node
    if (value === undefined) return overlayNodes(yaml, base, document, eol);
    values.push([key, value]);
  }
  return mergeFrontMatter(base, { defaults: [], values, tags: tagsOf(yaml, document) }, eol);
}

function overlayNodes(yaml: YamlLibrary, base: string, extra: Document, eol: string): string {
  const { document } = parseBlock(yaml, base);
  const tags = [...new Set([...tagsOf(yaml, document), ...tagsOf(yaml, extra)])];
  for (const pair of (extra.contents as YAMLMap).items) document.set(pair.key, pair.value);
  if (tags.length > 0) document.set('tags', document.createNode(tags, { flow: true }));
  return document.toString({ lineWidth: 0 }).replace(/\r?\n/g, eol);
}

interface Change {
  readonly key: string;
  readonly value: PropertyValue;
}

function plan(yaml: YamlLibrary, document: Document, wanted: WantedProperties): Change[] {
  const changes: Change[] = wanted.defaults
    .filter(([key]) => !document.has(key))
    .map(([key, value]) => ({ key, value }));
  const present = tagsOf(yaml, document);
  const tags = [...new Set([...present, ...wanted.tags])];
  if (tags.length > present.length) changes.push({ key: 'tags', value: tags });
  for (const [key, value] of wanted.values) changes.push({ key, value });
  return changes;
}

/** The block with the changes made line by line; undefined where its shape does not allow that. */
function editText(
  yaml: YamlLibrary,
  source: string,
  document: Document,
  changes: readonly Change[],
  eol: string,
): string | undefined {
  const map = document.contents;
  if (map !== null && !(yaml.isMap(map) && map.flow !== true) && !(yaml.isScalar(map) && map.value === null))
    return undefined;
  const edits: { start: number; end: number; text: string }[] = [];
  let added = '';
  for (const { key, value } of changes) {
    const pair = yaml.isMap(map) ? map.items.find((one) => keyOf(yaml, one) === key) : undefined;
    if (pair === undefined) {
      added += `${yamlScalar(key)}: ${yamlValue(value)}${eol}`;
      continue;
    }
    const edit =
      key === 'tags' && Array.isArray(value)
        ? tagsEdit(yaml, source, pair.value, value as string[], eol)
        : scalarEdit(yaml, pair.value, value);
    if (edit === undefined) return undefined;
    edits.push(edit);
  }
  let text = source;
  for (const { start, end, text: replacement } of edits.sort((a, b) => b.start - a.start))
    text = text.slice(0, start) + replacement + text.slice(end);
  return added === '' ? text : text + (text === '' || text.endsWith('\n') ? '' : eol) + added;
}

/** Replaces a value that stands on one line. */
function scalarEdit(
  yaml: YamlLibrary,
  node: unknown,
  value: PropertyValue,
): { start: number; end: number; text: string } | undefined {
  if (!yaml.isScalar(node) || !node.range || node.type?.startsWith('BLOCK') === true) return undefined;
  const [start, end] = node.range;
  return start === end ? undefined : { start, end, text: yamlValue(value) };
}

/** Adds tags after the last one, in the list's own form: `- a` lines or `[a, b]`. */
function tagsEdit(
  yaml: YamlLibrary,
  source: string,
  node: unknown,
  tags: readonly string[],
  eol: string,
): { start: number; end: number; text: string } | undefined {
  if (!yaml.isSeq(node)) return scalarEdit(yaml, node, [...tags]);
  const added = tags.slice(node.items.length);
  const last = node.items.at(-1);
  if (!yaml.isScalar(last) || !last.range || !node.range) return undefined;
  if (node.flow === true)
    return { start: last.range[1], end: last.range[1], text: added.map((tag) => `, ${yamlScalar(tag)}`).join('') };
  const indent = /[^\n]*$/.exec(source.slice(0, node.range[0]))?.[0] ?? '';
  const newline = source.indexOf('\n', last.range[1]);
  if (newline < 0 || indent.trim() !== '') return undefined;
  return {
    start: newline + 1,
    end: newline + 1,
    text: added.map((tag) => `${indent}- ${yamlScalar(tag)}${eol}`).join(''),
  };
}

/** The edited text really says what was wanted; a shape not thought of falls back to the library. */
function holds(yaml: YamlLibrary, text: string, changes: readonly Change[]): boolean {
  const document = yaml.parseDocument(text, { logLevel: 'error' });
  return (
    document.errors.length === 0 &&
    changes.every(
      ({ key, value }) => JSON.stringify(plainValue(yaml, document.get(key, true))) === JSON.stringify(value),
    )
  );
}

function parseBlock(yaml: YamlLibrary, source: string): { document: Document; map: YAMLMap | undefined } {
  let document: Document;
  try {
    document = yaml.parseDocument(source, { logLevel: 'error', prettyErrors: false });
  } catch (error) {
    throw malformed('it is nested too deep', error);
  }
  const problem = document.errors[0];
  if (problem !== undefined) throw malformed(problem.message.split('\n')[0] ?? '', problem);
  const contents = document.contents;
  if (yaml.isMap(contents)) return { document, map: contents };
  if (contents === null || (yaml.isScalar(contents) && contents.value === null)) return { document, map: undefined };
  throw malformed('it is not a list of properties');
}

function malformed(why: string, cause?: unknown): KbError {
  return new KbError(
    'E_USAGE',
    `the text begins with "---", but what follows is no front matter that kb can add to: ${why.slice(0, 200)}`,
    {
      hint: 'correct the YAML between the --- lines, or keep the text exactly as it is with --no-frontmatter',
      cause,
    },
  );
}

/** The tags of a block: a list, or text with commas or blanks between them, as Obsidian reads both. */
function tagsOf(yaml: YamlLibrary, document: Document): string[] {
  const value = yaml.isMap(document.contents) ? plainValue(yaml, document.get('tags', true)) : undefined;
  if (Array.isArray(value)) return value.map(String);
  return typeof value === 'string' ? value.split(/[\s,]+/).filter((tag) => tag !== '') : [];
}

/** A scalar or list of scalars as JavaScript has it; undefined for anything deeper. */
function plainValue(yaml: YamlLibrary, node: unknown): PropertyValue | undefined {
  if (yaml.isScalar(node)) return isPlain(node.value) ? node.value : undefined;
  if (!yaml.isSeq(node)) return undefined;
  const items = node.items.map((item) => (yaml.isScalar(item) && isPlain(item.value) ? item.value : undefined));
  return items.every((item) => item !== undefined) ? items : undefined;
}

function isPlain(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function keyOf(yaml: YamlLibrary, pair: Pair): string | undefined {
  return yaml.isScalar(pair.key) ? String(pair.key.value) : undefined;
}
