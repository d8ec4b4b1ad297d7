import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { addNote, type NoteRequest, type NoteResult } from '../../src/kb/note.js';
import { openKb, type Kb } from '../../src/kb/open.js';
import { surroundings, type Surroundings } from '../../src/kb/surroundings.js';
import { sync, type SyncRequest } from '../../src/kb/sync.js';
import { cloneKb } from '../../src/kb/clone.js';
import { git } from './native-git.js';

/** A remote and a KB below one directory, always at the same paths: the remote's path is in the KB's settings. */
export interface Site {
  readonly root: string;
  readonly remote: string;
  readonly kb: string;
  readonly home: string;
}

export const NOW = { epochMs: Date.UTC(2026, 0, 2, 3, 4, 5), offsetMinutes: 0 };

export function siteAt(root: string): Site {
  return { root, remote: join(root, 'remote.git'), kb: join(root, 'kb'), home: join(root, 'home') };
}

export function worldOf(site: Site, over: Partial<Surroundings> = {}): Surroundings {
  const env = {
    HOME: site.home,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Ann',
    GIT_AUTHOR_EMAIL: 'ann@example.com',
    ...over.env,
  };
  return surroundings({ cwd: existsSync(site.kb) ? site.kb : site.root, ...over, env });
}

export async function withKb<T>(world: Surroundings, work: (kb: Kb) => T | Promise<T>): Promise<T> {
  const kb = await openKb(world, {});
  try {
    return await work(kb);
  } finally {
    kb.objects.close();
  }
}

export async function syncOnce(world: Surroundings, request: Partial<SyncRequest> = {}): Promise<void> {
  await withKb(world, (kb) => sync(kb, { direction: 'both', commit: true, ...request }));
}

export async function note(world: Surroundings, over: Partial<NoteRequest> & Pick<NoteRequest, 'text'>): Promise<void> {
  await receiptOfNote(world, over);
}

export function receiptOfNote(
  world: Surroundings,
  over: Partial<NoteRequest> & Pick<NoteRequest, 'text'>,
): Promise<NoteResult> {
  return withKb(world, (kb) =>
    addNote(kb, {
      target: { kind: 'new' },
      tags: [],
      properties: [],
      frontmatter: true,
      now: NOW,
      settings: kb.settings,
      push: true,
      pull: true,
      ...over,
    }),
  );
}

export function write(root: string, files: Readonly<Record<string, string | null>>): void {
  for (const [path, content] of Object.entries(files)) {
    if (content === null) rmSync(join(root, path), { recursive: true });
    else {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
    }
  }
}

/** A commit that another device pushed. */
export function pushFromElsewhere(site: Site, change: (work: string) => void): void {
  const work = join(site.root, 'elsewhere');
  git(site.root, ['clone', '-q', site.remote, work]);
  change(work);
  git(work, ['add', '-A']);
  git(work, ['commit', '-q', '-m', 'From elsewhere']);
  git(work, ['push', '-q', 'origin', 'HEAD']);
  rmSync(work, { recursive: true });
}

export const LINES = Array.from({ length: 12 }, (_, line) => `line ${line}\n`).join('');

export async function startKb(site: Site): Promise<void> {
  mkdirSync(site.home, { recursive: true });
  git(site.root, ['init', '-q', '--bare', 'remote.git']);
  const work = join(site.root, 'first');
  git(site.root, ['init', '-q', 'first']);
  write(work, {
    'diary.md': LINES,
    'inbox/one.md': 'one\n',
    'inbox/two.md': 'two\n',
    'deep/er/three.md': 'three\n',
    'becomes-folder': 'file\n',
    'becomes-file/inside.md': 'inside\n',
  });
  git(work, ['add', '-A']);
  git(work, ['commit', '-q', '-m', 'Start']);
  git(work, ['push', '-q', site.remote, 'main']);
  rmSync(work, { recursive: true });
  await clone(site, worldOf(site));
}

/** @param url another address of the remote than its path */
export async function clone(site: Site, world: Surroundings, url = site.remote): Promise<void> {
  await cloneKb(world, { depth: 1, timeout: '60s', insecure: false, url, directory: site.kb });
}

/** Sends the KB to another address of its remote. */
export function setRemoteUrl(site: Site, url: string): void {
  git(site.kb, ['config', 'remote.origin.url', url]);
}
