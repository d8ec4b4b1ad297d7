import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { makeTemporaryDirectory } from '../support/native-git.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

it('a command whose next step never comes is an error, though Node ends such a process with 0', () => {
  const script = join(makeTemporaryDirectory(), 'stuck.ts');
  writeFileSync(
    script,
    `import { Command } from ${JSON.stringify(join(root, 'node_modules/@oclif/core/lib/index.js'))};
import { start } from ${JSON.stringify(join(root, 'src/cli/start.ts'))};
class Stuck extends Command {
  async run() {
    await new Promise(() => undefined);
  }
}
process.argv.splice(2, Infinity, 'stuck', '--json');
await start(${JSON.stringify(root)}, { commands: { stuck: async () => ({ default: Stuck }) } });
`,
  );
  const run = spawnSync(process.execPath, [join(root, 'scripts/run-typescript.mjs'), script], { encoding: 'utf8' });
  expect(run.status, run.stderr).toBe(1);
  expect(JSON.parse(run.stdout)).toMatchObject({ ok: false, error: { code: 'E_INTERNAL' } });
});
