import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/**
 * Looks for a planted secret in every form in which it could be told: as it is, percent-encoded once and twice, escaped
 * for JSON and for a shell, in hex, and in base64 by itself or behind a user's name, also in the alphabet of URLs.
 */
export class SecretSweep {
  private readonly forms: readonly string[];

  /** @param users names that may stand before it in Basic credentials */
  constructor(secret: string, users: readonly string[]) {
    const percent = encodeURIComponent(secret);
    const base64 = [secret, ...users.map((user) => `${user}:${secret}`)].flatMap((text) => {
      const plain = Buffer.from(text).toString('base64').replace(/=+$/, '');
      return [plain, Buffer.from(text).toString('base64url'), encodeURIComponent(plain)];
    });
    this.forms = [
      ...new Set([
        secret,
        percent,
        percent.toLowerCase(),
        encodeURIComponent(percent),
        JSON.stringify(secret).slice(1, -1),
        Buffer.from(secret).toString('hex'),
        ...base64,
      ]),
    ];
  }

  holds(text: string): boolean {
    return this.forms.some((form) => text.includes(form));
  }

  /** Files below that hold it, in their names or content. @param planted those in which it was put on purpose */
  holders(directory: string, planted: RegExp): string[] {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .map((entry) => ({ entry, path: join(entry.parentPath, entry.name) }))
      .filter(({ path }) => !planted.test(path))
      .filter(
        ({ entry, path }) =>
          this.holds(relative(directory, path)) || (entry.isFile() && this.holds(readFileSync(path, 'latin1'))),
      )
      .map(({ path }) => path);
  }
}
