import { KbError } from '../../errors.js';
import { openRemote } from '../../remote/open.js';
import type { Remote } from '../../remote/remote.js';
import { ok, type Check, type Finding } from './check.js';

/** Asks the remote as a pull and as a push would, without changing anything there. */
export const reachabilityCheck: Check = {
  name: 'reachability',
  async run({ url, remote: options, surroundings: { clock } }) {
    if (url === undefined) return [];
    const remote = await openRemote(url, options);
    const timed = async (intent: 'read' | 'write', can: string): Promise<Omit<Finding, 'check'>> => {
      const start = clock.monotonic();
      const failure = await tried(remote, intent);
      if (failure === undefined) return ok(`${url.display} ${can} (${Math.round(clock.monotonic() - start)} ms)`);
      return { status: 'problem', text: failure.message, mend: failure.hint };
    };
    try {
      const read = await timed('read', 'can be read');
      return read.status === 'ok' ? [read, await timed('write', 'can be pushed to')] : [read];
    } finally {
      remote.close();
    }
  },
};

async function tried(remote: Remote, intent: 'read' | 'write'): Promise<KbError | undefined> {
  try {
    await remote.discover(intent, ['HEAD']);
    return undefined;
  } catch (error) {
    if (error instanceof KbError && error.code !== 'E_INTERRUPTED' && error.code !== 'E_TERMINATED') return error;
    throw error;
  }
}
