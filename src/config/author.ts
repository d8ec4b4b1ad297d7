import { KbError } from '../errors.js';

export interface Person {
  readonly name: string;
  readonly email: string;
}

/**
 * `Ann Lee <ann@example.org>` → name and email.
 * @param source where the text comes from, for the message
 * @throws KbError E_USAGE
 */
export function parseAuthor(text: string, source = '--author'): Person {
  const [, name, email] = /^([^<>]*)<([^<>]*)>$/.exec(text.trim()) ?? [];
  if (name === undefined || email === undefined) {
    throw new KbError('E_USAGE', `${source} is not an author: ${JSON.stringify(text.slice(0, 120))}`, {
      hint: 'write it as: "Ann Lee <ann@example.org>"',
    });
  }
  return {
    name: checkPersonText(name.trim(), `the name in ${source}`),
    email: checkPersonText(email.trim(), `the email in ${source}`),
  };
}

/**
 * A commit's header line cannot hold `<`, `>`, line breaks or NUL, and git drops "crud" at the ends: a
 * name of nothing else would leave an empty one, which `git fsck --strict` reports.
 * @throws KbError E_USAGE
 */
export function checkPersonText(text: string, what: string): string {
  const clean = text.trim();
  // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
  if (/[<>\0-\x1f\x7f]/.test(clean))
    throw new KbError(
      'E_USAGE',
      `${what} holds a character that a commit cannot: ${JSON.stringify(clean.slice(0, 120))}`,
      { hint: 'use plain text without < > and line breaks' },
    );
  if (/^[\s.,:;"'\\]*$/.test(clean))
    throw new KbError('E_USAGE', `${what} is empty`, { hint: 'write it as: "Ann Lee <ann@example.org>"' });
  return clean;
}
