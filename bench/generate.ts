import { once } from 'node:events';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Writable } from 'node:stream';
import { native } from './native.js';

/** Where a note's file is: about 32 notes a folder, folders nested by hundreds, as vaults that grew over years are. */
export function notePath(number: number): string {
  const folder = Math.floor(number / 32);
  const shelf = Math.floor(folder / 10);
  return `area-${Math.floor(shelf / 10)}/shelf-${shelf % 10}/folder-${folder % 10}/note-${number}.md`;
}

const WORDS =
  'lock pull write commit push merge note index tree branch remote holder waiter entry shelf garden river stone lamp window paper letter morning harbour'.split(
    ' ',
  );

/** Small, fast and the same everywhere: the generator of numbers must not make two runs differ. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function noteText(number: number, random: () => number): string {
  const lines: string[] = [`---\ntags: [bench]\n---\n# Note ${number}\n`];
  const paragraphs = 1 + Math.floor(random() * 4);
  for (let paragraph = 0; paragraph < paragraphs; paragraph += 1) {
    const words = Array.from(
      { length: 20 + Math.floor(random() * 60) },
      () => WORDS[Math.floor(random() * WORDS.length)],
    );
    lines.push(`${words.join(' ')}.\n`);
  }
  return lines.join('\n');
}

/**
 * Makes a bare repository with that many notes and a short history, by `git fast-import`.
 * @returns when it is there, packed into one pack
 */
export async function generateRepository(directory: string, files: number, seed: number): Promise<void> {
  native(directory, ['init', '-q', '--bare', '.']);
  native(directory, ['config', 'http.receivepack', 'true']);
  const random = randomNumbers(seed);
  const importer = startImport(directory);
  await send(importer, commitHeader(1, 'all notes'));
  for (let number = 0; number < files; number += 1) {
    await send(importer, fileChange(notePath(number), noteText(number, random)));
  }
  // A history of a few edits, so that a clone of depth 1 really is shallow.
  for (let edit = 0; edit < 3; edit += 1) {
    const number = Math.floor(random() * files);
    await send(importer, commitHeader(2 + edit, `edit ${edit}`));
    await send(importer, fileChange(notePath(number), noteText(number, random)));
  }
  await finish(importer);
}

/**
 * A bare repository with notes and that many attachments of 1 to 10 MB that cannot be compressed: a KB of photos and
 * recordings. Packed once, as on a server.
 */
export async function generateAttachments(
  directory: string,
  { notes, attachments, seed }: { readonly notes: number; readonly attachments: number; readonly seed: number },
): Promise<void> {
  native(directory, ['init', '-q', '--bare', '.']);
  // What noise there is neither deflates nor deltifies; trying would only take the server's time, for both alike.
  native(directory, ['config', 'pack.window', '0']);
  native(directory, ['config', 'core.compression', '0']);
  const random = randomNumbers(seed);
  const importer = startImport(directory, ['--depth=0']);
  await send(importer, commitHeader(1, 'all'));
  for (let number = 0; number < notes; number += 1)
    await send(importer, fileChange(notePath(number), noteText(number, random)));
  for (let number = 0; number < attachments; number += 1) {
    const bytes = noise(Math.floor((1 + 9 * random()) * 1e6), random);
    await send(importer, `M 100644 inline attachments/${number % 10}/recording-${number}.bin\ndata ${bytes.length}\n`);
    await send(importer, bytes);
    await send(importer, '\n');
  }
  await finish(importer);
}

/** A bare repository with a long history: each commit edits one note. Packed with deltas, as on a server. */
export async function generateHistory(
  directory: string,
  { notes, commits, seed }: { readonly notes: number; readonly commits: number; readonly seed: number },
): Promise<void> {
  native(directory, ['init', '-q', '--bare', '.']);
  const random = randomNumbers(seed);
  const importer = startImport(directory);
  await send(importer, commitHeader(1, 'all notes'));
  const texts = Array.from({ length: notes }, (_, number) => noteText(number, random));
  for (const [number, text] of texts.entries()) await send(importer, fileChange(notePath(number), text));
  for (let edit = 0; edit < commits - 1; edit += 1) {
    const number = Math.floor(random() * notes);
    texts[number] = `${texts[number] ?? ''}\n- edit ${edit}: ${noteText(number, random).slice(30, 110)}\n`;
    await send(importer, commitHeader(2 + edit, `edit ${edit}`));
    await send(importer, fileChange(notePath(number), texts[number] ?? ''));
  }
  await finish(importer);
  native(directory, ['repack', '-adfq', '--window=10', '--depth=50']);
}

function noise(bytes: number, random: () => number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  for (let at = 0; at < words.length; at += 1) words[at] = random() * 2 ** 32;
  return Buffer.from(words.buffer, 0, bytes);
}

/** One commit more on the remote's branch, as another person's push would leave it. */
export async function commitOnRemote(directory: string, number: number): Promise<void> {
  const importer = startImport(directory);
  await send(importer, commitHeader(1000 + number, `someone else's note ${number}`, 'refs/heads/main^0'));
  await send(importer, fileChange(`inbox/other-${number}.md`, `someone else's note ${number}\n`));
  await finish(importer);
}

/** One commit more on the remote's branch that changes so many notes that are there. */
export async function changeOnRemote(directory: string, number: number, paths: readonly string[]): Promise<void> {
  const importer = startImport(directory);
  await send(importer, commitHeader(1000 + number, `${paths.length} notes changed`, 'refs/heads/main^0'));
  for (const path of paths) await send(importer, fileChange(path, `# Changed\n\nfor the ${number}. time: ${path}\n`));
  await finish(importer);
}

type Importer = ChildProcessByStdio<Writable, null, null>;

function startImport(directory: string, options: readonly string[] = []): Importer {
  return spawn('git', ['fast-import', '--quiet', ...options], { cwd: directory, stdio: ['pipe', 'ignore', 'inherit'] });
}

async function send(importer: Importer, text: string | Buffer): Promise<void> {
  if (!importer.stdin.write(text)) await once(importer.stdin, 'drain');
}

async function finish(importer: Importer): Promise<void> {
  importer.stdin.end('done\n');
  const [code] = (await once(importer, 'close')) as [number | null];
  if (code !== 0) throw new Error(`git fast-import exited with ${String(code)}`);
}

function commitHeader(order: number, message: string, from?: string): string {
  const who = `Bench <bench@example.com> ${1_700_000_000 + order} +0000`;
  const parent = from === undefined ? '' : `from ${from}\n`;
  return `commit refs/heads/main\ncommitter ${who}\ndata ${Buffer.byteLength(message)}\n${message}\n${parent}`;
}

function fileChange(path: string, text: string): string {
  return `M 100644 inline ${path}\ndata ${Buffer.byteLength(text)}\n${text}\n`;
}
