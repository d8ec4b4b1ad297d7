import type { PushOutcome, PushRequest } from '../remote.js';
import type { Capabilities } from './capabilities.js';
import type { PacketReader } from './pkt-line.js';
import type { RequestBody } from './request-body.js';
import { KbError, isKbError } from '../../errors.js';
import { ZERO_OID } from '../../git/ids.js';
import { writePack } from '../../git/objects/pack-writer.js';
import { printable } from '../../printable.js';
import { FLUSH, PacketReader as Packets, cutError, packetText, pktLine, protocolError } from './pkt-line.js';
import { readSideband, remoteGaveUp } from './sideband.js';

/** A body up to this is put together in memory and sent with its length; a longer one is streamed. */
const SMALL_BODY = 1024 * 1024;
/** More of a hook's output is not kept. */
const MAX_MESSAGES = 50;
const MAX_REPORT = 65_536;
/** Longest reply to a push that is read, the messages of hooks included. */
export const MAX_REPORT_BYTES = 4 * 1024 * 1024;
const MOST_THIN_OBJECTS = 1000;

/**
 * The request to receive-pack: shallow lines, one command, the pack (gitprotocol-pack(5), "Pushing Data To
 * a Server"; no v2 of it exists). The old id in the command makes it a compare-and-swap on the server.
 * @throws KbError E_NETWORK when the server could not tell what became of it
 */
export function pushBody(request: PushRequest, capabilities: Capabilities, agent: string): RequestBody {
  if (!capabilities.has('report-status')) {
    throw new KbError('E_NETWORK', "the remote's server is too old: it lacks report-status", { retryable: false });
  }
  const words = ['report-status', ...['side-band-64k', 'quiet'].filter((word) => capabilities.has(word))];
  if (capabilities.has('object-format')) words.push('object-format=sha1');
  if (capabilities.has('agent')) words.push(`agent=${agent}`);
  const commands = Buffer.concat([
    ...[...request.shallow].map((oid) => pktLine(`shallow ${oid}\n`)),
    pktLine(`${request.from ?? ZERO_OID} ${request.to} ${request.ref}\0 ${words.join(' ')}`),
    FLUSH,
  ]);
  // Deltas read each object twice: worth it for the few of an edit, not for a first push of everything.
  const isThin = request.from !== null && request.oids.length <= MOST_THIN_OBJECTS && !capabilities.has('no-thin');
  const pack = writePack(request.objects, request.oids, isThin ? { against: request.from } : {});
  const beforeLast = request.fence === undefined ? {} : { beforeLast: request.fence };
  const small = collect(commands, pack);
  if (small.done) return { chunks: [Buffer.concat(small.parts)], length: small.size, ...beforeLast };
  return { chunks: join(small.parts, pack), ...beforeLast };
}

function collect(commands: Buffer, pack: Iterator<Buffer>): { parts: Buffer[]; size: number; done: boolean } {
  const parts = [commands];
  let size = commands.length;
  while (size <= SMALL_BODY) {
    const next = pack.next();
    if (next.done === true) return { parts, size, done: true };
    parts.push(next.value);
    size += next.value.length;
  }
  return { parts, size, done: false };
}

function* join(parts: readonly Buffer[], rest: Generator<Buffer>): Generator<Buffer> {
  yield* parts;
  yield* rest;
}

/**
 * Reads the verdict. Once the line about the ref is there, what happens to the connection afterwards
 * changes nothing; before it, everything is possible and the outcome is `unknown`.
 * @throws KbError E_NETWORK when the server takes no push for a while: the report says that the ref did not move
 */
export async function readVerdict(
  packets: PacketReader,
  request: PushRequest,
  capabilities: Capabilities,
): Promise<PushOutcome> {
  const report = new Report(request.ref);
  try {
    if (capabilities.has('side-band-64k')) {
      await readSideband(packets, {
        data: (chunk) => report.write(chunk),
        enough: () => report.hasLanded,
        message: (line) => report.say(line),
      });
      await report.readLines();
    } else {
      await report.readFrom(packets);
    }
  } catch (error) {
    if (!isKbError(error)) throw error;
    await report.readLines().catch(() => undefined); // the report may be whole although its envelope was cut
    return report.outcome() ?? unknown(error);
  }
  return report.outcome() ?? unknown(protocolError('it does not say what became of the ref'));
}

