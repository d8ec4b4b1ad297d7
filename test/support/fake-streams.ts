import type { TerminalOptions } from '../../src/cli/terminal.js';
import { Terminal } from '../../src/cli/terminal.js';

/** A stream that keeps what is written to it; a terminal if asked to be one. */
export class FakeStream {
  text = '';
  readonly columns = 80;

  constructor(readonly isTTY: boolean = false) {}

  readonly write = (chunk: string): boolean => {
    this.text += chunk;
    return true;
  };

  get lines(): string[] {
    return this.text.split('\n').slice(0, -1);
  }

  asStream(): NodeJS.WriteStream {
    return this as unknown as NodeJS.WriteStream;
  }
}

export interface FakeTerminal {
  readonly terminal: Terminal;
  readonly stdout: FakeStream;
  readonly stderr: FakeStream;
}

export function fakeTerminal(over: Partial<TerminalOptions> & { readonly tty?: boolean } = {}): FakeTerminal {
  const { tty = false, ...options } = over;
  const [stdout, stderr] = [new FakeStream(tty), new FakeStream(tty)];
  const terminal = new Terminal({
    stdout: stdout.asStream(),
    stderr: stderr.asStream(),
    env: {},
    quiet: false,
    verbose: false,
    color: true,
    json: false,
    ...options,
  });
  return { terminal, stdout, stderr };
}
