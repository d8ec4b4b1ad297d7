import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { collectGarbage, type GcRequest, type GcResult } from '../../src/kb/gc.js';
import { openKbAt, type Kb } from '../../src/kb/open.js';
import { surroundings, type Surroundings } from '../../src/kb/surroundings.js';
import { git, makeTemporaryDirectory } from './native-git.js';

/** Seconds; older than git's two weeks. */
export const LONG_AGO = Math.floor(Date.now() / 1000) - 30 * 24 * 3600;

let template: string | undefined;

/** A KB whose history lies in three packs, with deltas, and in loose objects; made by native git, without a remote. */
export function makeManyPacks(): string {
  if (template === undefined) {
    template = join(makeTemporaryDirectory(), 'kb');
    build(template);
  }
  const root = join(makeTemporaryDirectory(), 'kb');
  cpSync(template, root, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  return root;
}

function build(root: string): void {
  mkdirSync(root);
  git(root, ['init', '-q']);
  git(root, ['config', 'gc.auto', '0']);
  for (let version = 0; version < 24; version += 1) {
    for (let note = 0; note < (version === 0 ? 30 : 3); note += 1) {
      const number = version === 0 ? note : (version * 7 + note) % 30;
      const folder = join(root, number % 2 === 0 ? 'notes' : 'notes/deep/er');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `note ${number}.md`), textOf(number, version));
    }
    git(root, ['add', '-A']);
    git(root, ['commit', '-q', '-m', `version ${version}`]);
    if (version === 12) git(root, ['tag', '-a', '-m', 'a tag', 'v12']);
    if (version % 6 === 5 && version < 20) git(root, ['repack', '-q', '-d']);
  }
}

function textOf(note: number, version: number): string {
  const lines = Array.from({ length: 40 }, (_, line) => createHash('sha1').update(`${note} ${line}`).digest('hex'));
  lines[version % 40] = `changed in version ${version}`;
  return `${lines.join('\n')}\n`;
}

export async function withKbAt<T>(
  root: string,
  work: (kb: Kb) => Promise<T>,
  over: Partial<Surroundings> = {},
): Promise<T> {
  const env = { HOME: root, XDG_CONFIG_HOME: join(root, '.git/none'), GIT_CONFIG_NOSYSTEM: '1' };
  const kb = await openKbAt(surroundings({ env, cwd: root, ...over }), root, {});
  try {
    return await work(kb);
  } finally {
    kb.objects.close();
  }
}

export function gc(
  root: string,
  request: Partial<GcRequest> = {},
  over: Partial<Surroundings> = {},
): Promise<GcResult> {
  return withKbAt(root, (kb) => collectGarbage(kb, { dryRun: false, keepSaved: false, ...request }), over);
}

/** The id of a new loose object that nothing refers to. */
export function strayBlob(root: string, text: string, seconds?: number): string {
  const oid = git(root, ['hash-object', '-w', '--stdin'], { input: text }).trim();
  if (seconds !== undefined) age(loosePath(root, oid), seconds);
  return oid;
}

export function loosePath(root: string, oid: string): string {
  return join(root, '.git/objects', oid.slice(0, 2), oid.slice(2));
}

export function age(path: string, seconds: number): void {
  utimesSync(path, seconds, seconds);
}

export function has(root: string, oid: string): boolean {
  return git(root, ['cat-file', '--batch-check'], { input: `${oid}\n` }).includes(' missing') === false;
}

/** Every object that refs, reflogs and the index lead to, with type and size. */
export function everything(root: string): string[] {
  const ids = git(root, ['rev-list', '--objects', '--no-object-names', '--all', '--reflog', '--indexed-objects']);
  return git(root, ['cat-file', '--batch-check'], { input: ids }).trim().split('\n').sort();
}

export function packNames(root: string, ending: string): string[] {
  return readdirSync(join(root, '.git/objects/pack'))
    .filter((name) => name.endsWith(ending))
    .sort();
}

/** What native git finds wrong; '' is nothing. */
export function fsck(root: string): string {
  return git(root, ['fsck', '--strict', '--full', '--no-dangling']);
}

/** Paths and times of all files of the object store. */
export function objectFiles(root: string): string[] {
  return readdirSync(join(root, '.git/objects'), { recursive: true, encoding: 'utf8' }).sort();
}

export function remove(path: string): void {
  if (existsSync(path)) rmSync(path, { recursive: true });
}
