import { describe, expect, it } from 'vitest';
import { formatDate, localTime } from '../../../../src/kb/notes/date-format.js';

const at = (iso: string, offsetMinutes = 0) => ({ epochMs: Date.parse(iso) - offsetMinutes * 60_000, offsetMinutes });
const NOW = at('2026-02-03T04:05:06.078Z', 60); // a Tuesday, local wall clock

describe('formatDate', () => {
  it.each([
    ['YYYY YY', '2026 26'],
    ['MM M MMM MMMM Mo', '02 2 Feb February 2nd'],
    ['DD D Do DDD DDDD DDDo', '03 3 3rd 34 034 34th'],
    ['dddd ddd dd d do e E', 'Tuesday Tue Tu 2 2nd 2 2'],
    ['Q Qo', '1 1st'],
    ['HH H hh h kk k', '04 4 04 4 04 4'],
    ['mm m ss s SSS SS S', '05 5 06 6 078 07 0'],
    ['A a', 'AM am'],
    ['Z ZZ', '+01:00 +0100'],
    ['X x', `${Math.floor(NOW.epochMs / 1000)} ${NOW.epochMs}`],
    ['YYYY-MM-DD', '2026-02-03'],
    ['YYYY/MM-MMMM/YYYY-MM-DD-dddd', '2026/02-February/2026-02-03-Tuesday'],
    ['[Day] D [of] YYYY', 'Day 3 of 2026'],
    ['[] [YYYY]', ' YYYY'],
    ['gggg-[W]ww', '2026-W06'],
    ['GGGG-[W]WW', '2026-W06'],
    ['日YYYY年', '日2026年'],
    ['', ''],
  ])('%s', (format, expected) => {
    expect(formatDate(NOW, format)).toBe(expected);
  });

  // Values of the ISO 8601 calendar and of moment's default locale (week 1 holds 1 January, from Sunday).
  it.each([
    ['2020-12-31', '2020-W53', '2021-W01'],
    ['2021-01-01', '2020-W53', '2021-W01'],
    ['2021-01-03', '2020-W53', '2021-W02'],
    ['2021-01-04', '2021-W01', '2021-W02'],
    ['2023-01-01', '2022-W52', '2023-W01'],
    ['2024-12-29', '2024-W52', '2025-W01'],
    ['2024-12-30', '2025-W01', '2025-W01'],
    ['2026-01-01', '2026-W01', '2026-W01'],
    ['2027-01-02', '2026-W53', '2027-W01'],
    ['2028-12-31', '2028-W52', '2029-W01'],
  ])('weeks of %s', (day, iso, local) => {
    expect(formatDate(at(`${day}T12:00:00Z`), 'GGGG-[W]WW')).toBe(iso);
    expect(formatDate(at(`${day}T12:00:00Z`), 'gggg-[W]ww')).toBe(local);
  });

  it.each([
    [0, '12 12 24 AM'],
    [11, '11 11 11 AM'],
    [12, '12 12 12 PM'],
    [13, '01 1 13 PM'],
    [23, '11 11 23 PM'],
  ])('hour %i', (hour, expected) => {
    expect(formatDate(at(`2026-01-01T${String(hour).padStart(2, '0')}:00:00Z`), 'hh h k A')).toBe(expected);
  });

  it.each([
    [1, '1st'],
    [2, '2nd'],
    [3, '3rd'],
    [4, '4th'],
    [11, '11th'],
    [12, '12th'],
    [13, '13th'],
    [21, '21st'],
    [22, '22nd'],
    [23, '23rd'],
    [31, '31st'],
  ])('ordinal of %i', (day, expected) => {
    expect(formatDate(at(`2026-01-${String(day).padStart(2, '0')}T12:00:00Z`), 'Do')).toBe(expected);
  });

  it('uses the zone of the moment, not of the process', () => {
    const moment = { epochMs: Date.parse('2026-03-01T01:00:00Z'), offsetMinutes: -210 };
    expect(formatDate(moment, 'YYYY-MM-DD HH:mm Z ZZ')).toBe('2026-02-28 21:30 -03:30 -0330');
  });

  it('leap days', () => {
    expect(formatDate(at('2028-12-31T00:00:00Z'), 'DDDD')).toBe('366');
    expect(formatDate(at('2028-02-29T00:00:00Z'), 'DDD')).toBe('60');
  });

  it('localTime takes the zone of the process', () => {
    const now = new Date('2026-06-01T12:00:00Z');
    expect(localTime(now)).toEqual({ epochMs: now.getTime(), offsetMinutes: -now.getTimezoneOffset() });
  });
});
