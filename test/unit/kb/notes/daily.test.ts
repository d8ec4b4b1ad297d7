import { describe, expect, it } from 'vitest';
import { isKbError } from '../../../../src/errors.js';
import { dailyNotePath, parseDailySettings } from '../../../../src/kb/notes/daily.js';
import { expandTemplate } from '../../../../src/kb/notes/template.js';

const NOW = { epochMs: Date.parse('2026-11-20T09:30:00Z'), offsetMinutes: 0 };
const usage: unknown = expect.toSatisfy((error: unknown) => isKbError(error, 'E_USAGE'));

describe('parseDailySettings', () => {
  it.each<[string, string | undefined, object]>([
    ['no file', undefined, { folder: '', format: 'YYYY-MM-DD' }],
    ['an empty object', '{}', { folder: '', format: 'YYYY-MM-DD' }],
    [
      'all',
      '{"folder":"Journal/Daily/","format":"YYYY/MM/DD","template":"Templates/Day"}',
      { folder: 'Journal/Daily', format: 'YYYY/MM/DD', template: 'Templates/Day.md' },
    ],
    [
      'a template with its ending',
      '{"template":"/t/Day.md"}',
      { folder: '', format: 'YYYY-MM-DD', template: 't/Day.md' },
    ],
    [
      'unknown and mistyped content',
      '{"folder":7,"format":null,"template":[],"autorun":true}',
      { folder: '', format: 'YYYY-MM-DD' },
    ],
    ['a byte order mark', '\ufeff{"folder":"d"}', { folder: 'd', format: 'YYYY-MM-DD' }],
  ])('%s', (_, json, expected) => {
    expect(parseDailySettings(json)).toEqual(expected);
  });

  it.each(['', '{', '[]', 'null', '"x"'])('refuses %j', (json) => {
    expect(() => parseDailySettings(json)).toThrow(usage);
  });
});

describe('dailyNotePath', () => {
  it.each([
    ['', 'YYYY-MM-DD', '2026-11-20.md'],
    ['daily', 'YYYY-MM-DD', 'daily/2026-11-20.md'],
    ['daily', 'YYYY/MM-MMMM/YYYY-MM-DD-dddd', 'daily/2026/11-November/2026-11-20-Friday.md'],
    ['Tagebücher', '[Tag] DDDD', 'Tagebücher/Tag 324.md'],
    ['d', 'YYYY-MM-DD[.md]', 'd/2026-11-20.md'],
  ])('%s, %s', (folder, format, expected) => {
    expect(dailyNotePath({ folder, format }, NOW)).toBe(expected);
  });

  it.each([
    ['../out', 'YYYY'],
    ['a', '[../]YYYY'],
    ['a//b', 'YYYY'],
    ['a', '[\\]YYYY'],
    ['a', '[/]YYYY'],
  ])('refuses %s, %s', (folder, format) => {
    expect(() => dailyNotePath({ folder, format }, NOW)).toThrow(usage);
  });
});

describe('expandTemplate', () => {
  it.each([
    ['{{date}} {{time}}', '2026-11-20 09:30'],
    ['{{date:dddd, D MMMM}} {{time:HHmm}}', 'Friday, 20 November 0930'],
    ['{{ title }}/{{TITLE}}', 'T {{date}}/T {{date}}'],
    ['{{content}}', 'C $& {{title}} {{content}}'],
    ['{{unknown}} {{date {title}} {{{date}}}', '{{unknown}} {{date {title}} {2026-11-20}'],
    ['{{title:x}}', '{{title:x}}'],
    ['{{date:}}', '2026-11-20'],
    ['$(id) `id` <% x %>', '$(id) `id` <% x %>'],
  ])('%s', (template, expected) => {
    expect(expandTemplate(template, { now: NOW, title: 'T {{date}}', content: 'C $& {{title}} {{content}}' })).toBe(
      expected,
    );
  });
});
