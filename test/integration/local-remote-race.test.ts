import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import { git, gitEnvironment, makeTemporaryDirectory, nativeGit } from '../support/native-git.js';

const KB_WRITERS = 3;
const NATIVE_WRITERS = 2;
const NOTES_EACH = 8;

/** A process that pushes notes through `LocalRemote` and, like a cycle, fetches and tries again when it loses a race. */
const KB_WRITER = `
  import { nodeDisk } from './src/disk/disk.js';
  import { branchRef } from './src/git/ids.js';
  import { initRepository } from './src/git/init-repository.js';
  import { serializeCommit } from './src/git/objects/commit.js';
  import { ObjectStore } from './src/git/objects/store.js';
  import { parseTree, serializeTree } from './src/git/objects/tree.js';
  import { openLocalRemote } from './src/remote/local/local-remote.js';

  const [remotePath, ourPath, name, count] = process.argv.slice(2);
  initRepository(nodeDisk, ourPath, { bare: true, branch: 'main' });
  const store = ObjectStore.open(nodeDisk, ourPath);
  const ref = branchRef('main');
  const who = { name: 'Ann', email: 'ann@example.com', timestamp: 1700000000, timezone: '+0000' };
  const remote = await openLocalRemote(remotePath, { disk: nodeDisk, env: process.env, timeoutMs: 100_000 });
  let known;
  let races = 0;
  for (let index = 0; index < Number(count); ) {
    const from = (await remote.discover('write', [ref])).refs.get(ref);
    if (from !== known && !store.has(from)) {
      const receiver = store.receivePack();
      const { empty } = await remote.fetch({ wants: [from], haves: known ? [known] : [], shallow: new Set(), sink: receiver });
      if (empty) receiver.abort(); else receiver.finish();
    }
    known = from;
    const note = name + '-' + index + '.md';
    const blob = store.writeLoose('blob', Buffer.from(note));
    const before = parseTree(store.readTyped(store.readTyped(from, 'commit').toString('latin1').slice(5, 45), 'tree'));
    const tree = store.writeLoose('tree', serializeTree([...before, { mode: 0o100644, name: note, oid: blob }]));
    const commit = store.writeLoose('commit', serializeCommit({ tree, parents: [from], author: who, committer: who, message: note + '\\n' }));
    const outcome = await remote.push({ ref, from, to: commit, objects: store, oids: [commit, tree, blob], shallow: new Set() });
    if (outcome.kind === 'landed') { index++; known = commit; }
    else if (outcome.kind === 'race') races++;
    else throw new Error(JSON.stringify(outcome));
  }
  console.log(races);
`;

const NATIVE_WRITER = `
  i=0
  while [ $i -lt $COUNT ]; do
    echo "$NAME $i" > "$NAME-$i.md"
    git add . && git commit -q -m "$NAME-$i.md" || exit 1
    until git push -q origin HEAD:main 2>/dev/null; do git pull -q --rebase origin main 2>/dev/null; done
    i=$((i+1))
  done
`;

function run(
  command: string,
  parameters: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  return new Promise((settle, fail) => {
    const child = spawn(command, parameters, { cwd, env: gitEnvironment(env), stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.once('error', fail);
    child.once('close', (code) =>
      code === 0 ? settle(output) : fail(new Error(`${command} exited with ${String(code)}: ${errors}`)),
    );
  });
}

describe.skipIf(!nativeGit.available)(
  'kb and native git pushing to one bare repository at once (needs native git)',
  () => {
    const root = makeTemporaryDirectory();
    const bare = join(root, 'remote.git');
    const writer = join(root, 'writer.mjs');

    beforeAll(async () => {
      await build({
        stdin: { contents: KB_WRITER, resolveDir: resolve(import.meta.dirname, '../..'), loader: 'ts' },
        bundle: true,
        platform: 'node',
        format: 'esm',
        outfile: writer,
      });
      git(root, ['init', '-q', '--bare', bare]);
      git(root, ['clone', '-q', bare, 'seed']);
      git(join(root, 'seed'), ['commit', '-q', '--allow-empty', '-m', 'begin']);
      git(join(root, 'seed'), ['push', '-q', 'origin', 'HEAD:main']);
    });

    it('every note lands once, in one line of history, and the repository is sound', async () => {
      const expected = ['begin'];
      const runs: Promise<string>[] = [];
      for (let index = 0; index < KB_WRITERS; index++) {
        runs.push(
          run(process.execPath, [writer, bare, join(root, `kb${index}`), `kb${index}`, String(NOTES_EACH)], root),
        );
      }
      for (let index = 0; index < NATIVE_WRITERS; index++) {
        const directory = join(root, `native${index}`);
        mkdirSync(directory);
        git(root, ['clone', '-q', bare, directory]);
        runs.push(
          run('/bin/sh', ['-c', NATIVE_WRITER], directory, { NAME: `native${index}`, COUNT: String(NOTES_EACH) }),
        );
      }
      for (let note = 0; note < NOTES_EACH; note++) {
        for (let index = 0; index < KB_WRITERS; index++) expected.push(`kb${index}-${note}.md`);
        for (let index = 0; index < NATIVE_WRITERS; index++) expected.push(`native${index}-${note}.md`);
      }
      await Promise.all(runs);
      const landed = git(bare, ['log', '--format=%s', 'main']).trim().split('\n');
      expect(landed.sort()).toEqual(expected.sort());
      expect(git(bare, ['log', '--merges', '--format=%h', 'main'])).toBe('');
      expect(git(bare, ['fsck', '--strict', '--no-dangling'])).toBe('');
      expect(git(bare, ['ls-tree', '--name-only', 'main']).trim().split('\n')).toHaveLength(expected.length - 1);
    });
  },
);
