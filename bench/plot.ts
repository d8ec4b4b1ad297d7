/**
 * Plots as SVG, without a library: lines over a logarithmic scale, and bars. Colours are set by classes, so that a
 * plot is readable on light and on dark pages alike.
 */
export interface Series {
  readonly name: string;
  /** Which colour: the same contestant has the same one in all plots. */
  readonly kind: 'native' | 'kb' | 'isomorphic';
}

export interface Line extends Series {
  /** x and y, both above 0. */
  readonly points: readonly (readonly [number, number])[];
}

export interface Bars {
  readonly name: string;
  /** A text stands where a figure could not be had. */
  readonly bars: readonly (Series & { readonly value: number | string })[];
}

const WIDTH = 720;
const FONT = 13;

const STYLE = `
text{font:${FONT}px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#24292f}
.title{font-weight:600}.minor{fill:#57606a}
.grid{stroke:#d0d7de;stroke-width:1}.axis{stroke:#57606a;stroke-width:1}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round}
.native.line{stroke:#bc4c00}.kb.line{stroke:#0969da}.isomorphic.line{stroke:#8250df}
.native.mark{fill:#bc4c00}.kb.mark{fill:#0969da}.isomorphic.mark{fill:#8250df}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.minor{fill:#9198a1}.grid{stroke:#3d444d}.axis{stroke:#9198a1}
.native.line{stroke:#f0883e}.kb.line{stroke:#58a6ff}.isomorphic.line{stroke:#bc8cff}
.native.mark{fill:#f0883e}.kb.mark{fill:#58a6ff}.isomorphic.mark{fill:#bc8cff}
}`;

/** Lines over a logarithmic scale in both directions: what grows with x is a slope, what does not is level. */
export function linePlot(options: {
  readonly title: string;
  readonly x: string;
  readonly lines: readonly Line[];
  /** How a figure is said at the axis. */
  readonly sayX: (x: number) => string;
  readonly sayY: (y: number) => string;
}): string {
  const lines = options.lines.filter(({ points }) => points.length > 0);
  const all = lines.flatMap(({ points }) => points);
  const area = { left: 70, right: WIDTH - 150, top: 50, bottom: 330 };
  const x = scale(
    all.map(([value]) => value),
    area.left,
    area.right,
    0.04,
  );
  const y = scale(
    all.map(([, value]) => value),
    area.bottom,
    area.top,
    0.06,
  );
  const parts: string[] = [];
  for (const tick of ticks(y)) {
    parts.push(`<line class="grid" x1="${area.left}" x2="${area.right}" y1="${at(y, tick)}" y2="${at(y, tick)}"/>`);
    parts.push(text(area.left - 8, at(y, tick) + 4, options.sayY(tick), 'minor', 'end'));
  }
  for (const value of new Set(all.map(([value]) => value))) {
    parts.push(
      `<line class="axis" x1="${at(x, value)}" x2="${at(x, value)}" y1="${area.bottom}" y2="${area.bottom + 5}"/>`,
    );
    parts.push(text(at(x, value), area.bottom + 20, options.sayX(value), 'minor', 'middle'));
  }
  parts.push(`<line class="axis" x1="${area.left}" x2="${area.right}" y1="${area.bottom}" y2="${area.bottom}"/>`);
  parts.push(
    text((area.left + area.right) / 2, area.bottom + 42, `${options.x} (both scales logarithmic)`, 'minor', 'middle'),
  );
  const ends: { y: number; line: Line }[] = [];
  for (const line of lines) {
    const points = [...line.points].sort((a, b) => a[0] - b[0]);
    const drawn = points.map(([px, py]) => `${at(x, px)},${at(y, py)}`);
    parts.push(`<polyline class="line ${line.kind}" points="${drawn.join(' ')}"/>`);
    for (const [px, py] of points)
      parts.push(`<circle class="mark ${line.kind}" cx="${at(x, px)}" cy="${at(y, py)}" r="4"/>`);
    const last = points.at(-1);
    if (last !== undefined) ends.push({ y: at(y, last[1]), line });
  }
  // The names stand at the ends of their lines, and not upon each other.
  let free = 0;
  for (const end of ends.sort((a, b) => a.y - b.y)) {
    const place = Math.max(end.y + 4, free);
    free = place + FONT + 4;
    parts.push(`<circle class="mark ${end.line.kind}" cx="${area.right + 14}" cy="${round(place - 4)}" r="4"/>`);
    parts.push(text(area.right + 24, place, end.line.name, '', 'start'));
  }
  return svg(options.title, 385, parts);
}

