import type { Oid, RefName } from '../../git/ids.js';
import type { Discovery } from '../remote.js';
import type { Packet, PacketReader } from './pkt-line.js';
import { KbError } from '../../errors.js';
import { ZERO_OID, asRefName, isOid } from '../../git/ids.js';
import { printable } from '../../printable.js';
import { Capabilities, assertSha1 } from './capabilities.js';
import { cutError, packetText, protocolError } from './pkt-line.js';

/** Longest list of refs that is read: a million of them. */
export const MAX_REFS_BYTES = 64 * 1024 * 1024;

/** The refs and abilities of a server, as it gives them first. */
export interface Advertisement {
  /** Protocol version; v2 lists its abilities only, refs are asked for separately. */
  readonly version: 0 | 1 | 2;
  readonly capabilities: Capabilities;
  readonly refs: ReadonlyMap<RefName, Oid>;
  /** The commit of HEAD; only upload-pack says. */
  readonly headOid?: Oid;
}

/**
 * Reads what a server says first: the reply to `GET info/refs?service=…` (gitprotocol-http(5), "Smart Server
 * Response"), or the beginning of a connection (gitprotocol-pack(5), "Reference Discovery"). Its end mark is the last
 * packet that is read: on a connection nothing more comes before the client has spoken.
 * @throws KbError E_NETWORK when it is cut or malformed; E_AUTH when the server says so in it; E_USAGE for SHA-256
 */
export async function readAdvertisement(
  packets: PacketReader,
  service: string,
  displayUrl: string,
): Promise<Advertisement> {
  let first = await nextPacket(packets, displayUrl);
  if (first !== 'flush' && packetText(first) === `# service=${service}`) {
    if ((await nextPacket(packets, displayUrl)) !== 'flush')
      throw protocolError('no flush packet after the service name');
    first = await nextPacket(packets, displayUrl);
  }
  const versionLine = first === 'flush' ? '' : packetText(first);
  if (versionLine === 'version 2') return readAbilitiesV2(packets, displayUrl);
  if (versionLine === 'version 1') first = await nextPacket(packets, displayUrl);
  const refs = new Map<RefName, Oid>();
  let capabilities = new Capabilities('');
  let headOid: Oid | undefined;
  for (let packet = first; packet !== 'flush'; packet = await nextPacket(packets, displayUrl)) {
    let line = packetText(packet);
    const nul = line.indexOf('\0');
    if (packet === first) {
      capabilities = new Capabilities(nul < 0 ? '' : line.slice(nul + 1));
      assertSha1(capabilities.get('object-format'), displayUrl);
    }
    if (nul >= 0) line = line.slice(0, nul);
    if (line.startsWith('shallow ')) continue;
    const { oid, name } = parseRefLine(line);
    if (name === 'HEAD') headOid = oid;
    const ref = refNameOf(name);
    if (ref !== undefined && oid !== ZERO_OID) refs.set(ref, oid);
  }
  return {
    version: versionLine === 'version 1' ? 1 : 0,
    capabilities,
    refs,
    ...(headOid === undefined ? {} : { headOid }),
  };
}

/** One ability a line, `name` or `name=value` (gitprotocol-v2(5), "Capability Advertisement"). */
async function readAbilitiesV2(packets: PacketReader, displayUrl: string): Promise<Advertisement> {
  const words: string[] = [];
  for (
    let packet = await nextPacket(packets, displayUrl);
    packet !== 'flush';
    packet = await nextPacket(packets, displayUrl)
  ) {
    words.push(
      ...packetText(packet)
        .split(' ')
        .map((word, index, line) => (index === 0 ? word : `${line[0]?.split('=')[0] ?? ''}=${word}`)),
    );
  }
  const capabilities = new Capabilities(words.join(' '));
  assertSha1(capabilities.get('object-format'), displayUrl);
  return { version: 2, capabilities, refs: new Map() };
}

/** Whether a fetch may leave objects out, and single objects can be asked for afterwards. */
export function offersFilter({ version, capabilities }: Advertisement): boolean {
  if (version === 2) return capabilities.all('fetch').some((value) => value.split(' ').includes('filter'));
  return capabilities.has('filter') && capabilities.has('allow-reachable-sha1-in-want');
}

/** What of it falls under the prefixes (all without any), and which branch HEAD is. */
export function discoveryOf(advertisement: Advertisement, prefixes: readonly string[]): Discovery {
  const head = headBranch(advertisement);
  return {
    refs: filterRefs(advertisement.refs, prefixes),
    ...(head === undefined ? {} : { head }),
    empty: advertisement.refs.size === 0,
  };
}

export function filterRefs(refs: ReadonlyMap<RefName, Oid>, prefixes: readonly string[]): Map<RefName, Oid> {
  const wanted = [...refs].filter(
    ([name]) => prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix)),
  );
  return new Map(wanted);
}

/** A ref's name if it is one that kb may have; HEAD, `….have`, peeled tags and malformed names are none. */
export function refNameOf(name: string): RefName | undefined {
  if (!name.startsWith('refs/')) return undefined;
  try {
    return asRefName(name);
  } catch {
    return undefined; // git clients leave such refs alone as well
  }
}

/** The target of the server's HEAD, from `symref=HEAD:refs/heads/main`. */
function headBranch(advertisement: Advertisement): RefName | undefined {
  for (const symref of advertisement.capabilities.all('symref')) {
    if (symref.startsWith('HEAD:')) return refNameOf(symref.slice('HEAD:'.length));
  }
  if (advertisement.headOid === undefined) return undefined;
  // Servers before git 1.8.4.3 do not say: a branch with HEAD's commit, the usual names first, as git guesses.
  const candidates = [...advertisement.refs].filter(
    ([name, oid]) => name.startsWith('refs/heads/') && oid === advertisement.headOid,
  );
  const names = candidates.map(([name]) => name);
  return (
    names.find((name) => name === 'refs/heads/main') ?? names.find((name) => name === 'refs/heads/master') ?? names[0]
  );
}

function parseRefLine(line: string): { oid: Oid; name: string } {
  const oid = line.slice(0, 40);
  if (!isOid(oid) || line[40] !== ' ') throw protocolError(`not a ref: ${JSON.stringify(printable(line, 120))}`);
  return { oid, name: line.slice(41) };
}

async function nextPacket(packets: PacketReader, displayUrl: string): Promise<Buffer | 'flush'> {
  const packet: Packet | undefined = await packets.next();
  if (packet === undefined) throw cutError('the list of refs');
  if (packet === 'flush') return packet;
  if (typeof packet === 'string') throw protocolError(`a ${packet} packet among the refs`);
  const text = packetText(packet);
  if (text.startsWith('ERR ')) throw serverSaid(text.slice(4), displayUrl);
  return packet;
}

/** An `ERR` packet (gitprotocol-pack(5)): the server's own reason for not going on. */
export function serverSaid(reason: string, displayUrl: string): KbError {
  const isAccess = /denied|not exported|not found|does not exist|permission|not authori[sz]ed|forbidden/i.test(reason);
  return new KbError(isAccess ? 'E_AUTH' : 'E_NETWORK', `${displayUrl} says: ${printable(reason.trim(), 300)}`);
}
