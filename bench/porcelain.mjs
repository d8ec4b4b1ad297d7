// isomorphic-git's own one-call operations, as its README shows them, over its client for Node:
//   node bench/porcelain.mjs clone URL DIR DEPTH|full
//   node bench/porcelain.mjs status DIR
//   node bench/porcelain.mjs cycle DIR FILE
// Plain JavaScript, so that nothing but the library is loaded. On failure the last line tells its code.
import fs from 'node:fs';
import { join } from 'node:path';
import git from 'isomorphic-git';
import http from 'isomorphic-git/http/node';

const author = { name: 'Bench', email: 'bench@example.com' };

const commands = {
  async clone(url, dir, depth) {
    await git.clone({ fs, http, dir, url, singleBranch: true, ...(depth === 'full' ? {} : { depth: Number(depth) }) });
  },
  async status(dir) {
    const matrix = await git.statusMatrix({ fs, dir });
    const changed = matrix.filter(([, head, workdir, stage]) => head !== 1 || workdir !== 1 || stage !== 1);
    process.stdout.write(`${changed.length}\n`);
  },
  async cycle(dir, file) {
    await git.pull({ fs, http, dir, singleBranch: true, author });
    fs.writeFileSync(join(dir, file), 'a short note\n');
    await git.add({ fs, dir, filepath: file });
    await git.commit({ fs, dir, message: 'note', author });
    const { ok, error } = await git.push({ fs, http, dir, remote: 'origin' });
    if (!ok) throw new Error(error ?? 'the push was refused');
  },
};

const [command, ...args] = process.argv.slice(2);
try {
  await commands[command](...args);
} catch (error) {
  process.stderr.write(`${error.stack}\n${error.code ?? error.name}\n`);
  process.exitCode = 1;
}
