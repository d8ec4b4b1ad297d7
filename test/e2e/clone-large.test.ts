import { randomBytes } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGitServer, type GitServer } from '../support/http-backend.js';
import { kbOk } from '../support/kb.js';
import { git, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const MIB = 1024 * 1024;
/** Text that no other one here is made of: git sends each by itself. */
const lines = (): string => Array.from({ length: 24_000 }, () => `${randomBytes(32).toString('hex')}\n`).join('');
const CRLF = lines();

/** Over 1 MiB each, so that they are never in memory as a whole. */
const FILES: Readonly<Record<string, Buffer | string>> = {
  'attachments/video.bin': randomBytes(3 * MIB),
  'attachments/zeros.bin': Buffer.alloc(5 * MIB),
  'attachments/deep/er/scan.pdf': randomBytes(2 * MIB),
  'attachments/again.bin': Buffer.alloc(5 * MIB),
  'text/lf.md': lines(),
  'text/crlf.txt': CRLF,
  'text/ident.c': `$Id$\n${lines()}`,
  'run.sh': `#!/bin/sh\n${lines()}`,
  'ä ö/über.md': lines(),
  '.gitattributes': '*.txt text eol=crlf\n*.c ident\n*.bin -text\n',
  'small.md': 'small\n',
};

describe.skipIf(!nativeGit.available)('a clone of large files (needs native git)', () => {
  let server: GitServer;
  let root: string;

  beforeAll(async () => {
    root = makeTemporaryDirectory();
    const work = join(root, 'work');
    mkdirSync(work);
    git(work, ['init', '-q']);
    for (const [path, content] of Object.entries(FILES)) {
      mkdirSync(join(work, dirname(path)), { recursive: true });
      writeFileSync(join(work, path), content);
    }
    chmodSync(join(work, 'run.sh'), 0o755);
    symlinkSync('attachments/video.bin', join(work, 'link'));
    git(work, ['add', '.']);
    git(work, ['commit', '-q', '-m', 'all']);
    git(root, ['clone', '-q', '--bare', 'work', 'large.git']);
    git(join(root, 'large.git'), ['config', 'uploadpack.allowFilter', 'true']);
    server = await startGitServer({ root });
  });
  afterAll(() => server.close());

  /** What each file is and holds, kb's own and git's folder left out. */
  function contentOf(directory: string): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      const name = path.slice(directory.length + 1);
      if (name.split('/')[0] === '.git' || entry.isDirectory()) continue;
      const content = entry.isSymbolicLink() ? 'link' : git(directory, ['hash-object', '--no-filters', path]).trim();
      found[name] = [lstatSync(path).mode, content];
    }
    return found;
  }

  it.each([
    ['of one commit', ['--depth', '1']],
    ['of all history', ['--depth', 'full']],
    ['of some folders', ['--sparse', 'text', '--sparse', 'attachments/deep']],
  ])('%s is what native git makes, and clean', async (_, options) => {
    const made = makeTemporaryDirectory();
    await kbOk(made, ['clone', ...options, `${server.url}/large.git`, 'by-kb']);
    git(made, ['clone', '-q', join(root, 'large.git'), 'by-git']);
    if (options.includes('--sparse')) git(join(made, 'by-git'), ['sparse-checkout', 'set', 'text', 'attachments/deep']);
    const kb = join(made, 'by-kb');
    expect(contentOf(kb)).toEqual(contentOf(join(made, 'by-git')));
    expect(git(kb, ['status', '--porcelain'])).toBe('');
    git(kb, ['fsck', '--strict']);
    if (!options.includes('--sparse'))
      expect(readFileSync(join(kb, 'text/crlf.txt'), 'utf8')).toBe(CRLF.replaceAll('\n', '\r\n'));
  });
});
