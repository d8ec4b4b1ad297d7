import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fillPage, render } from '../../../bench/page.js';
import { newestOf, type Result, type Row } from '../../../bench/results.js';

const environment = {
  cpu: 'Some CPU',
  cores: 2,
  memoryGb: 8,
  system: 'Linux 6.1',
  fileSystem: 'ext4',
  node: '20.20.2',
  git: '2.39.5',
  isomorphicGit: '1.44.11',
};

const moved = (files: number, native: number, kb: number, most?: number): Row => ({
  scenario: 'cycle, moved',
  files,
  native,
  kb,
  unit: 'ms',
  ratio: kb / native,
  ...(most === undefined ? {} : { limit: { most, unit: '×' } }),
});

const first: Result = {
  at: '2026-11-20T10:00:00.000Z',
  commit: 'aaaaaaaaaa',
  environment,
  rows: [
    moved(10, 100, 120, 1.25),
    moved(10_000, 200, 190, 0.85),
    {
      scenario: 'clone, depth 1',
      files: 100_000,
      native: 17_650,
      kb: 7355,
      unit: 'ms',
      ratio: 7355 / 17_650,
      limit: { most: 1, unit: '×' },
    },
    {
      scenario: 'kb --version, beside node -e 0',
      native: 20,
      kb: 70,
      unit: 'ms',
      judged: 50,
      limit: { most: 45, unit: 'ms' },
    },
    { scenario: 'cycle, moved', files: 10, native: 5, kb: 3, unit: 'requests', limit: { most: 3, unit: '' } },
  ],
  porcelain: [
    { scenario: 'cycle, moved', files: 10, outcome: 210 },
    { scenario: 'clone, depth 1', files: 100_000, outcome: 'fails (EMFILE)' },
  ],
  loads: [
    {
      command: 'kb note <text>',
      besideNodeMs: 40.4,
      sources: 176,
      packages: ['@oclif/core'],
      builtins: 66,
      compiledKb: 894,
    },
  ],
};

/** The next day only one scenario was measured again, at another commit. */
const second: Result = {
  ...first,
  at: '2026-11-21T10:00:00.000Z',
  commit: 'bbbbbbbbbb',
  rows: [moved(10_000, 200, 160, 0.85)],
  porcelain: [],
  loads: [],
};

describe('results of several runs', () => {
  it('of each row the newest counts, whatever the order of the files', () => {
    for (const results of [
      [first, second],
      [second, first],
    ]) {
      const newest = newestOf(results);
      expect(newest.map(({ commit }) => commit)).toEqual(['aaaaaaaaaa', 'bbbbbbbbbb']);
      expect(newest.flatMap(({ rows }) => rows).filter(({ files }) => files === 10_000)).toEqual(second.rows);
      expect(newest.flatMap(({ rows }) => rows)).toHaveLength(first.rows.length);
    }
  });

  it('a run of which nothing is left is left out', () => {
    expect(newestOf([second, { ...second, at: '2026-11-22T10:00:00.000Z' }])).toHaveLength(1);
  });
});

describe('what is rendered of them', () => {
  const { blocks, plots } = render(newestOf([first, second]));

  it('has figures, the failure of the one that failed, limits, and what became of them', () => {
    expect(blocks['cycle']).toContain('| cycle, moved | 10 | 100 ms | 120 ms | 210 ms | 1.20 | ≤ 1.25 × | ok |');
    expect(blocks['clones']).toContain(
      '| clone, depth 1 | 100,000 | 17.6 s | 7,355 ms | fails (EMFILE) | 0.42 | ≤ 1 × | ok |',
    );
    expect(blocks['startup']).toContain('| 20.0 ms | 70.0 ms | +50 ms | ≤ 45 ms | **missed** |');
    expect(blocks['cost']).toContain('| cycle, moved | 10 | 5 requests | 3 requests | ≤ 3 | ok |');
    expect(blocks['loads']).toContain('| `kb note <text>` | +40 ms | 176 | 66 | 894 KB | @oclif/core |');
  });

  it('says which limits are missed', () => {
    expect(blocks['verdict']).toBe(
      '4 of 5 limits are kept. Missed:\n\n- kb --version, beside node -e 0: +50 ms, limit ≤ 45 ms',
    );
  });

  it('marks a row that comes from another run, and tells that run', () => {
    expect(blocks['cycle']).toContain('| cycle, moved <sup>a</sup> | 10,000 | 200 ms | 160 ms |');
    expect(blocks['environment']).toMatch(/^Measured on 2026-11-20 at commit `aaaaaaaaaa`: Some CPU, 2 cores/);
    expect(blocks['environment']).toContain('<sup>a</sup> Measured on 2026-11-21 at commit `bbbbbbbbbb`');
  });

  it('a scenario without figures is said to be not measured', () => {
    expect(blocks['many']).toBe('Not measured yet.');
  });

  it('draws plots that are well-formed, with each contestant in its colour, for light and dark pages', () => {
    expect(Object.keys(plots).sort()).toEqual(['clones.svg', 'cycle.svg']);
    for (const plot of Object.values(plots)) {
      expect(wrongInXml(plot)).toBeUndefined();
      expect(plot).toContain('prefers-color-scheme:dark');
      expect(plot).not.toMatch(/NaN|undefined|Infinity/);
    }
    expect(plots['cycle.svg']).toMatch(/<polyline class="line kb" points="[\d.]+,[\d.]+ [\d.]+,[\d.]+"\/>/);
    expect(plots['clones.svg']).toContain('fails (EMFILE)');
    expect(wrongInXml('<a><b></a></b>')).toBeDefined();
  });

  it('a name with signs of XML in it does no harm', () => {
    const odd = { ...first, rows: [{ ...first.rows[2]!, scenario: 'clone, <script>&"' }] };
    expect(wrongInXml(render([odd]).plots['clones.svg']!)).toBeUndefined();
  });
});

