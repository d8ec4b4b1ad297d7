import { hashObject } from '../objects/object.js';

const DOLLAR = 0x24;

/** `$Id: … $` of a file becomes `$Id$` in the repository. Source: gitattributes(5), "ident". */
export function identToBlob(data: Buffer): Buffer {
  return data.includes('$Id:') ? rewrite(data, () => Buffer.from('Id$')) : data;
}

/** `$Id$` of a blob becomes `$Id: <the blob's id> $` in the file. What another system has put there stays. */
export function identToFile(data: Buffer): Buffer {
  if (!data.includes('$Id')) return data;
  const expanded = Buffer.from(`Id: ${hashObject('blob', data)} $`);
  return rewrite(data, (inside) => {
    if (inside === undefined) return expanded;
    const space = inside.indexOf(' ', 1);
    return space > 0 && space < inside.length - 1 ? undefined : expanded;
  });
}

/**
 * @param replace gets what stands between `$Id:` and the next `$`, undefined for `$Id$`; gives what is to stand behind
 *   the first `$`, or undefined to leave it
 */
function rewrite(data: Buffer, replace: (inside: Buffer | undefined) => Buffer | undefined): Buffer {
  const pieces: Buffer[] = [];
  let copied = 0;
  for (let dollar = data.indexOf(DOLLAR); dollar !== -1; dollar = data.indexOf(DOLLAR, dollar)) {
    const start = dollar + 1;
    dollar = start;
    const word = data.toString('latin1', start, start + 3);
    if (word !== 'Id$' && word !== 'Id:') continue;
    let end = start + 3;
    let inside: Buffer | undefined;
    if (word === 'Id:') {
      const close = data.indexOf(DOLLAR, end);
      if (close === -1) break;
      inside = data.subarray(end, close);
      if (inside.includes(0x0a)) continue;
      end = close + 1;
    }
    const text = replace(inside);
    if (text === undefined) continue;
    pieces.push(data.subarray(copied, start), text);
    copied = end;
    dollar = end;
  }
  return copied === 0 ? data : Buffer.concat([...pieces, data.subarray(copied)]);
}
