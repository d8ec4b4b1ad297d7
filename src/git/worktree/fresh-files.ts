import { STAT_WORDS } from '../../disk/file-writer.js';

/** Still to be written, handed over to be written, or not to be here (sparse checkout). */
const COMING = 0;
const HANDED_OVER = 1;
const LEFT_OUT = 2;

/** What is known of each file of a checkout, in arrays of numbers: a file takes 49 bytes here. */
export class FreshFiles {
  count = 0;
  handedOver = 0;
  leftOut = 0;
  private folders = new Uint32Array(0);
  private entries = new Uint32Array(0);
  private nexts = new Int32Array(0);
  private states = new Uint8Array(0);
  stats = new Uint32Array(0);

  /** @param folder its number @param entry where the folder's tree names it @returns the file's number */
  add(folder: number, entry: number): number {
    const file = this.count++;
    if (file >= this.folders.length) this.grow();
    this.folders[file] = folder;
    this.entries[file] = entry;
    this.nexts[file] = -1;
    return file;
  }

  folder(file: number): number {
    return this.folders[file] as number;
  }

  entry(file: number): number {
    return this.entries[file] as number;
  }

  /** Another file with the same content, or −1. */
  next(file: number): number {
    return this.nexts[file] as number;
  }

  setNext(file: number, next: number): void {
    this.nexts[file] = next;
  }

  isComing(file: number): boolean {
    return this.states[file] === COMING;
  }

  isLeftOut(file: number): boolean {
    return this.states[file] === LEFT_OUT;
  }

  leaveOut(file: number): void {
    this.states[file] = LEFT_OUT;
    this.leftOut += 1;
  }

  handOver(file: number): void {
    this.states[file] = HANDED_OVER;
    this.handedOver += 1;
  }

  setStat(file: number, words: Uint32Array, from: number): void {
    const at = file * STAT_WORDS;
    for (let word = 0; word < STAT_WORDS; word++) this.stats[at + word] = words[from + word] as number;
  }

  private grow(): void {
    const capacity = Math.max(1024, this.folders.length * 2);
    this.folders = copied(new Uint32Array(capacity), this.folders);
    this.entries = copied(new Uint32Array(capacity), this.entries);
    this.nexts = copied(new Int32Array(capacity), this.nexts);
    this.states = copied(new Uint8Array(capacity), this.states);
    this.stats = copied(new Uint32Array(capacity * STAT_WORDS), this.stats);
  }
}

function copied<T extends Uint32Array | Int32Array | Uint8Array>(into: T, from: T): T {
  into.set(from);
  return into;
}
