import { KbError } from '../errors.js';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** Node's timers fire at once above 2^31 - 1 ms (24.8 days): a longer wait would be no wait at all. */
const MAX_MS = 500 * 3_600_000;

/**
 * `500ms`, `30s`, `5m`, `2h`, `1.5s`; a bare number is seconds.
 * @param source where the text comes from, for the message
 * @returns whole milliseconds
 * @throws KbError E_USAGE
 */
export function parseDuration(text: string, source = 'duration'): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(text.trim());
  const ms = match === null ? NaN : Math.round(Number(match[1]) * (UNITS[match[2] ?? 's'] ?? NaN));
  if (ms <= MAX_MS) return ms;
  throw new KbError('E_USAGE', `${source} is not a duration: ${JSON.stringify(text.slice(0, 80))}`, {
    hint: 'write 500ms, 30s, 5m or 2h (at most 500h); a bare number is seconds',
  });
}
