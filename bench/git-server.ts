import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface Traffic {
  readonly requests: number;
  readonly connections: number;
  /** From the arrival of a request until its reply was sent, added latency included; ms, summed. */
  readonly busyMs: number;
  /** When the first of them arrived: ms since 1970, with fractions; undefined: none did. */
  readonly firstAt?: number;
}

/** Native git's http-backend in a process of its own, so that it does not wait for the bench, nor the bench for it. */
export class GitServer {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /** @param directory holds the bare repositories */
  static async start(directory: string): Promise<GitServer> {
    const runner = fileURLToPath(new URL('../scripts/run-typescript.mjs', import.meta.url));
    const program = fileURLToPath(new URL('./git-server-process.ts', import.meta.url));
    const child = fork(runner, [program, directory], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    const [url] = (await once(child, 'message')) as [string];
    return new GitServer(child, url);
  }

  /** Each request waits that long before it is answered: the round trip of a distant server. */
  async setLatency(milliseconds: number): Promise<void> {
    await this.ask({ latency: milliseconds });
  }

  /** The traffic since the last time this was asked. */
  async traffic(): Promise<Traffic> {
    return (await this.ask({ latency: undefined })) as Traffic;
  }

  async stop(): Promise<void> {
    this.child.disconnect();
    await once(this.child, 'exit');
  }

  private async ask(message: object): Promise<unknown> {
    this.child.send(message);
    const [answer] = (await once(this.child, 'message')) as [unknown];
    return answer;
  }
}
