import { KbError } from '../../errors.js';

/**
 * The two sizes at the head of a delta.
 * Source of the format: gitformat-pack, "Deltified representation".
 * @throws KbError E_CORRUPT
 */
export function deltaSizes(delta: Buffer): {
  readonly baseSize: number;
  readonly resultSize: number;
  readonly at: number;
} {
  const base = readSize(delta, 0);
  const result = readSize(delta, base.at);
  return { baseSize: base.value, resultSize: result.value, at: result.at };
}

/** Only the second size, of a delta that lies in `data[from, to)`. @throws KbError E_CORRUPT */
export function sizeOfResult(data: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && (data[at] as number) >= 0x80) at++;
  // As many bytes as `readSize` takes.
  if (at - from < 8) {
    let value = 0;
    for (let factor = 1, end = Math.min(to, at + 9); ++at < end; factor *= 128) {
      const byte = data[at] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }
  throw damaged('its sizes cannot be read');
}

/**
 * @param maxBytes the largest result that is made
 * @param into where it is made, if it is large enough; not within `base` or `delta`
 * @throws KbError E_CORRUPT when the delta does not fit the base or itself
 */
export function applyDelta(base: Buffer, delta: Buffer, maxBytes: number, into?: Buffer): Buffer {
  const { baseSize, resultSize, at: start } = deltaSizes(delta);
  if (baseSize !== base.length) throw damaged('it was made for another base');
  if (resultSize > maxBytes) throw damaged(`its result of ${resultSize} bytes is over the limit of ${maxBytes}`);
  const result =
    into !== undefined && into.length >= resultSize ? into.subarray(0, resultSize) : Buffer.allocUnsafe(resultSize);
  const end = delta.length;
  let at = start;
  let written = 0;
  while (at < end) {
    const command = delta[at++] as number;
    if ((command & 0x80) !== 0) {
      // a missing byte reads as undefined; it becomes 0 here and `at` shows it at the end
      let from = 0;
      let size = 0;
      if ((command & 0x01) !== 0) from = delta[at++] as number;
      if ((command & 0x02) !== 0) from |= (delta[at++] as number) << 8;
      if ((command & 0x04) !== 0) from |= (delta[at++] as number) << 16;
      if ((command & 0x08) !== 0) from += (delta[at++] as number) * 0x1000000;
      if ((command & 0x10) !== 0) size = delta[at++] as number;
      if ((command & 0x20) !== 0) size |= (delta[at++] as number) << 8;
      if ((command & 0x40) !== 0) size |= (delta[at++] as number) << 16;
      if (size === 0) size = 0x10000;
      if (at > end || from + size > baseSize || written + size > resultSize)
        throw damaged('it copies from or to outside');
      if (size < 64) for (let index = 0; index < size; index++) result[written + index] = base[from + index] as number;
      else base.copy(result, written, from, from + size);
      written += size;
    } else if (command !== 0) {
      if (at + command > end || written + command > resultSize) throw damaged('it inserts beyond its end');
      if (command < 64)
        for (let index = 0; index < command; index++) result[written + index] = delta[at + index] as number;
      else delta.copy(result, written, at, at + command);
      at += command;
      written += command;
    } else {
      throw damaged('it holds a reserved command');
    }
  }
  if (written !== resultSize) throw damaged('its result is shorter than it says');
  return result;
}

function readSize(delta: Buffer, from: number): { value: number; at: number } {
  let value = 0;
  let factor = 1;
  for (let at = from; at < delta.length && at < from + 8; at++) {
    const byte = delta[at] as number;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return { value, at: at + 1 };
    factor *= 128;
  }
  throw damaged('its sizes cannot be read');
}

function damaged(why: string): KbError {
  return new KbError('E_CORRUPT', `a delta is damaged: ${why}`);
}
