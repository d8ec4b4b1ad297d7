import type { Attributes } from '../attributes/attributes.js';
import type { AttributeState } from '../attributes/parse.js';
import type { RepoPath } from '../paths.js';
import type { ContentFilter } from './content-filter.js';
import { textEncodingOf, type TextEncoding } from './encoding.js';
import { identToBlob, identToFile } from './ident.js';
import { KEEP_LINE_ENDS, lineEndsLost, lineEndsToBlob, lineEndsToFile, type LineEnds } from './line-ends.js';

/** What git's configuration says about contents, beside the attributes. */
export interface ConversionSettings {
  /** `core.autocrlf`: files of which no attribute speaks are `text=auto`; `input`: with LF on disk. */
  readonly autoCrlf: boolean | 'input';
  /** `core.eol`, and the system's own where that says nothing: what text has on disk where no attribute says so. */
  readonly eol: 'lf' | 'crlf';
  /** `core.safecrlf=true`: a file is not committed if it would come back with other line ends. */
  readonly safeCrlf: boolean;
  /** By the NAME of `filter=NAME`: kb's own, or why kb cannot do it; undefined: git would do nothing either. */
  readonly filter: (name: string) => ContentFilter | { readonly problem: string } | undefined;
}

/** From file to blob and back, for one path. */
export interface PathConversion {
  readonly lineEnds: LineEnds;
  readonly ident: boolean;
  readonly encoding: TextEncoding | undefined;
  readonly filter: ContentFilter | undefined;
  readonly safeCrlf: boolean;
  /** Why kb cannot tell what git would make of it. The file is left as it is, and an edit of it is refused. */
  readonly problem: string | undefined;
}

/** Nothing is converted: most files of most KBs. */
export const PLAIN: PathConversion = {
  lineEnds: KEEP_LINE_ENDS,
  ident: false,
  encoding: undefined,
  filter: undefined,
  safeCrlf: false,
  problem: undefined,
};

/** Source: gitattributes(5), "Checking-out and checking-in", and `core.autocrlf`, `core.eol` in git-config(1). */
export function conversionOf(attributes: Attributes, settings: ConversionSettings): PathConversion {
  if (attributes.size === 0 && settings.autoCrlf === false) return PLAIN;
  const lineEnds = lineEndsOf(attributes, settings);
  const ident = attributes.get('ident') === true;
  const filtered = filterOf(attributes.get('filter'), settings);
  const encoded = encodingOf(attributes.get('working-tree-encoding'));
  if (lineEnds.text === false && !ident && filtered === undefined && encoded === undefined) return PLAIN;
  const problem = problemOf(filtered) ?? problemOf(encoded);
  return {
    lineEnds,
    ident,
    encoding: encoded === undefined || 'problem' in encoded ? undefined : encoded,
    filter: filtered === undefined || 'problem' in filtered ? undefined : filtered,
    safeCrlf: settings.safeCrlf,
    problem,
  };
}

function problemOf(value: object | undefined): string | undefined {
  return value !== undefined && 'problem' in value ? String(value.problem) : undefined;
}

function lineEndsOf(attributes: Attributes, { autoCrlf, eol }: ConversionSettings): LineEnds {
  const native = autoCrlf === true ? 'crlf' : autoCrlf === 'input' ? 'lf' : eol;
  // `crlf` is what the attribute was called before git 1.7.2.
  const said = textState(attributes.get('text')) ?? textState(attributes.get('crlf'));
  if (said?.text === false) return KEEP_LINE_ENDS;
  const asked = attributes.get('eol');
  const onDisk = asked === 'lf' || asked === 'crlf' ? asked : undefined;
  if (said === undefined) {
    if (onDisk !== undefined) return { text: true, onDisk };
    return autoCrlf === false ? KEEP_LINE_ENDS : { text: 'auto', onDisk: native };
  }
  return { text: said.text, onDisk: onDisk ?? said.onDisk ?? native };
}

function textState(state: AttributeState | undefined): { text: boolean | 'auto'; onDisk?: 'lf' } | undefined {
  if (state === true) return { text: true };
  if (state === false) return { text: false };
  if (state === 'auto') return { text: 'auto' };
  return state === 'input' ? { text: true, onDisk: 'lf' } : undefined;
}

function filterOf(
  state: AttributeState | undefined,
  { filter }: ConversionSettings,
): ContentFilter | { readonly problem: string } | undefined {
  return typeof state === 'string' ? filter(state) : undefined;
}

function encodingOf(state: AttributeState | undefined): TextEncoding | { readonly problem: string } | undefined {
  if (state === undefined || state === null || state === '') return undefined;
  const found = typeof state === 'string' ? textEncodingOf(state) : undefined;
  if (found === 'utf-8') return undefined;
  return (
    found ?? { problem: `its text is encoded as ${String(state)} (working-tree-encoding), which kb does not know` }
  );
}

/**
 * What the blob of a file holds, after its filter.
 * @param recorded the blob that git has of it
 * @returns a string: why it cannot be committed
 */
export function convertToBlob(
  conversion: PathConversion,
  data: Buffer,
  recorded: () => Buffer | undefined,
): Buffer | string {
  const { encoding, lineEnds, ident } = conversion;
  const text = encoding === undefined || data.length === 0 ? data : encoding.toUtf8(data);
  if (text === undefined) return 'it is not in the encoding that .gitattributes says (working-tree-encoding)';
  const plain = lineEndsToBlob(text, lineEnds, recorded);
  return ident ? identToBlob(plain) : plain;
}

/** Why `core.safecrlf` keeps a file from being committed; undefined: it does not. */
export function lineEndsProblem(
  { safeCrlf, lineEnds, encoding }: PathConversion,
  data: Buffer,
  recorded: () => Buffer | undefined,
): string | undefined {
  if (!safeCrlf) return undefined;
  const text = encoding === undefined || data.length === 0 ? data : encoding.toUtf8(data);
  const lost = text === undefined ? undefined : lineEndsLost(text, lineEnds, recorded);
  if (lost === undefined) return undefined;
  return lost === 'crlf' ? 'its CRLF would become LF (core.safecrlf)' : 'its LF would become CRLF (core.safecrlf)';
}

/** Whether `convertToFile` may change anything. */
export function changesFiles({ lineEnds, ident, encoding }: PathConversion): boolean {
  return ident || encoding !== undefined || (lineEnds.text !== false && lineEnds.onDisk === 'crlf');
}

/** Whether `convertToBlob` may change anything. */
export function changesBlobs({ lineEnds, ident, encoding }: PathConversion): boolean {
  return ident || encoding !== undefined || lineEnds.text !== false;
}

/** What a file holds, before its filter. What cannot be encoded is written as it is, as git does. */
export function convertToFile({ encoding, lineEnds, ident }: PathConversion, blob: Buffer): Buffer {
  const text = lineEndsToFile(ident ? identToFile(blob) : blob, lineEnds);
  return encoding === undefined || text.length === 0 ? text : (encoding.fromUtf8(text) ?? text);
}

/** Named in messages. */
export interface Unconverted {
  readonly path: RepoPath;
  readonly problem: string;
}
