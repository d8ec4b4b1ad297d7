import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleContender, stress, takeovers, temporaryDirectory } from '../support/lock-processes.js';

// A sample of test/reliability/lock.test.ts, small enough for every run.
const isLinux = process.platform === 'linux';

describe.skipIf(!isLinux)('the lock under many processes (needs /proc)', () => {
  const work = temporaryDirectory();
  let script = '';
  beforeAll(async () => {
    script = await bundleContender(work.path);
  });
  afterAll(() => work.remove());

  it('lets nobody in while somebody is inside, whoever is killed', async () => {
    const result = await stress(script, 'kb', { contenders: 6, sections: 120, kills: 12 });
    expect(result).toMatchObject({ overlaps: [], failures: [] });
    expect(result.sections).toBeGreaterThanOrEqual(120);
    expect(result.kills).toBe(12);
  });

  it('lets one in of all who find a dead owner’s lock at once', async () => {
    expect(await takeovers(script, 'kb', { contenders: 6, rounds: 4 })).toEqual({ broken: 0, nobody: 0 });
  });
});
