import { describe, expect, it } from 'vitest';
import { volumeSettings } from '../../../src/kb/volume-settings.js';

describe('volumeSettings', () => {
  const on = (platform: NodeJS.Platform, isSet: boolean): boolean =>
    volumeSettings({ getBoolean: (key, byDefault) => (key === 'core.precomposeunicode' ? isSet : byDefault) }, platform)
      .precomposeUnicode;

  it('composes names on a Mac only, and there only where git is told to', () => {
    expect([on('darwin', true), on('darwin', false), on('linux', true), on('win32', true)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});
