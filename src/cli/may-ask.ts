/**
 * Whether there is a person who could answer a question. `GIT_TERMINAL_PROMPT=0` says no, as for git.
 * @param program its stdin is looked at last: the first look makes it a stream, which costs a start 1 ms
 */
export function mayAsk(program: Pick<NodeJS.Process, 'stdin' | 'stderr' | 'env'>): boolean {
  const isForbidden = /^(0|false|no|off)$/i.test(program.env['GIT_TERMINAL_PROMPT'] ?? '');
  return !program.env['CI'] && !isForbidden && program.stderr.isTTY && program.stdin.isTTY;
}
