import { KbError } from '../../errors.js';

export type PropertyValue = string | number | boolean | readonly (string | number | boolean)[];

/**
 * `--property k=v` typed as a reader expects: `true`/`false` are booleans, plain decimal numbers are
 * numbers, `[a, b]` is a list of such values; everything else, also text with commas, is text. A number
 * with a leading zero or a `+` stays text: it is a code or a telephone number.
 */
export function parsePropertyValue(text: string): PropertyValue {
  const list = /^\s*\[(.*)\]\s*$/s.exec(text)?.[1];
  if (list === undefined) return parseScalar(text.trim());
  return list.trim() === '' ? [] : list.split(',').map((item) => parseScalar(item.trim()));
}

function parseScalar(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$/.test(text) && text !== '-0') return Number(text);
  return text;
}

/**
 * `--tag` values as Obsidian takes them: without `#`, blanks inside as dashes, `a,b` as two, each once.
 * @throws KbError E_USAGE for a tag of nothing
 */
export function cleanTags(tags: readonly string[]): string[] {
  const clean = tags
    .flatMap((tag) => tag.split(','))
    .map((tag) => {
      const name = tag.trim().replace(/^#+/, '').replace(/\s+/g, '-').normalize('NFC');
      // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
      if (name === '' || /[#\0-\x1f\x7f]/.test(name))
        throw new KbError('E_USAGE', `not a tag: ${JSON.stringify(tag.slice(0, 80))}`, {
          hint: 'write it as --tag baking or --tag recipe/bread',
        });
      return name;
    });
  return [...new Set(clean)];
}

/** @throws KbError E_USAGE for a name that front matter cannot hold, or one given twice */
export function checkProperties(properties: readonly (readonly [string, string])[]): void {
  const seen = new Set<string>();
  for (const [key] of properties) {
    // eslint-disable-next-line no-control-regex -- control characters are what the rule is about
    if (key.trim() === '' || key.trim() !== key || key.length > 100 || /[\0-\x1f\x7f]/.test(key)) {
      throw new KbError('E_USAGE', `not a property name: ${JSON.stringify(key.slice(0, 80))}`, {
        hint: 'write it as --property status=open',
      });
    }
    if (seen.has(key))
      throw new KbError('E_USAGE', `the property ${key} is given twice`, {
        hint: `write a list: --property "${key}=[a, b]"`,
      });
    seen.add(key);
  }
}
