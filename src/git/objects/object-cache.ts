import type { GitObject } from './object.js';

/** Objects used lately, up to a number of bytes; those not used for the longest time go first. */
export class ObjectCache {
  private readonly objects = new Map<string, GitObject>();
  private bytes = 0;

  constructor(private readonly maxBytes: number) {}

  get(key: string): GitObject | undefined {
    const object = this.objects.get(key);
    if (object !== undefined) {
      this.objects.delete(key);
      this.objects.set(key, object);
    }
    return object;
  }

  put(key: string, object: GitObject): void {
    if (object.data.length > this.maxBytes / 4 || this.objects.has(key)) return;
    this.objects.set(key, object);
    this.bytes += object.data.length;
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
