import type { PropertyValue } from './properties.js';

/** Words that some YAML reader takes for something other than text (YAML 1.1 and 1.2). */
const RESERVED = /^(?:true|false|yes|no|on|off|y|n|null|~|nan|inf)$/i;

/**
 * A value as YAML on one line. Written by hand so that an ordinary note needs no YAML library: text that
 * could mean anything else is double-quoted, and JSON's quoting is valid YAML (YAML 1.2.2, section 1.3).
 */
export function yamlValue(value: PropertyValue): string {
  if (Array.isArray(value)) return `[${value.map((item) => yamlScalar(item as string | number | boolean)).join(', ')}]`;
  return yamlScalar(value as string | number | boolean);
}

export function yamlScalar(value: string | number | boolean): string {
  return typeof value === 'string' && !isPlainText(value) ? quote(value) : String(value);
}

/** A date stands bare, so that readers see a date; other text begins with a letter and holds nothing special. */
function isPlainText(text: string): boolean {
  if (/^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?)?$/.test(text)) return true;
  return /^\p{L}[\p{L}\p{M}\p{N} _./()+%–—…'’-]*$/u.test(text) && !text.endsWith(' ') && !RESERVED.test(text);
}

/** Characters that JSON leaves bare but YAML does not allow, or reads as line breaks, are escaped. */
function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
