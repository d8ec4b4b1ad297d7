import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAMAGES, problemWith, type Damage } from '../support/damaged-pack.js';
import { nativeGit } from '../support/native-git.js';
import { isCloneOf, makeRealPack } from '../support/real-pack.js';
import { startPackServer, type PackServer } from '../support/pack-server.js';

/** With KB_RELIABILITY=0.1 a tenth of the places. */
const stride = Math.max(1, Math.round(1 / Number(process.env['KB_RELIABILITY'] ?? '1')));

describe.skipIf(!nativeGit.available)('a pack of native git, damaged at every 1,000th byte (needs native git)', () => {
  let server: PackServer;
  let real: Awaited<ReturnType<typeof makeRealPack>>;

  beforeAll(async () => {
    real = await makeRealPack();
    server = await startPackServer({ commit: real.tip, pack: () => [real.pack] });
  });
  afterAll(() => server.close());

  it.each(Object.keys(DAMAGES) as Damage[])('%s: a typed error, and nothing left', async (damage) => {
    const problems: string[] = [];
    for (let at = 0; at < real.pack.length; at += 1000 * stride) {
      const problem = await problemWith(server, real.tip, DAMAGES[damage](real.pack, at), isCloneOf(real.tree));
      if (problem !== undefined) problems.push(`byte ${at}: ${problem}`);
    }
    expect(problems).toEqual([]);
  });
});
