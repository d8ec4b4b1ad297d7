import { describe, expect, it } from 'vitest';
import { printable } from '../../src/printable.js';

describe('printable', () => {
  it.each([
    ['plain text', 'plain text'],
    ['Grüße 你好 👋🏽 می‌خواهم 👩‍💻', 'Grüße 你好 👋🏽 می‌خواهم 👩‍💻'],
    ['\u001b[31mred\u001b[0m', '\\x1b[31mred\\x1b[0m'],
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\u0000\u007f\u0085\u009b', '\\x00\\x7f\\x85\\x9b'],
    ['a\u202eb\u2066c\u200f', 'a\\u202eb\\u2066c\\u200f'],
    ['zero\u200bwidth\ufeff', 'zero\\u200bwidth\\ufeff'],
    ['line\u2028separator', 'line\\u2028separator'],
    ['tag \u{e0041}', 'tag \\u{e0041}'],
    ['half \ud83d', 'half \\ud83d'],
    ['back\\slash', 'back\\slash'],
  ])('%j is shown as %j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('cuts at the given length and says so', () => {
    expect(printable('abcdef', 6)).toBe('abcdef');
    expect(printable('abcdefg', 6)).toBe('abcde…');
  });

  it('bounds the result even when escaping makes it longer', () => {
    expect(printable('\u001b'.repeat(100), 50)).toHaveLength(50);
  });

  it('never cuts a pair of surrogates in two', () => {
    expect(printable('👋👋👋', 4)).toBe('👋…');
    expect(printable('ab👋cdef', 4)).toBe('ab…');
  });

  it('costs no more than what it shows', () => {
    expect(printable('\u202e'.repeat(5_000_000), 20)).toHaveLength(20);
  });
});
