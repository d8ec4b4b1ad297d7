import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expectSound, filesOnRemote } from './agree.js';
import { git } from './native-git.js';
import { TOKEN, type StormEdit, type StormLedger } from './storm-ledger.js';
import { SHARED_FILES } from './storm-writer.js';

const EXACTLY_ONCE = 'an acknowledged edit is on the remote exactly once';
const AT_MOST_ONCE = 'an unacknowledged edit is on the remote at most once';

/** Balances the ledger with what the remote holds, at its tip and in all of its history. */
export function judgeRemote(remote: string, ledger: StormLedger): void {
  attempt(ledger, 'the remote is sound for git fsck --strict', () => expectSound(remote));
  const files = filesOnRemote(remote);
  const atTip = new Tally();
  for (const [path, content] of files) {
    atTip.addAll(content);
    judgeText(`remote:${path}`, content, ledger);
    judgeLines(path, content, ledger);
  }
  const { added, removed } = changesInHistory(remote);
  const keys = keysInHistory(remote);
  const commits = new Set(git(remote, ['rev-list', 'main']).split('\n'));
  if (git(remote, ['rev-list', '--merges', 'main']) !== '') ledger.break('history is linear', 'there is a merge');

  const known = new Set<string>();
  for (const edit of ledger.edits) {
    known.add(edit.token);
    const counts = [atTip.of(edit.token), added.of(edit.token), removed.of(edit.token)];
    const found = `${describe(edit)}: ${counts[0]} at the tip, in history ${counts[1]} times added, ${counts[2]} times removed`;
    const isAcknowledged = edit.acknowledged !== 'no';
    if (isAcknowledged && counts.join() !== '1,1,0') ledger.break(EXACTLY_ONCE, found);
    if (!isAcknowledged && !['0,0,0', '1,1,0'].includes(counts.join())) ledger.break(AT_MOST_ONCE, found);
    if (edit.commit !== undefined && !commits.has(edit.commit))
      ledger.break('a commit that was said to have landed is in the history', `${describe(edit)}: ${edit.commit}`);
    if (edit.key === undefined) continue;
    const uses = keys.of(edit.key);
    if (uses > 1 || (isAcknowledged && uses === 0))
      ledger.break('a key is used exactly once', `${describe(edit)}: ${uses} commits`);
  }
  for (const token of atTip.tokens) if (!known.has(token)) ledger.break('nothing is made up', token);
}

/** Native git finds a clone as ordinary as any, equal to the remote, and nothing of the storm lies around in it. */
export function judgeClone(clone: string, remote: string, ledger: StormLedger): void {
  const name = relative(join(remote, '..'), clone);
  attempt(ledger, 'a clone is sound for git fsck --strict', () => expectSound(clone));
  const status = git(clone, ['status', '--porcelain'], { allowFailure: true });
  if (status !== '') ledger.break('a clone is clean for git status', `${name}: ${status.slice(0, 300)}`);
  const heads = [clone, remote].map((place) => git(place, ['rev-parse', 'main'], { allowFailure: true }).trim());
  if (heads[0] !== heads[1]) ledger.break('a clone ends at the remote’s commit', `${name}: ${heads.join(' and ')}`);
  for (const path of git(clone, ['ls-files', '-z']).split('\0')) {
    const file = join(clone, path);
    if (path !== '' && existsSync(file)) judgeText(`${name}/${path}`, readFileSync(file, 'utf8'), ledger);
  }
  const left = leftovers(clone);
  if (left.length > 0)
    ledger.break('nothing of the storm is left in a clone', `${name}: ${left.slice(0, 10).join(', ')}`);
}

class Tally {
  readonly #counts = new Map<string, number>();

  add(token: string): void {
    this.#counts.set(token, this.of(token) + 1);
  }

  addAll(text: string): void {
    for (const [token] of text.matchAll(TOKEN)) this.add(token);
  }

  of(token: string): number {
    return this.#counts.get(token) ?? 0;
  }

  get tokens(): Iterable<string> {
    return this.#counts.keys();
  }
}

/** An edit that was applied twice, or applied and reverted, shows here though the tip may look right. */
function changesInHistory(remote: string): { added: Tally; removed: Tally } {
  const log = git(remote, ['log', '-p', '-U0', '-m', '--first-parent', '--no-renames', '--format=', 'main']);
  const added = new Tally();
  const removed = new Tally();
  let inHunk = false;
  for (const line of log.split('\n')) {
    if (line.startsWith('diff --git ')) inHunk = false;
    else if (line.startsWith('@@ ')) inHunk = true;
    else if (inHunk && line.startsWith('+')) added.addAll(line);
    else if (inHunk && line.startsWith('-')) removed.addAll(line);
  }
  return { added, removed };
}

function keysInHistory(remote: string): Tally {
  const keys = new Tally();
  for (const [, key] of git(remote, ['log', '--format=%B', 'main']).matchAll(/^Kb-Id: (\S+)$/gm)) {
    if (key !== undefined) keys.add(key);
  }
  return keys;
}

function judgeText(where: string, content: string, ledger: StormLedger): void {
  if (/^(?:<{7}|={7}|>{7})(?: |$)/m.test(content)) ledger.break('there are no conflict markers', where);
}

/** Every line of a file that many write is one edit, whole: nothing is torn, and no two have grown together. */
function judgeLines(path: string, content: string, ledger: StormLedger): void {
  const allowed = SHARED_FILES.includes(path)
    ? /^(?:|#+ .*|- \d\d:\d\d kbt-c\d+w\d+-\d+z)$/
    : /^(?:hand|run)\//.test(path)
      ? /^kbt-c\d+w\d+-\d+z$/
      : undefined;
  if (allowed === undefined) return;
  const torn = content
    .replace(/\n$/, '')
    .split('\n')
    .find((line) => !allowed.test(line));
  if (torn !== undefined)
    ledger.break('every line is one whole edit', `${path}: ${JSON.stringify(torn.slice(0, 200))}`);
}

function leftovers(clone: string): string[] {
  const found = ['.kb_operations.lock', '.kb_tmp_lock', '.git/kb/advance.json'].filter((name) =>
    existsSync(join(clone, name)),
  );
  for (const entry of readdirSync(clone, { recursive: true, withFileTypes: true })) {
    const path = relative(clone, join(entry.parentPath, entry.name));
    const isLock = path.startsWith('.git/') && entry.name.endsWith('.lock');
    if (isLock || entry.name.startsWith('.kb_tmp_')) found.push(path);
  }
  for (const name of ['locks', 'queue']) {
    const folder = join(clone, '.git/kb', name);
    if (existsSync(folder)) found.push(...readdirSync(folder).map((entry) => `.git/kb/${name}/${entry}`));
  }
  return [...new Set(found)];
}

function describe({ token, kind, acknowledged, attempts, history }: StormEdit): string {
  return `${token} (${kind}, acknowledged: ${acknowledged}, ${attempts} attempts: ${history.join('; ')})`;
}

function attempt(ledger: StormLedger, invariant: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    ledger.break(invariant, String(error).slice(0, 600));
  }
}
