import { describe, expect, it } from 'vitest';
import { paint } from '../../../src/cli/paint.js';
import { FakeStream } from '../../support/fake-streams.js';

describe('paint', () => {
  it.each<[string, boolean, NodeJS.ProcessEnv, boolean, boolean]>([
    ['a terminal', true, {}, true, true],
    ['a pipe', false, {}, true, false],
    ['--no-color', true, {}, false, false],
    ['--no-color before FORCE_COLOR', true, { FORCE_COLOR: '1' }, false, false],
    ['NO_COLOR', true, { NO_COLOR: '1' }, true, false],
    ['NO_COLOR of any value', true, { NO_COLOR: '0' }, true, false],
    ['an empty NO_COLOR, which says nothing', true, { NO_COLOR: '' }, true, true],
    ['NO_COLOR before FORCE_COLOR', true, { NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
    ['FORCE_COLOR in a pipe', false, { FORCE_COLOR: '1' }, true, true],
    ['FORCE_COLOR=0', true, { FORCE_COLOR: '0' }, true, false],
    ['an empty FORCE_COLOR, which says nothing', false, { FORCE_COLOR: '' }, true, false],
    ['a dumb terminal', true, { TERM: 'dumb' }, true, false],
  ])('%s', (_what, isTTY, env, wanted, isColoured) => {
    const { red, bold } = paint(new FakeStream(isTTY).asStream(), env, wanted);
    expect(red('x')).toBe(isColoured ? '\x1b[31mx\x1b[39m' : 'x');
    expect(bold('x') === 'x').toBe(!isColoured);
  });
});
