import { formatDate, type LocalTime } from './date-format.js';

/** One entry of a log: `- HH:mm text`; further lines are indented so that they stay part of the item. */
export function logLine(text: string, now: LocalTime): string {
  const lines = text.trim().split(/\r\n|\n|\r/);
  return `- ${formatDate(now, 'HH:mm')} ${lines.map((line, n) => (n === 0 || line.trim() === '' ? line.trimEnd() : `  ${line}`)).join('\n')}`;
}
