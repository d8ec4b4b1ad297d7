import type { GitObject } from './object.js';

/** Objects used lately, up to a number of bytes; those not used for the longest time go first. */
export class ObjectCache<Key extends string | number = string> {
  private readonly objects = new Map<Key, GitObject>();
  private bytes = 0;

  constructor(private readonly maxBytes: number) {}

  get(key: Key): GitObject | undefined {
    const object = this.objects.get(key);
    if (object !== undefined) {
      this.objects.delete(key);
      this.objects.set(key, object);
    }
    return object;
  }

  put(key: Key, object: GitObject): void {
    if (object.data.length > this.maxBytes / 4 || this.objects.has(key)) return;
    this.objects.set(key, object);
    this.bytes += object.data.length;
    if (this.bytes <= this.maxBytes) return; // an iterator for nothing would be half of what this costs
    for (const [oldest, { data }] of this.objects) {
      if (this.bytes <= this.maxBytes) return;
      this.objects.delete(oldest);
      this.bytes -= data.length;
    }
  }

  clear(): void {
    this.objects.clear();
    this.bytes = 0;
  }
}
