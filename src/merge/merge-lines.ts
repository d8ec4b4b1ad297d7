import { Version, type Chunk, type ChunkRule, type Versions } from './chunk.js';
import { diffLines } from './diff.js';
import type { LineRange } from './diff3.js';
import type { FileKind } from './file-kind.js';
import { lineRegions } from './line-regions.js';
import { KeyIds, linesOf, squashed } from './line-text.js';
import { settled, textOf, type MergedPiece } from './pieces.js';
import type { RuleChoice, RuleName } from './rule-names.js';
import { fineChanges, fineRegions } from './rules/adjacent-edits.js';
import { bothAdded } from './rules/both-added.js';
import { bothDeleted } from './rules/both-deleted.js';
import { cells } from './rules/cells.js';
import { checkbox } from './rules/checkbox.js';
import { deleteModify } from './rules/delete-modify.js';
import { filledFields } from './rules/filled-fields.js';
import { newestDateField, newestVersionField } from './rules/later-field.js';
import { listMarks } from './rules/list-marks.js';
import { sameChange } from './rules/same-change.js';
import { sameWords } from './rules/same-words.js';
import { superset, supersetInLine } from './rules/superset.js';
import { whiteSpace } from './rules/white-space.js';
import { keptWords, words } from './rules/words.js';
import { wordlessEdits } from './rules/wordless-edits.js';

export interface LinesRequest {
  readonly kind: FileKind;
  /** undefined: both sides added the file. */
  readonly base: readonly string[] | undefined;
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
  readonly ending: string;
  readonly choice: RuleChoice;
}

/** Lines compared by their words in one merge of a file: about a quarter of a second. */
const MOST_EFFORT = 50_000;

/** In the order in which they are asked: the first answer counts. */
const CHUNK_RULES: readonly { readonly name: RuleName; readonly rule: ChunkRule }[] = [
  { name: 'same-change', rule: sameChange },
  { name: 'white-space', rule: whiteSpace },
  { name: 'list-marks', rule: listMarks },
  { name: 'superset', rule: superset },
  { name: 'both-deleted', rule: bothDeleted },
  { name: 'filled-fields', rule: filledFields },
  { name: 'newest-date', rule: newestDateField },
  { name: 'newest-version', rule: newestVersionField },
  { name: 'superset', rule: supersetInLine },
  { name: 'checkbox', rule: checkbox },
  { name: 'cells', rule: cells },
  { name: 'words', rule: words },
  { name: 'wordless-edits', rule: wordlessEdits },
  { name: 'same-words', rule: sameWords },
];

/**
 * Merges by lines as git does, and asks the rules where git would leave a conflict. Text that only one side
 * changed is never looked at by any rule.
 */
export function mergeByLines(request: LinesRequest): MergedPiece[] {
  const { kind, ours, theirs, ending, choice } = request;
  const base = request.base ?? shared(ours, theirs);
  const isAddAdd = request.base === undefined;
  const versions: Versions = {
    effort: { left: MOST_EFFORT },
    base: new Version(base, kind),
    ours: new Version(ours, kind),
    theirs: new Version(theirs, kind),
  };
  const pieces: MergedPiece[] = [];
  let done = 0; // lines of ours that are in the pieces
  for (const region of lineRegions(base, ours, theirs)) {
    if (region.changedBy === 'ours') continue; // comes with the next stretch of ours
    if (region.ours.start > done) pieces.push(settled(ours.slice(done, region.ours.start).join('')));
    done = region.ours.start + region.ours.count;
    if (region.changedBy === 'theirs') {
      pieces.push(settled(versions.theirs.slice(region.theirs).join('')));
    } else pieces.push(...mergeRegion(chunkAt(versions, region, isAddAdd, ending), choice));
  }
  if (done < ours.length) pieces.push(settled(ours.slice(done).join('')));
  return pieces;
}

/**
 * What both have stands for the base where there is none: the stretches that say something. Blank lines and marks that
 * two texts have in common would tie together what has nothing to do with each other.
 */
function shared(ours: readonly string[], theirs: readonly string[]): string[] {
  const ids = new KeyIds();
  const lines: string[] = [];
  const take = (from: number, to: number): void => {
    const stretch = ours.slice(from, to);
    const isEdge = from === 0 || to === ours.length;
    if (isEdge || stretch.some((line) => /[\p{L}\p{N}]/u.test(line))) for (const line of stretch) lines.push(line);
  };
  let at = 0;
  for (const { oldStart, oldCount } of diffLines(ids.of(ours), ids.of(theirs))) {
    take(at, oldStart);
    at = oldStart + oldCount;
  }
  take(at, ours.length);
  return lines;
}

interface Place {
  readonly base: LineRange;
  readonly ours: LineRange;
  readonly theirs: LineRange;
}

function chunkAt(versions: Versions, { base, ours, theirs }: Place, isAddAdd: boolean, ending: string): Chunk {
  return {
    versions,
    at: { base, ours, theirs },
    base: versions.base.slice(base),
    ours: versions.ours.slice(ours),
    theirs: versions.theirs.slice(theirs),
    isAddAdd,
    ending,
  };
}

