import { KbError } from '../errors.js';

/**
 * The grammar of git's config files (git-config(1), "CONFIGURATION FILE" and "Syntax"), with positions, so
 * that one parser serves both reading and editing in place.
 *
 * Everything here works on `latin1` strings: one character is one byte, so positions are byte offsets and
 * names in any encoding survive an edit untouched. Only values handed out are decoded as UTF-8.
 */
export interface ConfigItem {
  /** `section.key` or `section.subsection.key`; section and key in lower case, the subsection as written. */
  readonly key: string;
  /** undefined: the key stands alone, without `=`. */
  readonly value: string | undefined;
  /** Byte offset just after the key's name. */
  readonly nameEnd: number;
  /** Byte range of the value as written, quotes included, comment and blanks around it excluded. */
  readonly valueStart: number;
  readonly valueEnd: number;
}

export interface ConfigSection {
  /** `section` or `section.subsection`, without a dot at the end. */
  readonly name: string;
  /** Byte offset just after the `]`. */
  readonly headerEnd: number;
  readonly items: ConfigItem[];
}

const BOM = '\xef\xbb\xbf';

/**
 * @param text the file's bytes as `latin1`
 * @param where the file's name for messages
 * @throws KbError E_USAGE with file and line where git says "bad config line"
 */
export function parseGitConfig(text: string, where: string): ConfigSection[] {
  return new Parser(text, where).parse();
}

/** UTF-8 text of a `latin1` string; the usual all-ASCII case costs one scan. */
export function decodeLatin1(text: string): string {
  return /[\x80-\xff]/.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text;
}

class Parser {
  private at = 0;
  private readonly sections: ConfigSection[] = [];

  constructor(
    private readonly text: string,
    private readonly where: string,
  ) {}

  parse(): ConfigSection[] {
    if (this.text.startsWith(BOM)) this.at = BOM.length;
    for (;;) {
      const next = this.peek();
      if (next === undefined) return this.sections;
      if (isBlank(next)) this.at++;
      else if (next === '#' || next === ';') this.skipLine();
      else if (next === '[') this.header();
      else if (/[a-z]/i.test(next)) this.item();
      else this.fail();
    }
  }

  /** `[section]`, `[section.subsection]` (old, folded to lower case) or `[section "subsection"]`. */
  private header(): void {
    const start = ++this.at;
    while (/[A-Za-z0-9.-]/.test(this.peek() ?? '')) this.at++;
    let name = this.text.slice(start, this.at).toLowerCase();
    if (name === '' && this.peek() === ']') this.fail();
    if (this.peek() === ']') this.at++;
    else name += `.${this.subsection()}`;
    this.sections.push({ name: decodeLatin1(name), headerEnd: this.at, items: [] });
  }

  private subsection(): string {
    const blanks = this.at;
    while (isBlank(this.peek() ?? '')) if (this.text[this.at++] === '\n') this.fail();
    if (this.at === blanks || this.take() !== '"') this.fail();
    let name = '';
    for (;;) {
      let next = this.take();
      if (next === '"') break;
      if (next === '\\') next = this.take();
      if (next === undefined || next === '\n') this.fail();
      name += next;
    }
    if (this.take() !== ']') this.fail();
    return name;
  }

  private item(): void {
    const start = this.at;
    while (/[A-Za-z0-9-]/.test(this.peek() ?? '')) this.at++;
    const nameEnd = this.at;
    const section = this.currentSection();
    const name = this.text.slice(start, nameEnd).toLowerCase();
    const key = section.name === '' ? name : `${section.name}.${name}`;
    while (this.peek() === ' ' || this.peek() === '\t') this.at++;
    if (this.atLineEnd()) {
      section.items.push({ key, value: undefined, nameEnd, valueStart: nameEnd, valueEnd: nameEnd });
      this.skipLine();
      return;
    }
    if (this.take() !== '=') this.fail();
    section.items.push({ key, nameEnd, ...this.value() });
  }

  /** Git tolerates keys above the first section; they belong to none. */
  private currentSection(): ConfigSection {
    if (this.sections.length === 0) this.sections.push({ name: '', headerEnd: this.at, items: [] });
    return this.sections[this.sections.length - 1] as ConfigSection;
  }

  private value(): { value: string; valueStart: number; valueEnd: number } {
    while (isBlank(this.peek() ?? '') && !this.atLineEnd()) this.at++;
    const valueStart = this.at;
    let value = '';
    let quoted = false;
    let keepLength = 0; // the value without the unquoted blanks at its end
    let valueEnd = this.at;
    while (!this.atLineEnd()) {
      const next = this.take() as string;
      // git before 2.45 makes every inner blank a space; since then, as here, it stays what it is
      if (!quoted && isBlank(next)) {
        if (value !== '') value += next;
        continue;
      }
      if (!quoted && (next === '#' || next === ';')) {
        while (!this.atLineEnd()) this.at++;
        break;
      }
      if (next === '"') quoted = !quoted;
      else if (next !== '\\') value += next;
      else if (this.atLineEnd())
        this.skipLine(); // goes on in the next line
      else value += this.escape();
      keepLength = value.length;
      valueEnd = this.at;
    }
    if (quoted) this.fail();
    this.skipLine();
    return { value: decodeLatin1(value.slice(0, keepLength)), valueStart, valueEnd };
  }

  private escape(): string {
    const next = this.take();
    if (next === '\\' || next === '"') return next;
    if (next === 'n') return '\n';
    if (next === 't') return '\t';
    if (next === 'b') return '\b';
    return this.fail();
  }

  /** At `\n`, `\r\n` or the end of the file; a lone carriage return is an ordinary character. */
  private atLineEnd(): boolean {
    const next = this.text[this.at];
    return next === undefined || next === '\n' || (next === '\r' && this.text[this.at + 1] === '\n');
  }

  private skipLine(): void {
    const end = this.text.indexOf('\n', this.at);
    this.at = end < 0 ? this.text.length : end + 1;
  }

  private peek(): string | undefined {
    return this.text[this.at];
  }

  private take(): string | undefined {
    return this.text[this.at++];
  }

  private line(): number {
    return this.text.slice(0, this.at).split('\n').length;
  }

  private fail(): never {
    this.at = Math.min(this.at, this.text.length);
    throw new KbError('E_USAGE', `bad line ${this.line()} in the git configuration ${this.where}`, {
      hint: `correct line ${this.line()} of ${this.where}`,
      details: { file: this.where, line: this.line() },
    });
  }
}

/** C's isspace() for ASCII, which is what git uses. */
function isBlank(character: string): boolean {
  return character === ' ' || (character >= '\t' && character <= '\r');
}