export function unknown(cause: KbError): PushOutcome {
  return { kind: 'unknown', cause };
}

/** `unpack ok` and `ok <ref>` or `ng <ref> <reason>` (gitprotocol-pack(5), "Report Status"). */
class Report {
  #bytes: Buffer[] = [];
  #size = 0;
  #unpackProblem: string | undefined;
  #verdict: { ok: true } | { ok: false; reason: string } | undefined;
  readonly #messages: string[] = [];

  constructor(private readonly ref: string) {}

  write(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > MAX_REPORT) throw protocolError('its report is too long');
    this.#bytes.push(chunk);
  }

  /**
   * Whether the report in band 1 is whole and says that the ref moved. After that the server still runs its hooks
   * and tidies up, which takes as long as it takes.
   */
  get hasLanded(): boolean {
    const bytes = Buffer.concat(this.#bytes);
    const lines: string[] = [];
    for (let at = 0; at + 4 <= bytes.length;) {
      const length = Number.parseInt(bytes.toString('latin1', at, at + 4), 16);
      if (length === 0) return lines.includes('unpack ok') && lines.includes(`ok ${this.ref}`);
      if (!(length > 4)) return false; // malformed, which is said where the report is read for good
      lines.push(bytes.toString('utf8', at + 4, at + length).replace(/\n$/, ''));
      at += length;
    }
    return false;
  }

  say(line: string): void {
    if (this.#messages.length < MAX_MESSAGES) this.#messages.push(line);
  }

  /** The report that came in band 1: packets within packets. */
  async readLines(): Promise<void> {
    const bytes = this.#bytes.splice(0);
    await this.readFrom(new Packets({ read: () => Promise.resolve(bytes.shift()) }));
  }

  async readFrom(packets: PacketReader): Promise<void> {
    for (;;) {
      const packet = await packets.next();
      if (packet === undefined) throw cutError('the report of the push');
      if (packet === 'flush') return;
      if (typeof packet === 'string') throw protocolError(`a ${packet} packet in the report`);
      this.#line(packetText(packet));
    }
  }

  outcome(): PushOutcome | undefined {
    if (this.#verdict === undefined) return undefined;
    if (this.#verdict.ok) return { kind: 'landed' };
    const reason = this.#unpackProblem ?? this.#verdict.reason;
    if (this.#unpackProblem === undefined && isRace(reason, this.#messages)) return { kind: 'race' };
    const said = this.#messages.length === 0 ? '' : `: ${this.#messages.join(' | ')}`;
    const message = printable(`${reason}${said}`, 2000);
    if (this.#messages.some((line) => FOR_A_WHILE.test(line)))
      throw new KbError('E_NETWORK', `the remote takes no push just now: ${message}`, {
        details: { remoteMessage: message },
      });
    return { kind: 'refused', message };
  }

  #line(line: string): void {
    const [kind, second, ...rest] = line.split(' ');
    if (kind === 'unpack') {
      const result = line.slice('unpack '.length);
      if (result !== 'ok') this.#unpackProblem = `the remote could not take the objects in (${result})`;
    } else if (kind === 'ok' && second === this.ref) this.#verdict = { ok: true };
    else if (kind === 'ng' && second === this.ref) this.#verdict = { ok: false, reason: rest.join(' ') };
    else if (kind === 'ERR') throw remoteGaveUp(line.slice(4));
  }
}

/** Reasons that git's receive-pack and the large hosts give when another push came first or holds the ref's lock. */
const RACE =
  /failed to update ref|fetch first|non-fast[- ]forward|cannot lock ref|failed to lock|reference already exists|reference does not exist|incorrect old value provided/i;

/**
 * What GitLab says in the name of a hook when it cannot ask its own parts, or moves a repository: nothing is wrong with
 * the push. Source: GitLab's `lib/gitlab/git_access.rb` and gitlab-shell's `internal/gitlabnet`.
 */
const FOR_A_WHILE = /^GitLab: (The repository is temporarily read-only|Internal API (unreachable|error))/;

/** The same words for a ref that cannot be written at all: trying again would never end. */
const NOT_A_RACE = /cannot create|permission denied|read-only file system|no space left|quota exceeded/i;

/** Whether fetching and trying again can help. */
export function isRace(reason: string, messages: readonly string[]): boolean {
  return RACE.test(reason) && ![reason, ...messages].some((text) => NOT_A_RACE.test(text));
}
