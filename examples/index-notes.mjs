/**
 * Keeps `index.md`, a list of all notes of a KB, up to date. Run it from cron, or after each sync; several at once
 * are fine: they take turns, and none undoes what another wrote.
 *
 *   node index-notes.mjs ~/notes
 */
import { readdirSync } from 'node:fs';
import { isKbError, KnowledgeBase } from '@kb-cli/kb';

// Ctrl-C stops in an orderly way: whatever is under way ends, the lock is given back, nothing is half done.
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

try {
  const kb = await KnowledgeBase.open({ kb: process.argv[2] ?? '.', signal: stop.signal });
  const result = await kb.withLock(
    async () => {
      await kb.sync(); // joins the lock, and brings the newest notes
      const notes = readdirSync(kb.root, { recursive: true, encoding: 'utf8' })
        .map((path) => path.replaceAll('\\', '/'))
        .filter((path) => path.endsWith('.md') && !/(^|\/)\./.test(path) && path !== 'index.md')
        .sort();
      const list = notes.map((path) => `- [[${path.slice(0, -'.md'.length)}]]`);
      return kb.edit('index.md', () => `# Index\n\n${list.join('\n')}\n`, { message: 'Update the index' });
    },
    { operation: 'index', timeout: '1m' },
  );
  console.log(`${result.path}: ${result.result}, ${result.landed ? 'shared' : 'kept locally'}`);
} catch (error) {
  if (!isKbError(error)) throw error;
  console.error(`${error.message}\n${error.hint}`);
  process.exitCode = error.exitCode;
}
