import type { Oid } from '../../git/ids.js';
import type { FetchRequest, FetchResult } from '../remote.js';
import type { Capabilities } from './capabilities.js';
import type { PacketReader } from './pkt-line.js';
import { KbError } from '../../errors.js';
import { isOid } from '../../git/ids.js';
import { printable } from '../../printable.js';
import { serverSaid } from './advertisement.js';
import { DELIMITER, FLUSH, cutError, packetText, pktLine, protocolError } from './pkt-line.js';
import { parseProgress, readSideband } from './sideband.js';

/** "Make it whole" on the wire: git's INFINITE_DEPTH (gitprotocol-pack(5), shallow). */
const WHOLE_HISTORY = 0x7fffffff;
/** The same word as an argument of v2 and as a capability of v0: `deepen` counts from where history ends now. */
const DEEPEN_RELATIVE = 'deepen-relative';

/**
 * The request `fetch` of protocol v2 (gitprotocol-v2(5), "fetch"), negotiation finished in one round: all
 * haves and `done` at once. What we have is known exactly, so there is nothing to negotiate about.
 */
export function fetchRequestV2(request: FetchRequest, agent: string): Buffer {
  return Buffer.concat([
    pktLine('command=fetch\n'),
    pktLine(`agent=${agent}\n`),
    DELIMITER,
    ...features(request).map((feature) => pktLine(`${feature}\n`)),
    ...request.wants.map((oid) => pktLine(`want ${oid}\n`)),
    ...shallowLines(request),
    ...request.haves.map((oid) => pktLine(`have ${oid}\n`)),
    pktLine('done\n'),
    FLUSH,
  ]);
}

/**
 * The same for protocol v0 (gitprotocol-pack(5), "Packfile Negotiation"), without multi_ack: the server
 * then answers `done` with one ACK or NAK and the pack.
 * @throws KbError E_NETWORK when the server is too old for what is needed
 */
export function fetchRequestV0(wanted: FetchRequest, agent: string, capabilities: Capabilities): Buffer {
  if (!capabilities.has('side-band-64k')) throw tooOld('side-band-64k');
  const { deepenBy, filter, ...others } = wanted;
  const canFilter = capabilities.has('filter');
  const request: FetchRequest = {
    ...others,
    ...(filter === undefined || !canFilter ? {} : { filter }),
    // Counted from the tips, a small number would cut off what is here already.
    ...(deepenBy === undefined ? {} : capabilities.has(DEEPEN_RELATIVE) ? { deepenBy } : { deepenTo: 'full' }),
  };
  const needsShallow = request.shallow.size > 0 || isDeepening(request);
  if (needsShallow && !capabilities.has('shallow')) throw tooOld('shallow');
  const words = ['side-band-64k', ...features(wanted), ...(filter === undefined ? [] : ['filter'])].filter(
    (word) => capabilities.has(word) && (word !== 'thin-pack' || filter === undefined || canFilter),
  );
  if (capabilities.has('agent')) words.push(`agent=${agent}`);
  return Buffer.concat([
    ...request.wants.map((oid, index) => pktLine(`want ${oid}${index === 0 ? ` ${words.join(' ')}` : ''}\n`)),
    ...shallowLines(request),
    FLUSH,
    ...request.haves.map((oid) => pktLine(`have ${oid}\n`)),
    pktLine('done\n'),
  ]);
}

/**
 * Reads the reply of v2: sections, each with its name.
 * @returns undefined when the server did not understand the request (it does not speak v2)
 * @throws KbError E_NETWORK; what the sink throws
 */
export async function readFetchReplyV2(
  packets: PacketReader,
  request: FetchRequest,
  displayUrl: string,
): Promise<FetchResult | undefined> {
  const boundary = { shallow: [] as Oid[], unshallow: [] as Oid[] };
  for (let isFirst = true; ; isFirst = false) {
    const packet = await packets.next();
    if (packet === undefined && isFirst) return undefined;
    if (packet === undefined) throw cutError('the reply to fetch');
    if (typeof packet === 'string') throw protocolError(`a ${packet} packet where a section should begin`);
    const section = packetText(packet);
    if (section.startsWith('ERR ')) {
      if (isFirst && isMisunderstanding(section)) return undefined;
      throw refusal(section.slice(4), displayUrl);
    }
    if (section === 'packfile') return { ...boundary, empty: !(await receivePack(packets, request)) };
    if (section === 'shallow-info') await readShallowInfo(packets, boundary, 'delimiter');
    else throw protocolError(`an unexpected section ${JSON.stringify(printable(section, 60))}`);
  }
}

