import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('the bugs that the storm is tried on have their places in the sources', () => {
  const script = fileURLToPath(new URL('../../scripts/seeded-bugs.mjs', import.meta.url));
  expect(() => execFileSync(process.execPath, [script, '--check'], { stdio: 'pipe' })).not.toThrow();
});
