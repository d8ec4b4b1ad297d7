import { hostname, userInfo } from 'node:os';
import type { Disk } from '../disk/disk.js';
import { printable } from '../printable.js';

/** Enough about a process to tell later, from elsewhere, whether it is that process that still runs. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat (clock ticks since boot): a pid used again has another one. '' where unknown. */
  readonly startTime: string;
  readonly host: string;
  /** /proc/sys/kernel/random/boot_id; '' where there is none. */
  readonly bootId: string;
  /** Pid and time namespace, as /proc/self/ns names them; '' where /proc cannot be trusted to be ours. */
  readonly pidNamespace: string;
  readonly user: string;
}

export interface OwnerRecord extends ProcessIdentity {
  /** The lock's id: 32 hex digits, never used twice. Whoever's id stands in the lock holds it. */
  readonly id: string;
  readonly operation: string;
  /** 'kb note', never its arguments: they could hold a secret. */
  readonly command: string;
  /** Held since, RFC 3339. */
  readonly since: string;
}

/** Larger owner files are not read: they are nobody's that we know. Bytes. */
export const OWNER_RECORD_LIMIT = 4096;

const FORMAT = 1;
/** Keeps a record under the limit even when each character needs six bytes of JSON. */
const LONGEST_TEXT = 100;

/** The calling process. Reads a few files of /proc where there is one; never fails for want of them. */
export function currentProcess(disk: Disk): ProcessIdentity {
  const stat = parseProcessStat(readText(disk, '/proc/self/stat'));
  // A /proc mounted for another pid namespace shows other processes under our numbers: nothing in it is proof.
  const procIsOurs = readLink(disk, '/proc/self') === String(process.pid);
  const pidNamespace = procIsOurs ? readLink(disk, '/proc/self/ns/pid') : '';
  // Start times count from the boot time of the reader's time namespace, so only equal ones compare.
  const timeNamespace = readLink(disk, '/proc/self/ns/time');
  return {
    pid: process.pid,
    startTime: procIsOurs ? (stat?.startTime ?? '') : '',
    host: hostname().slice(0, LONGEST_TEXT),
    bootId: readText(disk, '/proc/sys/kernel/random/boot_id').trim(),
    pidNamespace: pidNamespace === '' ? '' : `${pidNamespace} ${timeNamespace}`.trim(),
    user: userName().slice(0, LONGEST_TEXT),
  };
}

/**
 * State and start time out of /proc/PID/stat, see proc_pid_stat(5). The second field, the command, may hold
 * spaces and parentheses of its own, so fields are counted from the last ')'.
 */
export function parseProcessStat(text: string): { readonly state: string; readonly startTime: string } | undefined {
  const end = text.lastIndexOf(')');
  if (end < 0) return undefined;
  const fields = text
    .slice(end + 1)
    .trim()
    .split(' '); // fields[0] is field 3
  const state = fields[0] ?? '';
  const startTime = fields[19] ?? '';
  return /^[A-Za-z]$/.test(state) && /^\d+$/.test(startTime) ? { state, startTime } : undefined;
}

export function encodeOwner(owner: OwnerRecord): Buffer {
  const { pid, startTime, host, bootId, pidNamespace, user, id, operation, command, since } = owner;
  const record = {
    format: FORMAT,
    id,
    pid,
    startTime,
    host,
    bootId,
    pidNamespace,
    user,
    operation: operation.slice(0, LONGEST_TEXT),
    command: command.slice(0, LONGEST_TEXT),
    since,
  };
  return Buffer.from(`${JSON.stringify(record)}\n`);
}

/**
 * The record in the bytes of an owner file, or undefined when it is not one. The file is untrusted: anybody
 * who can write to the KB, or a commit that was checked out by other tools, may have put it there.
 */
export function parseOwner(data: Uint8Array): OwnerRecord | undefined {
  if (data.length > OWNER_RECORD_LIMIT) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== 'object') return undefined;
  const field = (name: string): unknown =>
    Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
  const text = (name: string): string | undefined => {
    const item = field(name);
    return typeof item === 'string' && item.length <= 256 ? item : undefined;
  };
  const [id, startTime, host, bootId] = [text('id'), text('startTime'), text('host'), text('bootId')];
  const [pidNamespace, user, operation] = [text('pidNamespace'), text('user'), text('operation')];
  const [command, since, pid] = [text('command'), text('since'), field('pid')];
  if (field('format') !== FORMAT || typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 1) return undefined;
  if (id === undefined || !/^[0-9a-f]{32}$/.test(id) || since === undefined || Number.isNaN(Date.parse(since)))
    return undefined;
  if (startTime === undefined || !/^\d*$/.test(startTime) || host === undefined || bootId === undefined)
    return undefined;
  if (pidNamespace === undefined || user === undefined || operation === undefined || command === undefined)
    return undefined;
  return { id, pid, startTime, host, bootId, pidNamespace, user, operation, command, since };
}

/**
 * The holder in a few words, 'ann@host pid 123 (kb note, for 12 s)', safe to print.
 * @param nowMs wall clock, ms since 1970
 */
export function describeOwner(owner: OwnerRecord, nowMs: number = Date.now()): string {
  const doing = printable(owner.command === '' ? owner.operation : owner.command, LONGEST_TEXT);
  const held = describeDuration(nowMs - Date.parse(owner.since));
  return `${printable(owner.user, LONGEST_TEXT)}@${printable(owner.host, LONGEST_TEXT)} pid ${owner.pid} (${doing}, for ${held})`;
}

/** '12 s', '3 min', '5 h': coarse, for messages. */
export function describeDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000)); // clocks of two hosts may differ: never a negative time
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

function readText(disk: Disk, path: string): string {
  try {
    return disk.readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readLink(disk: Disk, path: string): string {
  try {
    return disk.readlinkSync(path);
  } catch {
    return '';
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown'); // a uid without an entry in the password file: usual in containers
  }
}
