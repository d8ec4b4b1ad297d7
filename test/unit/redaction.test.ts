import { describe, expect, it } from 'vitest';
import { KbError, redact } from '../../src/errors.js';
import { parseRemoteUrl } from '../../src/remote/url.js';

describe('what an error shows of an address', () => {
  it.each([
    ['ssh://git@host/kb.git', 'ssh://git@host/kb.git'],
    ['git+ssh://ann@host:22/kb.git', 'git+ssh://ann@host:22/kb.git'],
    ['ssh://host/a@b.git', 'ssh://host/a@b.git'],
    ['ssh://ann:hush@host/kb.git', 'ssh://ann:***@host/kb.git'],
    ['ssh://ann:hu@sh@host/kb.git', 'ssh://ann:***@host/kb.git'],
    ['ssh://:hush@host/kb.git', 'ssh://:***@host/kb.git'],
    ['https://git@host/kb.git', 'https://***@host/kb.git'],
    ['https://ann:hu@sh@host/kb.git', 'https://***@host/kb.git'],
    ['see ssh://a@b/c and https://d@e/f', 'see ssh://a@b/c and https://***@e/f'],
  ])('%s', (text, shown) => {
    expect(redact(text)).toBe(shown);
    expect(new KbError('E_NETWORK', text).message).toBe(shown);
  });

  it.each([
    ['ssh://ann:hush-4711@host/kb.git', 'ssh://ann:***@host'],
    ['ssh://ann:hush/4711@host/kb.git', 'ssh://ann:***@host'],
    ['ann:hush-4711@host:kb.git', 'ann:***@host:kb.git'],
    ['ssh://git@-host/kb.git', 'ssh://git@-host/kb.git'],
  ])('in a refusal: %s', (text, shown) => {
    expect(() => parseRemoteUrl(text, { cwd: '/' })).toThrow(shown);
    expect(() => parseRemoteUrl(text, { cwd: '/' })).not.toThrow(/4711/);
  });
});