/** Reads the reply of v0. @throws KbError E_NETWORK; what the sink throws */
export async function readFetchReplyV0(
  packets: PacketReader,
  request: FetchRequest,
  displayUrl: string,
): Promise<FetchResult> {
  const boundary = { shallow: [] as Oid[], unshallow: [] as Oid[] };
  if (isDeepening(request)) await readShallowInfo(packets, boundary, 'flush');
  for (;;) {
    const packet = await packets.next();
    if (packet === undefined) throw cutError('the reply to fetch');
    if (typeof packet === 'string') throw protocolError(`a ${packet} packet where ACK, NAK or the pack should be`);
    const text = packetText(packet.subarray(0, 200));
    if (text.startsWith('ERR ')) throw refusal(packetText(packet).slice(4), displayUrl);
    if (text === 'NAK' || /^ACK [0-9a-f]{40}/.test(text)) continue;
    return { ...boundary, empty: !(await receivePack(packets, request, packet)) };
  }
}

function features(request: FetchRequest): string[] {
  return [
    // Against files that were left out nothing can be rebuilt; where no file is sent at all, none is a base.
    ...(request.filter === undefined || request.filter === 'blob:none' ? ['thin-pack'] : []),
    'ofs-delta',
    ...(request.onProgress === undefined ? ['no-progress'] : []),
    ...(request.deepenBy === undefined ? [] : [DEEPEN_RELATIVE]),
  ];
}

function shallowLines(request: FetchRequest): Buffer[] {
  const filter = request.filter === undefined ? [] : [pktLine(`filter ${request.filter}\n`)];
  const depth = request.deepenTo === 'full' ? WHOLE_HISTORY : (request.deepenBy ?? request.depth);
  return [
    ...[...request.shallow].map((oid) => pktLine(`shallow ${oid}\n`)),
    ...(depth === undefined ? [] : [pktLine(`deepen ${depth}\n`)]),
    ...filter,
  ];
}

function isDeepening(request: FetchRequest): boolean {
  return request.depth !== undefined || request.deepenTo !== undefined || request.deepenBy !== undefined;
}

async function readShallowInfo(
  packets: PacketReader,
  into: { shallow: Oid[]; unshallow: Oid[] },
  end: 'flush' | 'delimiter',
): Promise<void> {
  for (;;) {
    const packet = await packets.next();
    if (packet === undefined) throw cutError('the list of shallow commits');
    if (packet === end) return;
    if (typeof packet === 'string') throw protocolError(`a ${packet} packet in the list of shallow commits`);
    const line = packetText(packet);
    const [kind, oid] = line.split(' ');
    if (line.startsWith('ERR ')) throw refusal(line.slice(4), 'the remote');
    if ((kind !== 'shallow' && kind !== 'unshallow') || oid === undefined || !isOid(oid)) {
      throw protocolError(`not a shallow commit: ${JSON.stringify(printable(line, 80))}`);
    }
    into[kind].push(oid);
  }
}

/** Passes the pack on to the sink. @returns false when it holds no object (nothing was passed on then) */
async function receivePack(packets: PacketReader, request: FetchRequest, first?: Buffer): Promise<boolean> {
  const gate = new PackGate(request.sink);
  await readSideband(
    packets,
    {
      data: (chunk) => {
        gate.write(chunk);
        request.onProgress?.({
          phase: 'Receiving objects',
          ...(gate.total === undefined ? {} : { total: gate.total }),
          bytes: gate.bytes,
        });
      },
      message: (line) => request.onProgress?.({ ...parseProgress(line), bytes: gate.bytes }),
    },
    first,
  );
  return gate.finish();
}

const PACK_HEADER = 12;

/** Looks at a pack's header (gitformat-pack(5)) before anything reaches the sink. */
class PackGate {
  bytes = 0;
  /** Objects in the pack, once its header is there. */
  total: number | undefined;
  #header = Buffer.alloc(0);

  constructor(private readonly sink: { write(chunk: Uint8Array): void }) {}

  write(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.total !== undefined) return this.#pass(chunk);
    this.#header = Buffer.concat([this.#header, chunk]);
    if (this.#header.length < PACK_HEADER) return;
    if (this.#header.toString('latin1', 0, 4) !== 'PACK') throw protocolError('what should be a pack is none');
    this.total = this.#header.readUInt32BE(8);
    this.#pass(this.#header);
  }

  finish(): boolean {
    if (this.total === undefined) throw cutError("the pack's header");
    return this.total > 0;
  }

  #pass(chunk: Buffer): void {
    if (this.total !== 0) this.sink.write(chunk);
  }
}

/** A v0 server reads `command=fetch` as a broken request; a v2 server never says so about ours. */
function isMisunderstanding(line: string): boolean {
  return (
    /protocol error|expected to get|unexpected|unknown|invalid|unsupported/i.test(line) && !/not our ref/i.test(line)
  );
}

function refusal(reason: string, displayUrl: string): KbError {
  if (!/not our ref|not a valid object/i.test(reason)) return serverSaid(reason, displayUrl);
  return new KbError(
    'E_NETWORK',
    `${displayUrl} no longer has what it listed a moment ago: ${printable(reason.trim(), 200)}`,
    {
      details: { gone: true },
    },
  );
}

function tooOld(capability: string): KbError {
  return new KbError('E_NETWORK', `the remote's server is too old: it lacks ${capability}`, { retryable: false });
}
