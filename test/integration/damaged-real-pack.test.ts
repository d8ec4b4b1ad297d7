import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAMAGES, problemWith, type Damage } from '../support/damaged-pack.js';
import { nativeGit } from '../support/native-git.js';
import { isCloneOf, makeRealPack } from '../support/real-pack.js';
import { startPackServer, type PackServer } from '../support/pack-server.js';

/** Every 1,000th byte is in test/reliability/damaged-packs.test.ts; of those places this takes so many. */
const PLACES = 20;

describe.skipIf(!nativeGit.available)('a pack of native git, damaged on its way (needs native git)', () => {
  let server: PackServer;
  let real: Awaited<ReturnType<typeof makeRealPack>>;

  beforeAll(async () => {
    real = await makeRealPack();
    server = await startPackServer({ commit: real.tip, pack: () => [real.pack] });
  });
  afterAll(() => server.close());

  it('is cloned when it is not', async () => {
    expect(await problemWith(server, real.tip, real.pack, isCloneOf(real.tree))).toBeUndefined();
  });

  it.each(Object.keys(DAMAGES) as Damage[])('%s: a typed error, and nothing left', async (damage) => {
    const thousands = Math.floor(real.pack.length / 1000);
    expect(thousands).toBeGreaterThan(200);
    const problems: string[] = [];
    for (let place = 0; place < PLACES; place++) {
      const at = 1000 * Math.floor((thousands * place) / PLACES);
      const problem = await problemWith(server, real.tip, DAMAGES[damage](real.pack, at), isCloneOf(real.tree));
      if (problem !== undefined) problems.push(`byte ${at}: ${problem}`);
    }
    expect(problems).toEqual([]);
  });
});
