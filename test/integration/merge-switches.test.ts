import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { sync, type SyncResult } from '../../src/kb/sync.js';
import {
  pushFromElsewhere,
  siteAt,
  startKb,
  syncOnce,
  withKb,
  worldOf,
  write,
  type Site,
} from '../support/crash-site.js';
import { makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const PATHS = ['list.md', 'recipes/soup.md'];
const LIST = '# List\n\n- one\n';

describe.skipIf(!nativeGit.available)('merge.without of kb.yaml (needs native git)', () => {
  let site: Site;
  let warnings: string[];

  beforeEach(async () => {
    site = siteAt(makeTemporaryDirectory());
    await startKb(site);
    warnings = [];
  });

  /** Both sides add an item to both lists, under these rules of the team. */
  async function meet(kbYaml: string): Promise<SyncResult> {
    pushFromElsewhere(site, (work) =>
      write(work, { 'kb.yaml': kbYaml, ...Object.fromEntries(PATHS.map((path) => [path, LIST])) }),
    );
    await syncOnce(worldOf(site));
    const added = (item: string): Record<string, string> =>
      Object.fromEntries(PATHS.map((path) => [path, `${LIST}- ${item}\n`]));
    pushFromElsewhere(site, (work) => write(work, added('apples from the garden')));
    write(site.kb, added('a train to the sea'));
    const world = worldOf(site, {
      report: (event) => {
        if (event.kind === 'warning') warnings.push(event.text);
      },
    });
    return withKb(world, (kb) => sync(kb, { direction: 'both', commit: true }));
  }

  const here = (path: string): string => readFileSync(join(site.kb, path), 'utf8');

  it('leaves a rule out for the files of a pattern, and for those only', async () => {
    const kbYaml = 'merge:\n  without:\n    "recipes/**": [list-items, paragraphs, superset]\n';
    await expect(meet(kbYaml)).rejects.toMatchObject({
      code: 'E_CONFLICT',
      details: { conflicts: [expect.objectContaining({ path: 'recipes/soup.md' })] },
    });
    expect(here('recipes/soup.md')).toBe(`${LIST}- a train to the sea\n`);
  });

  it('all: by lines, as git merges', async () => {
    await expect(meet('merge:\n  without:\n    "*.md": all\n')).rejects.toMatchObject({
      code: 'E_CONFLICT',
      details: { conflicts: PATHS.map((path) => expect.objectContaining({ path }) as unknown) },
    });
  });

  it('a rule that there is not is said once, and stops nobody', async () => {
    const { merged } = await meet('merge:\n  without:\n    "**": [list-itms]\n');
    expect(merged.map(({ path }) => path).sort()).toEqual(PATHS);
    expect(warnings.filter((text) => text.includes('no merge rule'))).toEqual([
      expect.stringMatching(/kb\.yaml:2: no merge rule is called list-itms; did you mean list-items\?$/),
    ]);
    expect(here('list.md')).toBe(`${LIST}- apples from the garden\n- a train to the sea\n`);
  });
});
