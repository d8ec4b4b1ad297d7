import { describe, expect, it } from 'vitest';
import { userFile } from '../../../src/kb/content-rules.js';

describe('the file that core.excludesFile names', () => {
  const env = { HOME: '/home/ann' };
  const named = (value?: string): string =>
    userFile({ root: '/kb', gitConfig: { get: () => value } }, env, 'excludesfile', 'ignore');

  it.each([
    ['rules', '/kb/rules'],
    ['../rules', '/rules'],
    ['/etc/rules', '/etc/rules'],
    ['~/rules', '/home/ann/rules'],
    ['', ''],
    [undefined, '/home/ann/.config/git/ignore'],
  ])('%s: %s, wherever the command was started', (value, file) => {
    expect(named(value)).toBe(file);
  });
});
