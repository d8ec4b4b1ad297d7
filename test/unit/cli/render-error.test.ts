import { describe, expect, it } from 'vitest';
import { asCliError } from '../../../src/cli/as-cli-error.js';
import { renderError } from '../../../src/cli/render-error.js';
import { KbError } from '../../../src/errors.js';
import { fakeTerminal } from '../../support/fake-streams.js';

describe('an error on the terminal', () => {
  it('is two lines: what happened, and what to type next', () => {
    const { terminal, stdout, stderr } = fakeTerminal();
    renderError.onTerminal(new KbError('E_NO_KB', 'no KB here', { hint: 'kb clone URL' }), terminal, {});
    expect([stdout.text, stderr.text]).toEqual(['', 'kb: no KB here\nkb clone URL\n']);
  });

  it('shows control characters instead of obeying them', () => {
    const { terminal, stderr } = fakeTerminal();
    const remote = 'remote says \x1b[31mred\x1b[0m\nkb: done\r\u202e';
    renderError.onTerminal(new KbError('E_REFUSED', remote, { hint: 'x\x07' }), terminal, {});
    expect(stderr.text).toBe('kb: remote says \\x1b[31mred\\x1b[0m\\nkb: done\\r\\u202e\nx\\x07\n');
  });

  it('shows stack and causes only for debugging', () => {
    const error = new KbError('E_STORAGE', 'outer', { cause: new Error('middle', { cause: new Error('inner') }) });
    const [plain, debug] = [fakeTerminal(), fakeTerminal()];
    renderError.onTerminal(error, plain.terminal, { KB_LOG_LEVEL: 'info' });
    renderError.onTerminal(error, debug.terminal, { KB_LOG_LEVEL: 'debug' });
    expect(plain.stderr.lines).toHaveLength(2);
    for (const part of ['outer', 'middle', 'inner', 'render-error.test']) expect(debug.stderr.text).toContain(part);
  });
});

describe('an error as an object', () => {
  it('has the fields of the contract', () => {
    const error = new KbError('E_CONFLICT', 'a\tb', { hint: 'h', details: { conflicts: [{ path: 'x' }] } });
    expect(renderError.asObject(error)).toEqual({
      ok: false,
      error: {
        code: 'E_CONFLICT',
        message: 'a\\tb',
        hint: 'h',
        exitCode: 5,
        retryable: false,
        details: { conflicts: [{ path: 'x' }] },
      },
    });
  });
});

describe('asCliError', () => {
  it.each<[string, unknown, string, string]>([
    ['keeps what is known', new KbError('E_AUTH', 'no token'), 'E_AUTH', 'no token'],
    [
      'a full disk',
      Object.assign(new Error('x'), { code: 'ENOSPC' }),
      'E_STORAGE',
      'could not do that: no space left on the volume',
    ],
    [
      "oclif's flags",
      Object.assign(new Error('Nonexistent flag: --x\nSee more help with --help'), { parse: {} }),
      'E_USAGE',
      'Nonexistent flag: --x',
    ],
    ["oclif's list", Object.assign(new Error('Two errors:\n  a\n  b'), { oclif: {} }), 'E_USAGE', 'Two errors:; a; b'],
    ['a bug', new TypeError('x is not a function'), 'E_INTERNAL', 'x is not a function'],
    ['what is no error', 'text', 'E_INTERNAL', 'text'],
  ])('%s', (_what, error, code, message) => {
    expect(asCliError(error)).toMatchObject({ code, message });
  });
});
