import { diffLines } from './diff.js';
import { fileKind, type FileKind } from './file-kind.js';
import { judge } from './law.js';
import { lineRegions } from './line-regions.js';
import { KeyIds } from './line-text.js';
import { withMarkers, type MarkerStyle } from './markers.js';
import { mergeByLines, type LinesRequest } from './merge-lines.js';
import { mergeText, type TextVersions } from './merge-text.js';
import { hasConflict, rulesOf, settled, textOf, type MergedPiece } from './pieces.js';
import { ALL_RULES, NO_RULES, without, type RuleChoice, type RuleName } from './rule-names.js';
import { agreedBase } from './rules/agreed-lines.js';
import { mergeFrontMatter, splitFrontMatter } from './rules/front-matter.js';
import { isJson, mergeJson } from './rules/json.js';
import { carryLines } from './rules/moved-lines.js';
import { carryMove } from './rules/moved.js';
import { mergeYaml } from './rules/yaml.js';
import { bareLines, three, withEnds, writeText, type LineEnds, type TextForm } from './text-form.js';

export interface MergeFileRequest {
  /** The common ancestor; undefined where both sides added the file. */
  readonly base: Buffer | undefined;
  readonly ours: Buffer;
  readonly theirs: Buffer;
  /** Its name says what kind of text it is. */
  readonly path: string;
  /** Default: every rule. */
  readonly choice?: RuleChoice;
}

export type FileMerge =
  | {
      readonly kind: 'merged';
      readonly data: Buffer;
      /** What settled the places that git would have left to a person; empty: there were none. */
      readonly rules: readonly RuleName[];
    }
  | {
      readonly kind: 'conflict';
      /** `overlap`: both sides changed the same place; else why the files are no text that can be merged. */
      readonly reason: 'overlap' | 'binary' | 'encoding';
      /** In how many places the sides contradict each other; 1 where the file is no text. */
      readonly regions: number;
      /** The file with the contradictions between markers; undefined where it is no text. */
      readonly marked?: (style: Omit<MarkerStyle, 'ending'>) => Buffer;
    };

/**
 * Merges two changed versions of a file: by lines as git does, and where that leaves a conflict, by rules that know
 * what notes are made of. Whatever git merges cleanly comes out as git has it. No rule may lose what somebody wrote:
 * `law.ts` looks at every result before it is given out.
 */
export function mergeFile({ base, ours, theirs, path, choice = ALL_RULES }: MergeFileRequest): FileMerge {
  const plain = mergeText(base, ours, theirs);
  if (plain.kind === 'merged') return { ...plain, rules: [] };
  if (plain.reason !== 'overlap') return { ...plain, regions: 1 };
  return mergeTexts(plain.texts, path, choice);
}

/** In bytes of an unknown encoding nobody can tell words, letters or a table's width. */
const NOT_FOR_BYTES: readonly RuleName[] = [
  'words',
  'wordless-edits',
  'cells',
  'checkbox',
  'sorted-list',
  'json',
  'yaml',
  'front-matter',
];

function mergeTexts({ base, ours, theirs, encoding }: TextVersions, path: string, choice: RuleChoice): FileMerge {
  const ends = endsOf(base?.ends, ours.ends, theirs.ends, choice);
  const ending = ends.kept === 'crlf' ? '\r\n' : '\n';
  const lines = (version: TextForm): readonly string[] => bareLines(version, ends.isUnified);
  const inner = ends.isUnified ? '\n' : ending;
  const request: LinesRequest = {
    kind: fileKind(path),
    base: base === undefined ? undefined : lines(base),
    ours: lines(ours),
    theirs: lines(theirs),
    ending: inner,
    choice: encoding === 'utf8' ? choice : without(choice, NOT_FOR_BYTES),
  };
  const hasMark = three(base?.hasMark, ours.hasMark, theirs.hasMark);
  const write = (text: string): Buffer =>
    writeText(ends.isUnified ? withEnds(text, ends.kept) : text, encoding, hasMark);
  const answer = mergeWithMoves(request);
  if (answer.text === undefined) {
    const { pieces } = answer;
    const marked = (style: Omit<MarkerStyle, 'ending'>): Buffer =>
      write(withMarkers(pieces, { ...style, ending: inner }));
    return {
      kind: 'conflict',
      // could their words be told apart, there might be no conflict
      reason: encoding === 'utf8' ? 'overlap' : 'encoding',
      regions: pieces.filter(({ kind }) => kind === 'conflict').length,
      marked,
    };
  }
  const isSpaceOnly = answer.rules.length === 0; // once the line ends were the same, nothing was left to settle
  return { kind: 'merged', data: write(answer.text), rules: isSpaceOnly ? ['white-space'] : answer.rules };
}

