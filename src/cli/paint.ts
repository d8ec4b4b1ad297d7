import { Chalk } from 'chalk';

export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly red: (text: string) => string;
}

/**
 * Colour for one stream, or none: `NO_COLOR` and `--no-color` win, then `FORCE_COLOR`, then whether the
 * stream is a terminal. Source: no-color.org, force-color.org.
 */
export function paint(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, wanted: boolean): Paint {
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== '';
  const off = !wanted || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb' || env['FORCE_COLOR'] === '0';
  return new Chalk({ level: !off && (forced || stream.isTTY) ? 1 : 0 });
}
