/** A heading of a Markdown text and the bytes of its lines. */
export interface Heading {
  readonly level: number;
  /** Text without marks, trimmed, NFC. */
  readonly text: string;
  /** Offset of the heading's first line. */
  readonly start: number;
  /** Offset just after its last line (the underline for setext), line break included. */
  readonly end: number;
}

interface Line {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const ATX = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const SETEXT = /^ {0,3}(=+|-+)[ \t]*$/;
const FENCE = /^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?:(`{3,})[^`]*|(~{3,}).*)$/;
const LIST_ITEM = /^([ \t]*)([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const RAW_HTML = /^ {0,3}<(pre|script|style|textarea)(?=[\s>]|$)/i;
const THEMATIC_BREAK = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;

/**
 * The headings that structure a Markdown text: ATX and setext. What only looks like one in front matter,
 * fenced code, HTML comments and raw HTML, quotes, list items and indented code is left out.
 * Source: CommonMark 0.31, sections 4.2 to 4.6 and 5.
 * @param text one character a byte (`latin1`), so that offsets are byte offsets
 */
export function findHeadings(text: string): Heading[] {
  return new HeadingScan(text).run();
}

/** What the user asks for: `## Log` (that level) or `Log` (any level). */
export function parseHeadingQuery(query: string): { level: number | undefined; text: string } {
  const match = ATX.exec(query.trim());
  if (match === null) return { level: undefined, text: query.trim().normalize('NFC') };
  return { level: match[1]?.length, text: (match[2] ?? '').trim().normalize('NFC') };
}

/** The byte order mark, one character a byte. */
export const BOM = '\xef\xbb\xbf';

export function splitLines(text: string): Line[] {
  const lines: Line[] = [];
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline + 1;
    lines.push({ text: text.slice(start, end).replace(/\r?\n$/, ''), start, end });
    start = end;
  }
  return lines;
}

class HeadingScan {
  private readonly headings: Heading[] = [];
  private readonly lines: Line[];
  /** Ends the block that hides headings; undefined outside of one. */
  private endsBlock: ((line: string) => boolean) | undefined;
  /** Lines of the paragraph above, which an underline would turn into a heading. */
  private paragraph: Line[] = [];
  /** Column from which lines belong to the list item above. */
  private listColumn: number | undefined;
  private afterBlank = true;

  constructor(text: string) {
    this.lines = splitLines(text);
  }

  run(): Heading[] {
    const first = this.lines[0];
    if (first?.text.startsWith(BOM) === true) this.lines[0] = { ...first, text: first.text.slice(BOM.length) };
    for (const line of this.lines.slice(frontMatterLines(this.lines))) this.line(line);
    return this.headings;
  }

  private line(line: Line): void {
    if (this.endsBlock !== undefined) {
      if (this.endsBlock(line.text)) this.endsBlock = undefined;
      this.paragraph = [];
      return;
    }
    if (line.text.trim() === '') {
      this.paragraph = [];
      this.afterBlank = true;
      return;
    }
    this.content(line);
    this.afterBlank = false;
  }

  private content(line: Line): void {
    const inList = this.isInList(line.text);
    if (this.opensBlock(line.text)) {
      this.paragraph = [];
      return;
    }
    if (inList) return;
    const atx = ATX.exec(line.text);
    if (atx !== null) {
      this.add(atx[1]?.length ?? 1, atx[2] ?? '', line, line);
      return;
    }
    const first = this.paragraph[0];
    const underline = SETEXT.exec(line.text);
    if (underline !== null && first !== undefined) {
      this.add(
        underline[1]?.startsWith('=') === true ? 1 : 2,
        this.paragraph.map((one) => one.text.trim()).join(' '),
        first,
        line,
      );
      return;
    }
    const isPlain = !/^ {0,3}>/.test(line.text) && !THEMATIC_BREAK.test(line.text);
    const beginsParagraph = this.paragraph.length > 0 || (/^ {0,3}\S/.test(line.text) && this.listColumn === undefined);
    this.paragraph = isPlain && beginsParagraph ? [...this.paragraph, line] : [];
  }

  private add(level: number, text: string, first: Line, last: Line): void {
    this.headings.push({ level, text: decode(text).trim().normalize('NFC'), start: first.start, end: last.end });
    this.paragraph = [];
    this.listColumn = undefined;
  }

  /** Keeps `listColumn` and says whether this line is an item or lies inside one. */
  private isInList(text: string): boolean {
    const indent = columnOf(/^[ \t]*/.exec(text)?.[0] ?? '');
    if (this.listColumn !== undefined && indent >= this.listColumn) return true;
    const item = THEMATIC_BREAK.test(text) || indent > 3 ? null : LIST_ITEM.exec(text);
    if (item !== null) {
      const blanks = columnOf(item[3] ?? '');
      this.listColumn = indent + (item[2]?.length ?? 1) + (blanks >= 1 && blanks <= 4 ? blanks : 1);
      this.paragraph = [];
      return true;
    }
    // a line further left after a blank one ends the list; without the blank it lazily continues the item
    if (this.afterBlank) this.listColumn = undefined;
    return false;
  }

  private opensBlock(text: string): boolean {
    const fence = FENCE.exec(text);
    const mark = fence?.[1] ?? fence?.[2];
    if (mark !== undefined) {
      const closing = new RegExp(`^[ \\t>]*\\${mark[0]}{${mark.length},}[ \\t]*$`);
      this.endsBlock = (line) => closing.test(line);
      return true;
    }
    const comment = /^ {0,3}<!--/.test(text);
    if (comment) {
      if (!text.includes('-->')) this.endsBlock = (line) => line.includes('-->');
      return true;
    }
    const tag = RAW_HTML.exec(text)?.[1];
    if (tag === undefined) return false;
    const closing = /<\/(?:pre|script|style|textarea)>/i;
    if (!closing.test(text)) this.endsBlock = (line) => closing.test(line);
    return true;
  }
}

/** Number of lines that YAML front matter takes at the beginning; 0 when there is none. */
export function frontMatterLines(lines: readonly { readonly text: string }[]): number {
  if (!/^(?:\xef\xbb\xbf|\ufeff)?---[ \t]*$/.test(lines[0]?.text ?? '')) return 0;
  const end = lines.findIndex((line, n) => n > 0 && /^(?:---|\.\.\.)[ \t]*$/.test(line.text));
  return end + 1;
}

function columnOf(blanks: string): number {
  let column = 0;
  for (const character of blanks) column = character === '\t' ? column + 4 - (column % 4) : column + 1;
  return column;
}

function decode(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8');
}
