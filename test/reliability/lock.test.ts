import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleContender, stress, takeovers, temporaryDirectory } from '../support/lock-processes.js';

const isLinux = process.platform === 'linux';
const HOUR = 3_600_000;
/** KB_RELIABILITY=3 runs three times as long. */
const scale = Number(process.env['KB_RELIABILITY'] ?? '1');

describe.skipIf(!isLinux)('the lock under many processes, at length (needs /proc)', () => {
  const work = temporaryDirectory();
  let script = '';
  beforeAll(async () => {
    script = await bundleContender(work.path);
  });
  afterAll(() => work.remove());

  it.each([
    [8, 3000, 150],
    [32, 1000, 50],
  ])(
    '%i contenders, %i critical sections, %i kills: no overlap',
    { timeout: HOUR },
    async (contenders, sections, kills) => {
      const result = await stress(script, 'kb', { contenders, sections: sections * scale, kills: kills * scale });
      console.log(
        `kb, ${contenders} contenders: ${result.sections} sections, ${result.kills} kills, ${result.overlaps.length} overlaps`,
      );
      expect(result).toMatchObject({ overlaps: [], failures: [] });
    },
  );

  it('one dead owner’s lock, 8 contenders at once: one gets in', { timeout: HOUR }, async () => {
    const rounds = 100 * scale;
    const result = await takeovers(script, 'kb', { contenders: 8, rounds });
    console.log(`kb: ${result.broken} of ${rounds} rounds broken`);
    expect(result).toEqual({ broken: 0, nobody: 0 });
  });

  it('sees proper-lockfile’s own stealing let several in (the seeded bug)', { timeout: HOUR }, async () => {
    // About one round in ten goes wrong: it is a matter of time, so it gets as many as it needs.
    let broken = 0;
    let rounds = 0;
    for (; broken === 0 && rounds < 400; rounds += 10) {
      broken = (await takeovers(script, 'plain', { contenders: 8, rounds: 10 })).broken;
    }
    console.log(`plain: ${broken} of the last 10 of ${rounds} rounds broken`);
    expect(broken).toBeGreaterThan(0);
  });
});
