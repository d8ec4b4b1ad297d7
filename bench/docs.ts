import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fillPage, render } from './page.js';
import { newestOf, type Result } from './results.js';

/** What runs of the bench leave; not in the repository. */
export const RESULTS = fileURLToPath(new URL('./results', import.meta.url));
const PAGE = fileURLToPath(new URL('../docs/performance.md', import.meta.url));
const FOLDER = fileURLToPath(new URL('../docs/performance', import.meta.url));
/** What the page shows, so that a run of a few scenarios replaces those and keeps the rest. */
const MEASURED = join(FOLDER, 'measured.json');

/**
 * Brings `docs/performance.md`, its plots and `measured.json` up to date: of each row the newest that is to be found
 * there or in `bench/results`.
 * @returns what was done, in a line
 */
export function writeDocs(): string {
  const runs = existsSync(RESULTS) ? readdirSync(RESULTS).filter((name) => name.endsWith('.json')) : [];
  const measured = [...readMeasured(), ...runs.flatMap((name) => readResult(join(RESULTS, name)))];
  const newest = newestOf(measured).map(withoutSamples);
  const { blocks, plots } = render(newest);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(MEASURED, `${JSON.stringify(newest, null, 1)}\n`);
  for (const [name, content] of Object.entries(plots)) writeFileSync(join(FOLDER, name), content);
  writeFileSync(PAGE, fillPage(readFileSync(PAGE, 'utf8'), blocks));
  return `docs/performance.md has what ${newest.length} runs have measured`;
}

function readMeasured(): Result[] {
  return existsSync(MEASURED) ? (JSON.parse(readFileSync(MEASURED, 'utf8')) as Result[]) : [];
}

/** Results of an older bench, in another form, say nothing. */
function readResult(file: string): Result[] {
  const result = JSON.parse(readFileSync(file, 'utf8')) as Partial<Result>;
  return result.environment === undefined || result.porcelain === undefined ? [] : [result as Result];
}

/** The page shows medians; every single figure stays in the run's own file. */
function withoutSamples(result: Result): Result {
  return { ...result, rows: result.rows.map(({ samples: _, ...row }) => row) };
}
