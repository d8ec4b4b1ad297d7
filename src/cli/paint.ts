export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly red: (text: string) => string;
}

/** Set and reset, by ECMA-48 (SGR). */
const CODES = { bold: [1, 22], dim: [2, 22], green: [32, 39], yellow: [33, 39], red: [31, 39] } as const;

/**
 * Colour for one stream, or none: `NO_COLOR` and `--no-color` win, then `FORCE_COLOR`, then whether the
 * stream is a terminal. Source: no-color.org, force-color.org. Five codes by hand: a library for them took 2 ms of
 * every start.
 */
export function paint(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, wanted: boolean): Paint {
  const forced = env['FORCE_COLOR'] !== undefined && env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== '';
  const off = !wanted || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb' || env['FORCE_COLOR'] === '0';
  const isOn = !off && (forced || stream.isTTY);
  const brush = ([set, reset]: readonly [number, number]) => {
    return (text: string): string => (isOn && text !== '' ? `\u001b[${set}m${text}\u001b[${reset}m` : text);
  };
  return {
    bold: brush(CODES.bold),
    dim: brush(CODES.dim),
    green: brush(CODES.green),
    yellow: brush(CODES.yellow),
    red: brush(CODES.red),
  };
}
