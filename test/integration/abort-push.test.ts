import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KnowledgeBase } from '../../src/index.js';
import { startGitServer } from '../support/http-backend.js';
import { git, makeTemporaryDirectory } from '../support/native-git.js';

it('an edit whose push was interrupted is not applied twice when the command is run again, as the hint says', async () => {
  const root = makeTemporaryDirectory();
  const env = { HOME: root, GIT_CONFIG_NOSYSTEM: '1', GIT_AUTHOR_NAME: 'Ann', GIT_AUTHOR_EMAIL: 'ann@example.com' };
  const ann = await KnowledgeBase.init('ann', { env, cwd: root, remote: 'remote.git' });
  await ann.note({ text: 'x', target: { kind: 'new', path: 'a.md' } });
  const remote = join(root, 'remote.git');
  git(remote, ['config', 'http.receivepack', 'true']);
  mkdirSync(join(remote, 'hooks'), { recursive: true });
  writeFileSync(join(remote, 'hooks/pre-receive'), '#!/bin/sh\nsleep 2\n', { mode: 0o755 });
  const server = await startGitServer({ root });
  try {
    git(ann.root, ['config', 'remote.origin.url', `${server.url}/remote.git`]);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 1000);
    const note = { text: 'y', target: { kind: 'append', path: 'a.md' } } as const;
    const error: unknown = await ann.note(note, { signal: stop.signal }).catch((thrown: unknown) => thrown);
    await new Promise((resolve) => setTimeout(resolve, 3000)); // the server ends what it had begun: the push lands
    const { details } = error as { details: Record<string, unknown> };
    // either the error says that the edit is kept (then nobody repeats it), or the repetition is recognised
    if (details['saved'] === undefined && details['queued'] === undefined) await ann.note(note);
    await ann.sync();
    expect(git(remote, ['show', 'main:a.md']).match(/^- .* y$/gm)).toHaveLength(1);
  } finally {
    await server.close();
  }
});