/**
 * A side that changed the line ends of the whole file is no reason to look at each line of it as changed: all
 * versions are merged with one kind of line end, and the result gets those of the side that changed them.
 */
function endsOf(
  base: LineEnds | undefined,
  ours: LineEnds,
  theirs: LineEnds,
  choice: RuleChoice,
): { readonly kept: LineEnds; readonly isUnified: boolean } {
  const kinds = new Set([base ?? 'none', ours, theirs].filter((ends) => ends !== 'none'));
  const kept = ours === 'none' ? theirs : theirs === 'none' ? ours : three(base, ours, theirs);
  return { kept, isUnified: kinds.size > 1 && !kinds.has('mixed') && choice.allows('white-space') };
}

type Answer =
  | { readonly text: string; readonly rules: RuleName[] }
  | { readonly text: undefined; readonly pieces: readonly MergedPiece[] };

/** The versions as they are, and where that leaves a conflict, as they are once what is no contradiction is out of the way. */
function mergeWithMoves(request: LinesRequest): Answer {
  const answer = mergeOnce(request, request);
  if (answer.text !== undefined) return answer;
  for (const { rule, told } of RETELLINGS) {
    const other = request.choice.allows(rule) ? told(request) : undefined;
    const again = other === undefined ? undefined : mergeOnce(other, request);
    if (again?.text !== undefined) return { ...again, rules: [rule, ...again.rules.filter((name) => name !== rule)] };
  }
  return answer;
}

const RETELLINGS: readonly {
  readonly rule: RuleName;
  readonly told: (request: LinesRequest) => LinesRequest | undefined;
}[] = [
  { rule: 'moved', told: withMove },
  { rule: 'moved', told: (request) => withMovedLines(request, 'ours') },
  { rule: 'moved', told: (request) => withMovedLines(request, 'theirs') },
  { rule: 'same-change', told: withAgreedBase },
];

function withMovedLines(request: LinesRequest, side: 'ours' | 'theirs'): LinesRequest | undefined {
  const { base, ours, theirs, kind } = request;
  if (base === undefined || (kind !== 'markdown' && kind !== 'text')) return undefined;
  const [mover, other] = side === 'ours' ? [ours, theirs] : [theirs, ours];
  const ids = new KeyIds();
  const [b, m, o] = [ids.of(base), ids.of(mover), ids.of(other)];
  const effort = { left: MOST_MOVE_EFFORT };
  const carried = carryLines(base, mover, other, diffLines(b, m), diffLines(b, o), kind, effort);
  if (carried === undefined) return undefined;
  const [mine, their] = side === 'ours' ? [carried.mover, carried.other] : [carried.other, carried.mover];
  return { ...request, ours: mine, theirs: their };
}

/** Lines compared by their words where lines were moved. */
const MOST_MOVE_EFFORT = 50_000;

function withAgreedBase(request: LinesRequest): LinesRequest | undefined {
  const { base, ours, theirs, kind } = request;
  if (base === undefined || (kind !== 'markdown' && kind !== 'text')) return undefined;
  const ids = new KeyIds();
  const [b, o, t] = [ids.of(base), ids.of(ours), ids.of(theirs)];
  const agreed = agreedBase(base, ours, theirs, diffLines(b, o), diffLines(b, t), diffLines(o, t));
  return agreed === undefined ? undefined : { ...request, base: agreed };
}

function withMove(request: LinesRequest): LinesRequest | undefined {
  const { base, ours, theirs, kind } = request;
  if (base === undefined || kind === 'json' || kind === 'yaml' || kind === 'other') return undefined;
  const ids = new KeyIds();
  const [b, o, t] = [ids.of(base), ids.of(ours), ids.of(theirs)];
  const [byUs, byThem] = [diffLines(b, o), diffLines(b, t)];
  const byOurs = carryMove(base, ours, theirs, byUs, byThem);
  if (byOurs !== undefined) return { ...request, base: byOurs.base, theirs: byOurs.other };
  const byTheirs = carryMove(base, theirs, ours, byThem, byUs);
  return byTheirs === undefined ? undefined : { ...request, base: byTheirs.base, ours: byTheirs.other };
}

