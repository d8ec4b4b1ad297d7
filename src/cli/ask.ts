import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';

/**
 * Asks on the terminal, on stderr: stdout is for results. What is typed for a hidden question is not shown.
 * @returns undefined when nothing was entered, or the input ended
 */
export async function ask(
  question: { readonly text: string; readonly hidden: boolean },
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  signal?.throwIfAborted();
  // A line editor whose output goes nowhere shows nothing, and still leaves the terminal as it was.
  const output = question.hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : process.stderr;
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
  const stop = (): void => lines.close();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    // As a prompt where it is shown: editing the line would else wipe the question out.
    lines.setPrompt(question.text);
    if (question.hidden) process.stderr.write(question.text);
    else lines.prompt();
    const answer = await new Promise<string | undefined>((resolve) => {
      lines.once('line', resolve);
      lines.once('close', () => resolve(undefined));
      // The editor takes the keys of the terminal, Ctrl-C too: it is passed on as the signal that it stands for.
      lines.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    });
    if (question.hidden) process.stderr.write('\n');
    signal?.throwIfAborted();
    return answer === '' ? undefined : answer;
  } finally {
    signal?.removeEventListener('abort', stop);
    lines.close();
  }
}