/** Groups of bars, each with its figure, over a logarithmic scale, which is said and drawn: twice as long is not twice as much. */
export function barPlot(options: {
  readonly title: string;
  readonly groups: readonly Bars[];
  readonly say: (value: number) => string;
}): string {
  const values = options.groups.flatMap(({ bars }) =>
    bars.flatMap(({ value }) => (typeof value === 'number' ? [value] : [])),
  );
  const [left, right, thick] = [290, WIDTH - 100, 16];
  const x = scale([...values, Math.min(...values) / 3], left, right, 0);
  const parts: string[] = [];
  const marks = ticks(x);
  const bottom = 44 + options.groups.reduce((height, { bars }) => height + bars.length * (thick + 2) + 12, 0);
  for (const mark of marks) {
    parts.push(`<line class="grid" x1="${at(x, mark)}" x2="${at(x, mark)}" y1="40" y2="${bottom - 4}"/>`);
    parts.push(text(at(x, mark), bottom + 12, options.say(mark), 'minor', 'middle'));
  }
  parts.push(text((left + right) / 2, bottom + 32, 'logarithmic scale', 'minor', 'middle'));
  let y = 44;
  for (const { name, bars } of options.groups) {
    parts.push(text(12, y + 12, name, 'title', 'start'));
    for (const bar of bars) {
      parts.push(text(left - 8, y + 12, bar.name, 'minor', 'end'));
      const end = typeof bar.value === 'number' ? at(x, bar.value) : left;
      if (typeof bar.value === 'number')
        parts.push(
          `<rect class="mark ${bar.kind}" x="${left}" y="${y + 1}" width="${round(end - left)}" height="${thick - 3}"/>`,
        );
      const figure = typeof bar.value === 'number' ? options.say(bar.value) : bar.value;
      parts.push(text(end + 6, y + 12, figure, '', 'start'));
      y += thick + 2;
    }
    y += 12;
  }
  return svg(options.title, bottom + 44, parts);
}

interface Scale {
  readonly low: number;
  readonly high: number;
  readonly from: number;
  readonly to: number;
}

/** @param margin what is left free at both ends, as a part of the whole */
function scale(values: readonly number[], from: number, to: number, margin: number): Scale {
  const logs = values.map(Math.log10);
  const [low, high] = [Math.min(...logs), Math.max(...logs)];
  const room = Math.max(high - low, 0.3) * margin;
  return { low: low - room, high: Math.max(high, low + 0.3) + room, from, to };
}

function at({ low, high, from, to }: Scale, value: number): number {
  return round(from + ((Math.log10(value) - low) / (high - low)) * (to - from));
}

/** The fewest steps of each power of ten with which the scale has four marks or more. */
function ticks({ low, high }: Scale): number[] {
  let inside: number[] = [];
  for (const steps of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8]]) {
    inside = [];
    for (let power = Math.floor(low); power <= high; power += 1)
      inside.push(...steps.map((step) => step * 10 ** power));
    inside = inside.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
    if (inside.length >= 4) break;
  }
  return inside;
}

function text(x: number, y: number, content: string, kind: string, anchor: 'start' | 'middle' | 'end'): string {
  const classes = kind === '' ? '' : ` class="${kind}"`;
  return `<text${classes} x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escape(content)}</text>`;
}

function svg(title: string, height: number, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${STYLE}</style>`,
    text(12, 22, title, 'title', 'start'),
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function escape(content: string): string {
  return content.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