function mergeRegion(region: Chunk, choice: RuleChoice): MergedPiece[] {
  const text = (lines: readonly string[]): string => lines.join('');
  if (text(region.ours) === text(region.theirs)) return [settled(text(region.ours))];
  const whole = settleChunk(region, choice, ['same-change']);
  if (whole !== undefined) return [whole];
  const { kind } = region.versions.ours;
  const mayRefine = choice.allows('adjacent-edits') && kind !== 'other' && !(kind === 'json');
  const fine = mayRefine ? refine(region, choice) : undefined;
  if (fine?.every((piece) => piece.kind === 'settled')) return fine;
  const coarse = settleChunk(region, choice);
  if (coarse !== undefined) return [coarse];
  const kept = keepEdit(region, region, choice);
  return kept === undefined ? (fine ?? [conflict(region)]) : [kept];
}

/** @returns undefined where the changes of both sides cannot be told apart any further */
function refine(region: Chunk, choice: RuleChoice): MergedPiece[] | undefined {
  const { versions, at, base, ours, theirs, isAddAdd, ending } = region;
  const { kind } = versions.ours;
  const steps = fineRegions(
    base.length,
    fineChanges(base, ours, kind, versions.effort),
    fineChanges(base, theirs, kind, versions.effort),
  );
  const shifted = (range: LineRange, by: LineRange): LineRange => ({ ...range, start: range.start + by.start });
  if (steps.length === 1 && steps[0]?.changedBy === 'both') return undefined; // nothing smaller than the region
  const pieces = steps.map((step): MergedPiece => {
    const place = {
      base: shifted(step.base, at.base),
      ours: shifted(step.ours, at.ours),
      theirs: shifted(step.theirs, at.theirs),
    };
    if (step.changedBy === 'theirs') return settled(versions.theirs.slice(place.theirs).join(''), 'adjacent-edits');
    if (step.changedBy !== 'both') {
      const rule = step.changedBy === 'ours' ? 'adjacent-edits' : undefined;
      return settled(versions.ours.slice(place.ours).join(''), rule);
    }
    const chunk = chunkAt(versions, place, isAddAdd, ending);
    return settleChunk(chunk, choice) ?? keepEdit(chunk, region, choice) ?? conflict(chunk);
  });
  return saysTwice(pieces, region) ? [conflict(region)] : pieces;
}

/** Shorter lines (a brace, a heading of a template) stand in a file more than once by right. */
const TELLING_LENGTH = 20;
const isTelling = (line: string): boolean => line.length >= TELLING_LENGTH && /\p{L}/u.test(line);

/**
 * Whether a line that both sides added comes twice: they put it in different places, which looks to a line merge like
 * two additions.
 */
function saysTwice(pieces: readonly MergedPiece[], { base, ours, theirs, ending }: Chunk): boolean {
  const count = (lines: readonly string[]): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const line of lines.map(squashed).filter(isTelling)) counts.set(line, (counts.get(line) ?? 0) + 1);
    return counts;
  };
  const [b, o, t, all] = [count(base), count(ours), count(theirs), count(linesOf(textOf(pieces, ending)))];
  return [...all].some(([line, times]) => {
    const [was, mine, their] = [b.get(line) ?? 0, o.get(line) ?? 0, t.get(line) ?? 0];
    return mine > was && their > was && times > Math.max(mine, their);
  });
}

/** The last resort: an edit of what the other side deleted, if it deleted it and did not put it elsewhere. */
function keepEdit(chunk: Chunk, region: Chunk, choice: RuleChoice): MergedPiece | undefined {
  if (!choice.allows('delete-modify')) return undefined;
  const kept = deleteModify(chunk, region) ?? (choice.allows('words') ? keptWords(chunk) : undefined);
  return kept === undefined ? undefined : settled(kept.join(''), 'delete-modify');
}

function settleChunk(chunk: Chunk, choice: RuleChoice, only?: readonly RuleName[]): MergedPiece | undefined {
  for (const { name, rule } of CHUNK_RULES) {
    if (!choice.allows(name) || (only !== undefined && !only.includes(name))) continue;
    const lines = rule(chunk);
    if (lines !== undefined) return settled(closedText(lines, chunk.ending), name);
  }
  if (only !== undefined) return undefined;
  const added = bothAdded(chunk, choice);
  return added === undefined ? undefined : settled(closedText(added.lines, chunk.ending), added.rule);
}

/** Lines of two versions side by side: none of them may end without a line break but the last. */
function closedText(lines: readonly string[], ending: string): string {
  return lines.map((line, at) => (at < lines.length - 1 && !line.endsWith('\n') ? line + ending : line)).join('');
}

function conflict({ base, ours, theirs }: Chunk): MergedPiece {
  return { kind: 'conflict', base: base.join(''), ours: ours.join(''), theirs: theirs.join('') };
}
