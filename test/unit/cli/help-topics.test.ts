import { describe, expect, it } from 'vitest';
import { findTopic, TOPICS } from '../../../src/cli/help-topics.js';
import { ENVIRONMENT } from '../../../src/config/environment.js';
import { ERROR_CODES, exitCodeOf } from '../../../src/errors.js';

function page(name: string): string[] {
  return findTopic(name)?.lines() ?? [];
}

describe('kb help TOPIC', () => {
  it.each(TOPICS.map(({ name }) => name))('%s has a page that fits', (name) => {
    expect(page(name).length).toBeGreaterThan(3);
    for (const line of page(name)) expect(line).not.toMatch(/\n|undefined|\[object/);
  });

  it('knows no other', () => {
    expect([findTopic('none'), findTopic('')]).toEqual([undefined, undefined]);
  });

  it.each(ENVIRONMENT.map(({ name, description }) => ({ name, description })))(
    'environment: $name',
    ({ name, description }) => {
      const lines = page('environment');
      expect(lines[lines.indexOf(name) + 1]).toContain(description);
    },
  );

  it.each(ERROR_CODES)('exit-codes: %s', (code) => {
    const [line = ''] = page('exit-codes').filter((one) => one.split(/\s+/).includes(code));
    expect(Number(line.trim().split(/\s+/)[0])).toBe(exitCodeOf(code));
  });

  it('exit-codes: 0, and no code twice', () => {
    const codes = page('exit-codes').map((line) => Number(line.trim().split(/\s+/)[0]));
    expect(codes).toContain(0);
    expect(new Set(codes).size).toBe(codes.length);
  });

  it.each(ENVIRONMENT.filter(({ secret }) => secret).map(({ name }) => name))('auth: tells of %s', (name) => {
    expect(page('auth').join('\n')).toContain(name);
  });
});
