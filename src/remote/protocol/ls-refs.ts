import type { Oid, RefName } from '../../git/ids.js';
import type { Discovery } from '../remote.js';
import type { PacketReader } from './pkt-line.js';
import { isOid } from '../../git/ids.js';
import { printable } from '../../printable.js';
import { filterRefs, refNameOf } from './advertisement.js';
import { DELIMITER, FLUSH, packetText, pktLine, protocolError } from './pkt-line.js';

/**
 * The request `ls-refs` of protocol v2 (gitprotocol-v2(5), "ls-refs"). It is sent without asking for the
 * server's capabilities first: that saves a round trip, and a server that cannot do it says so.
 * @param askUnborn also ask for the target of a HEAD without commits; servers that are strict refuse the word
 */
export function lsRefsRequest(prefixes: readonly string[], agent: string, askUnborn: boolean): Buffer {
  const asked = prefixes.length === 0 ? [] : ['HEAD', ...prefixes];
  return Buffer.concat([
    pktLine('command=ls-refs\n'),
    pktLine(`agent=${agent}\n`),
    DELIMITER,
    pktLine('symrefs\n'),
    ...(askUnborn ? [pktLine('unborn\n')] : []),
    ...asked.map((prefix) => pktLine(`ref-prefix ${prefix}\n`)),
    FLUSH,
  ]);
}

/**
 * Reads the reply: `<oid> <name>[ symref-target:<ref>][ peeled:<oid>]`, or `unborn HEAD symref-target:<ref>`.
 * @returns undefined when the server did not understand the request (it does not speak v2)
 * @throws KbError E_NETWORK when the reply is cut or malformed
 */
export async function readLsRefs(packets: PacketReader, prefixes: readonly string[]): Promise<Discovery | undefined> {
  const refs = new Map<RefName, Oid>();
  let head: RefName | undefined;
  let headOid: Oid | undefined;
  for (let isFirst = true; ; isFirst = false) {
    const packet = await packets.next();
    if (packet === undefined && isFirst) return undefined;
    if (packet === 'flush') break;
    if (packet === undefined || typeof packet === 'string')
      throw protocolError('the list of refs ends without its end mark');
    const line = packetText(packet);
    if (isFirst && line.startsWith('ERR ')) return undefined;
    const [oid, name, ...attributes] = line.split(' ');
    if (name === undefined || (oid !== 'unborn' && !isOid(oid ?? ''))) {
      throw protocolError(`not a ref: ${JSON.stringify(printable(line, 120))}`);
    }
    if (name === 'HEAD') {
      const target = attributes.find((attribute) => attribute.startsWith('symref-target:'));
      head = target === undefined ? undefined : refNameOf(target.slice('symref-target:'.length));
      headOid = isOid(oid ?? '') ? (oid as Oid) : undefined;
      continue;
    }
    const ref = refNameOf(name);
    if (ref !== undefined && isOid(oid ?? '')) refs.set(ref, oid as Oid);
  }
  // A server may send more than the prefixes ask for.
  const wanted = filterRefs(refs, prefixes);
  // Whoever asks for HEAD wants to know the branch behind it, whatever its name is.
  if (head !== undefined && headOid !== undefined) wanted.set(head, headOid);
  return { refs: wanted, ...(head === undefined ? {} : { head }), empty: refs.size === 0 && headOid === undefined };
}
