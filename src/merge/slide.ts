/**
 * A run of changed lines in one file, between two unchanged lines. Empty runs count too: the n-th run of
 * one file then always stands opposite the n-th run of the other.
 */
class Run {
  start = 0;
  end = 0;

  constructor(private readonly changed: Uint8Array) {
    this.growDown();
  }

  get isEmpty(): boolean {
    return this.start === this.end;
  }

  next(): boolean {
    if (this.end === this.changed.length) return false;
    this.start = this.end = this.end + 1;
    this.growDown();
    return true;
  }

  previous(): void {
    this.end = this.start = this.start - 1;
    this.growUp();
  }

  /** Moves the run one line up if the line above it equals its last one; swallows a run that it then touches. */
  slideUp(lines: Int32Array): boolean {
    if (this.start === 0 || lines[this.start - 1] !== lines[this.end - 1]) return false;
    this.changed[--this.start] = 1;
    this.changed[--this.end] = 0;
    this.growUp();
    return true;
  }

  slideDown(lines: Int32Array): boolean {
    if (this.end === this.changed.length || lines[this.start] !== lines[this.end]) return false;
    this.changed[this.start++] = 0;
    this.changed[this.end++] = 1;
    this.growDown();
    return true;
  }

  private growUp(): void {
    while (this.start > 0 && this.changed[this.start - 1] === 1) this.start--;
  }

  private growDown(): void {
    while (this.changed[this.end] === 1) this.end++;
  }
}

/**
 * An inserted or deleted run amid equal lines can be drawn in several places: "a blank line was added"
 * is true of each blank line in a row. One of them must be chosen the same way every time, or two sides
 * that made the same insertion would conflict. As git does: join runs that can be slid together, then
 * stand opposite a change of the other file if possible, else as far down as possible.
 */
export function slideGroups(lines: Int32Array, changed: Uint8Array, changedInOther: Uint8Array): void {
  const run = new Run(changed);
  const opposite = new Run(changedInOther);
  do {
    if (run.isEmpty) continue;
    let size: number;
    let highestEnd: number;
    let standsOpposite: boolean;
    do {
      size = run.end - run.start;
      while (run.slideUp(lines)) opposite.previous();
      highestEnd = run.end;
      standsOpposite = !opposite.isEmpty;
      while (run.slideDown(lines)) {
        opposite.next();
        if (!opposite.isEmpty) standsOpposite = true;
      }
    } while (size !== run.end - run.start);
    if (run.end !== highestEnd && standsOpposite) {
      while (opposite.isEmpty && run.slideUp(lines)) opposite.previous();
    }
  } while (run.next() && opposite.next());
}