describe('the page', () => {
  it('keeps what is written by hand, however often it is filled', () => {
    const page = 'before\n<!-- bench:cycle -->\nold\n<!-- /bench:cycle -->\nafter\n';
    const filled = fillPage(page, { cycle: 'new' });
    expect(filled).toBe('before\n<!-- bench:cycle -->\nnew\n<!-- /bench:cycle -->\nafter\n');
    expect(fillPage(filled, { cycle: 'new' })).toBe(filled);
  });

  it.each([
    ['is missing', 'text'],
    ['is not closed', '<!-- bench:cycle -->'],
    ['stands there twice', '<!-- bench:cycle --><!-- /bench:cycle --><!-- bench:cycle --><!-- /bench:cycle -->'],
  ])('a marker that %s is an error', (_, page) => {
    expect(() => fillPage(page, { cycle: 'new' })).toThrow('the page needs the markers');
  });
});

/** What keeps `docs/performance.md` from telling something else than was measured. */
describe('docs/performance.md', () => {
  const docs = fileURLToPath(new URL('../../../docs/', import.meta.url));
  const page = readFileSync(`${docs}performance.md`, 'utf8');
  const measured = JSON.parse(readFileSync(`${docs}performance/measured.json`, 'utf8')) as Result[];
  const { blocks, plots } = render(measured);

  it('shows what is in measured.json (else: npm run bench:docs)', () => {
    expect(fillPage(page, blocks)).toBe(page);
  });

  it('shows its plots, and they are those of the same figures', () => {
    for (const [name, plot] of Object.entries(plots)) {
      expect(readFileSync(`${docs}performance/${name}`, 'utf8')).toBe(plot);
      expect(wrongInXml(plot)).toBeUndefined();
    }
    const shown = [...page.matchAll(/\]\((performance\/[\w-]+\.svg)\)/g)].map(([, path]) => path ?? '');
    expect(shown.length).toBeGreaterThan(0);
    for (const path of shown) expect(existsSync(`${docs}${path}`)).toBe(true);
  });
});

/** @returns what keeps a text from being well-formed XML, of the kind that the plots are; undefined: it is */
function wrongInXml(text: string): string | undefined {
  const open: string[] = [];
  for (const [token] of text.matchAll(/<[^>]*>|[^<]+|</g)) {
    const closing = /^<\/(\w+)>$/.exec(token);
    const opening = /^<(\w+)((?:\s+[\w:-]+="[^"<&]*(?:&#\d+;[^"<&]*)*")*)\s*(\/?)>$/.exec(token);
    if (closing !== null) {
      if (open.pop() !== closing[1]) return `closed out of turn: ${token}`;
    } else if (opening !== null) {
      if (open.length === 0 && text.indexOf(token) > 0) return `a second root: ${token}`;
      if (opening[3] === '') open.push(opening[1] ?? '');
    } else if (token.startsWith('<') || /&(?!#\d+;)/.test(token)) {
      return `not XML: ${token.slice(0, 80)}`;
    }
  }
  return open.length === 0 ? undefined : `never closed: ${open.join(', ')}`;
}
