import { describe, it } from 'vitest';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { modelChecker } from '../support/model-check.js';

/** With KB_RELIABILITY=0.1 a tenth. */
const runs = Math.max(1, Math.round(500 * Number(process.env['KB_RELIABILITY'] ?? '1')));

describe.skipIf(!hasGitHttpBackend())('a KB with many processes (needs native git with http-backend)', () => {
  const check = modelChecker();

  it(`keeps what it promised in ${runs} histories of up to 40 steps`, () =>
    check({ runs, steps: 40, limitMs: 3_000_000 }));
});
