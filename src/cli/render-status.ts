import type { CloningStatus, Status } from '../kb/status.js';
import { printable } from '../printable.js';
import { formatAge, formatBytes, plural } from './format.js';
import type { Paint } from './paint.js';

const MAX_CHANGES = 20;
const MAX_QUEUE = 20;

/**
 * `branch ahead behind changes lock result`, blank-separated; unknown counts are `-`. For shell prompts. Where there is
 * no KB yet: `cloning`, `clone-failed`, `clone-interrupted`.
 */
export function statusLine(status: Status | CloningStatus): string {
  if (!status.initialized) return status.cloning.state === 'running' ? 'cloning' : `clone-${status.cloning.state}`;
  const count = (value: number | null): string => (value === null ? '-' : String(value));
  const lock = status.lock.held ? (status.lock.stale ? 'stale' : 'locked') : 'free';
  return [
    status.branch ?? '(detached)',
    count(status.ahead),
    count(status.behind),
    status.changes.length,
    lock,
    status.lastSync?.result ?? '-',
  ].join(' ');
}

/** The lines that a person reads. */
export function renderStatus(status: Status | CloningStatus, paint: Paint, nowMs: number): string[] {
  if (!status.initialized) return renderCloning(status, paint, nowMs);
  const lines: string[] = [];
  const row = (name: string, value: string): void => void lines.push(`${paint.dim(`${name}:`.padEnd(11))}${value}`);
  row(
    'KB',
    `${paint.bold(printable(status.dir))} (${plural(status.fileCount, 'file')}${status.shallow ? ', shallow' : ''}${status.sparse === null ? '' : ', sparse'})`,
  );
  row(
    'branch',
    `${status.branch ?? 'none (detached HEAD)'}${status.head === null ? ', no commit yet' : ` at ${status.head.slice(0, 10)}`}`,
  );
  row('remote', describeRemote(status));
  row('last sync', describeLastSync(status, paint, nowMs));
  row('lock', describeLock(status, paint, nowMs));
  if (status.queue.length > 0) row('queue', `${status.queue.length} waiting`);
  for (const { place, operation, who, since, state } of status.queue.slice(0, MAX_QUEUE)) {
    const age = since === '' ? '' : `, ${formatAge(nowMs - Date.parse(since))}`;
    const how = state === 'claimed' ? paint.dim(' (being brought out)') : '';
    lines.push(`  ${String(place).padStart(3)}  ${printable(operation, 40)} of ${printable(who, 200)}${age}${how}`);
  }
  if (status.queue.length > MAX_QUEUE) lines.push(paint.dim(`  and ${status.queue.length - MAX_QUEUE} more`));
  row('disk', `${formatBytes(status.disk.repoBytes)} used, ${formatBytes(status.disk.freeBytes)} free`);
  if (status.conflicts.length > 0)
    row('conflicts', paint.red(status.conflicts.map((path) => printable(path)).join(', ')));
  row('edits', status.changes.length === 0 ? 'none' : plural(status.changes.length, 'file'));
  for (const change of status.changes.slice(0, MAX_CHANGES)) {
    lines.push(
      `  ${change.kind.padEnd(9)}${printable(change.path)}${change.committable ? '' : paint.dim(' (never committed)')}`,
    );
  }
  if (status.changes.length > MAX_CHANGES) lines.push(paint.dim(`  and ${status.changes.length - MAX_CHANGES} more`));
  return lines;
}

function renderCloning({ dir, cloning }: CloningStatus, paint: Paint, nowMs: number): string[] {
  const { state, phase, done, total, bytes, startedAt, pid, url, error } = cloning;
  const from = `${paint.bold(printable(dir))} from ${printable(url, 200)}`;
  if (state === 'interrupted')
    return [`${paint.red('the clone was killed')}: ${from}`, `next: kb clone ${printable(url, 200)} ${printable(dir)}`];
  if (error !== null)
    return [
      `${paint.red('the clone failed')}: ${from}: ${printable(error.message, 1000)}`,
      `next: ${printable(error.hint, 1000)}`,
    ];
  const share = total > 0 ? ` ${done}/${total} (${Math.floor((100 * done) / total)}%)` : '';
  const age = formatAge(nowMs - Date.parse(startedAt));
  return [
    `${paint.yellow('cloning')} into ${from}`,
    `${printable(phase, 40)}${share}, ${formatBytes(bytes)}; process ${pid}, begun ${age}; wait for it: kb clone --wait`,
  ];
}

function describeRemote(status: Status): string {
  if (status.remote === null) return 'none';
  const distance =
    status.ahead === null || status.behind === null
      ? status.ahead === null
        ? 'not compared yet'
        : `${status.ahead} ahead; the remote has moved`
      : status.ahead === 0 && status.behind === 0
        ? 'in step'
        : `${status.ahead} ahead, ${status.behind} behind`;
  return `${printable(status.remote)} (${distance})`;
}

function describeLastSync({ lastSync }: Status, paint: Paint, nowMs: number): string {
  if (lastSync === null) return 'none yet';
  const age = formatAge(nowMs - Date.parse(lastSync.at));
  return lastSync.result === 'ok'
    ? `${paint.green('ok')}, ${age}`
    : `${paint.red(lastSync.result)}, ${age}: ${printable(lastSync.error ?? '')}`;
}

function describeLock({ lock }: Status, paint: Paint, nowMs: number): string {
  if (!lock.held) return 'free';
  if (lock.holder === null) return `${paint.yellow('held')} by somebody unknown`;
  const { user, host, pid, command, since, id } = lock.holder;
  const who = printable(`${user}@${host} pid ${pid} (${command}), ${formatAge(nowMs - Date.parse(since))}, id ${id}`);
  return `${lock.stale ? paint.red('stale; next: kb unlock') : paint.yellow('held')}, by ${who}`;
}
