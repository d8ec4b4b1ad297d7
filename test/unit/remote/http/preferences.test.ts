import { describe, expect, it } from 'vitest';
import { redact } from '../../../../src/errors.js';
import { readPreferences } from '../../../../src/remote/http/preferences.js';
import type { HttpSettings } from '../../../../src/remote/settings.js';

describe('http.extraHeader', () => {
  it('keeps the password in a Basic authorization out of messages, also where a server says it back decoded', () => {
    const value = `Basic ${Buffer.from('team:planted-word-4711').toString('base64')}`;
    const settings = {
      http: (key: string) => (key === 'extraheader' ? [`Authorization: ${value}`] : []),
    } as unknown as HttpSettings;
    expect(readPreferences('https://host.example/kb.git', settings, {}).authorization).toBe(value);
    expect(redact('the server refuses planted-word-4711')).not.toContain('planted-word-4711');
  });
});
