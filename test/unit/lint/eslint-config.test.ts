import { fileURLToPath } from 'node:url';
import { ESLint, type Linter } from 'eslint';
import { beforeAll, describe, expect, it, vi } from 'vitest';

/** Lints text as if it were the content of a file of the project, with the project's own configuration. */
const root = fileURLToPath(new URL('../../..', import.meta.url));
const eslint = new ESLint({ cwd: root });

async function lint(file: string, code: string): Promise<Linter.LintMessage[]> {
  const [result] = await eslint.lintText(code, { filePath: `${root}/${file}` });
  return result?.messages ?? [];
}

const DEPENDENCIES = 'kb/dependencies';

vi.setConfig({ testTimeout: 60_000 });

// The first call starts the type checker.
beforeAll(async () => {
  await lint('src/errors.ts', 'export {};\n');
}, 120_000);

describe('the dependency rule', () => {
  it.each([
    ['the git core knows nothing of use cases', 'src/git/ids.ts', "import '../kb/cycle.js';"],
    ['nor of the terminal', 'src/git/ids.ts', "import '../cli/start.js';"],
    ['nor of remotes', 'src/git/ids.ts', "import '../remote/remote.js';"],
    ['not through a dynamic import', 'src/git/ids.ts', "export const x = await import('../kb/cycle.js');"],
    ['not through an export', 'src/git/ids.ts', "export * from '../kb/cycle.js';"],
    ['not as a type', 'src/git/ids.ts', "import type { X } from '../kb/cycle.js';\nexport type Y = X;"],
    ['not as an inline type', 'src/git/ids.ts', "export type Y = import('../kb/cycle.js').X;"],
    ['the merge engine is pure', 'src/merge/lines.ts', "import '../git/ids.js';"],
    ['use cases know no terminal', 'src/kb/cycle.ts', "import '../cli/start.js';"],
    ['errors import nothing', 'src/errors.ts', "import './printable.js';"],
    ['nothing outside src/', 'src/kb/cycle.ts', "import '../../test/support/native-git.js';"],
    ['oclif only for the terminal', 'src/kb/cycle.ts', "import '@oclif/core';"],
    ['isomorphic-git only in git and remote', 'src/kb/cycle.ts', "import 'isomorphic-git';"],
    ['a deep import of a package is that package', 'src/kb/cycle.ts', "import 'isomorphic-git/http/node';"],
    ['the lock library only in lock', 'src/git/ids.ts', "import 'proper-lockfile';"],
    ['a package without a home', 'src/kb/cycle.ts', "import 'lodash';"],
    ['the disk is injected', 'src/git/ids.ts', "import 'node:fs';"],
    ['also without the prefix', 'src/git/ids.ts', "import 'fs';"],
    ['also the promises', 'src/disk/disk.ts', "import 'node:fs/promises';"],
    ['also by require', 'src/git/ids.ts', "declare const require: (name: string) => unknown;\nrequire('node:fs');"],
    ['no programs are started', 'src/kb/cycle.ts', "import 'node:child_process';"],
  ])('%s', async (_, file, code) => {
    const messages = await lint(file, `${code}\n`);
    expect(messages.map((message) => [message.ruleId, message.severity])).toContainEqual([DEPENDENCIES, 2]);
  });

  it.each([
    ['remote may use git', 'src/remote/remote.ts', "import '../git/ids.js';"],
    ['everyone may use errors', 'src/git/ids.ts', "import '../errors.js';"],
    ['everyone may use disk', 'src/merge/lines.ts', "import '../disk/disk.js';"],
    ['own folder', 'src/git/ids.ts', "import './paths.js';"],
    ['use cases may use the core', 'src/kb/cycle.ts', "import '../git/ids.js';"],
    ['disk may use node:fs', 'src/disk/disk.ts', "import 'node:fs';"],
    ['types of node:fs', 'src/git/ids.ts', "import type { Stats } from 'node:fs';\nexport type X = Stats;"],
    ['harmless parts of Node', 'src/git/ids.ts', "import 'node:path';"],
    ['the terminal may use oclif', 'src/cli/start.ts', "import '@oclif/core';"],
  ])('lets pass: %s', async (_, file, code) => {
    expect((await lint(file, `${code}\n`)).filter((message) => message.ruleId === DEPENDENCIES)).toEqual([]);
  });

  it('names the place where a package belongs', async () => {
    const [message] = await lint('src/kb/cycle.ts', "import 'proper-lockfile';\n");
    expect(message?.message).toContain('src/lock only');
  });
});

describe('the other rules that must fail', () => {
  it.each([
    ['@typescript-eslint/no-floating-promises', 'src/errors.ts', 'Promise.resolve(1);'],
    ['@typescript-eslint/no-explicit-any', 'src/errors.ts', 'export const x: any = 1;'],
    [
      '@typescript-eslint/consistent-type-imports',
      'src/disk/durable.ts',
      "import { Disk } from './disk.js';\nexport type X = Disk;",
    ],
    [
      '@typescript-eslint/switch-exhaustiveness-check',
      'src/errors.ts',
      "export function f(x: 'a' | 'b'): number {\n  switch (x) {\n    case 'a':\n      return 1;\n  }\n  return 2;\n}",
    ],
    ['no-console', 'src/errors.ts', "console.log('x');"],
    ['no-restricted-properties', 'src/errors.ts', "process.stdout.write('x');"],
    ['no-restricted-properties', 'src/errors.ts', 'process.exit(1);'],
    ['no-warning-comments', 'src/errors.ts', '// TODO: later'],
  ])('%s', async (rule, file, code) => {
    const messages = await lint(file, `${code}\n`);
    expect(messages.map((message) => [message.ruleId, message.severity])).toContainEqual([rule, 2]);
  });

  it('lets the terminal print', async () => {
    const messages = await lint('src/cli/start.ts', "console.log('x');\nprocess.exitCode = 1;\n");
    expect(messages).toEqual([]);
  });
});