/** @param given the versions as they are, by which the result is judged */
function mergeOnce(request: LinesRequest, given: LinesRequest): Answer {
  const pieces = mergeByKind(request);
  if (hasConflict(pieces)) return { text: undefined, pieces };
  const text = withLastLineEnd(textOf(pieces, request.ending), given);
  const rules = rulesOf(pieces);
  const versions = versionsOf(given);
  const { loses, repeats } = judge({
    ...versions,
    regions: lineRegions(versions.base, versions.ours, versions.theirs),
    result: text,
    keepsEdits: rules.includes('delete-modify'),
  });
  const isSuspect = request !== given || rules.some((rule) => MAY_REPEAT.has(rule));
  if (!loses && !(repeats && isSuspect)) return { text, rules };
  return { text: undefined, pieces: mergeByLines({ ...given, choice: NO_RULES }) };
}

/**
 * Rules that put lines of both sides together by how alike they are. Where the result then says a word once more than
 * both sides explain, they were mistaken about what belongs together. Of additions that is no sign: two sections
 * that were made from one template share its words by right.
 */
const MAY_REPEAT: ReadonlySet<RuleName> = new Set(['adjacent-edits', 'superset', 'words', 'delete-modify', 'moved']);

const NO_LINES: readonly string[] = [];

function versionsOf({
  base = NO_LINES,
  ours,
  theirs,
}: LinesRequest): Record<'base' | 'ours' | 'theirs', readonly string[]> {
  return { base, ours, theirs };
}

/** The file ends with a line break unless the side that changed its end took it away. */
function withLastLineEnd(text: string, { base, ours, theirs, ending }: LinesRequest): string {
  const isClosed = (lines: readonly string[] | undefined): boolean => lines?.at(-1)?.endsWith('\n') !== false;
  const wanted = three(isClosed(base), isClosed(ours), isClosed(theirs));
  return wanted && text !== '' && !text.endsWith('\n') ? text + ending : text;
}

function mergeByKind(request: LinesRequest): MergedPiece[] {
  const { kind, choice } = request;
  if (kind === 'json') return mergeJsonFile(request);
  if (kind === 'yaml') {
    const { base, ours, theirs } = request;
    const merged = choice.allows('yaml') ? mergeYaml(base, ours, theirs, request) : undefined;
    return merged ?? mergeByLines(asKind(request, 'other'));
  }
  if (kind === 'markdown' && choice.allows('front-matter')) return mergeNote(request);
  return mergeByLines(request);
}

function mergeJsonFile(request: LinesRequest): MergedPiece[] {
  const { base, ours, theirs, choice } = request;
  const [o, t] = [ours.join(''), theirs.join('')];
  const merged = choice.allows('json') ? mergeJson(base?.join(''), o, t, choice) : undefined;
  if (merged !== undefined) return [settled(merged.text), ...merged.rules.map((rule) => settled('', rule))];
  const pieces = mergeByLines(asKind(request, 'other'));
  // Lines of JSON put together may be none; two readable files never become an unreadable one.
  const isBroken = !hasConflict(pieces) && isJson(o) && isJson(t) && !isJson(textOf(pieces, request.ending));
  return isBroken ? mergeByLines({ ...request, choice: NO_RULES }) : pieces;
}

function mergeNote(request: LinesRequest): MergedPiece[] {
  const { base, ours, theirs } = request;
  const [o, t] = [splitFrontMatter(ours), splitFrontMatter(theirs)];
  if (o === undefined || t === undefined) return mergeByLines(request);
  const b = base === undefined ? undefined : splitFrontMatter(base);
  const block = (note: typeof o): string[] => [note.open, ...note.matter, note.close];
  const matter =
    mergeFrontMatter(b, o, t, request) ??
    mergeByLines({
      ...asKind(request, 'other'),
      base: b === undefined ? undefined : block(b),
      ours: block(o),
      theirs: block(t),
    });
  const body = mergeByLines({ ...request, base: b === undefined ? base : b.body, ours: o.body, theirs: t.body });
  return [...matter, ...body];
}

function asKind(request: LinesRequest, kind: FileKind): LinesRequest {
  return { ...request, kind };
}
