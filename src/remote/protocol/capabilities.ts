import { KbError } from '../../errors.js';
import { printable } from '../../printable.js';

/** What a server said it can do: words, some with a value (gitprotocol-capabilities(5)). */
export class Capabilities {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  /** @param text the words behind the NUL of an advertisement's first line */
  constructor(text: string) {
    const values = new Map<string, string[]>();
    for (const word of text.split(' ').filter((part) => part !== '')) {
      const equals = word.indexOf('=');
      const key = equals < 0 ? word : word.slice(0, equals);
      const list = values.get(key) ?? [];
      list.push(equals < 0 ? '' : word.slice(equals + 1));
      values.set(key, list);
    }
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** All values of a capability that may come more than once, such as `symref`. */
  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  get(name: string): string | undefined {
    return this.all(name)[0];
  }
}

/**
 * kb's object ids are SHA-1; a repository of another format must be refused before an id of it is used.
 * @throws KbError E_USAGE
 */
export function assertSha1(format: string | undefined, displayUrl: string): void {
  if (format === undefined || format === 'sha1') return;
  throw new KbError(
    'E_USAGE',
    `${displayUrl} uses ${printable(format, 20)} object ids; kb supports SHA-1 repositories only`,
    {
      hint: 'use a repository that was made with git init --object-format=sha1 (the default)',
    },
  );
}
