import { describe, it } from 'vitest';
import { hasGitHttpBackend } from '../support/http-backend.js';
import { modelChecker } from '../support/model-check.js';

describe.skipIf(!hasGitHttpBackend())('a KB with many processes (needs native git with http-backend)', () => {
  const check = modelChecker();

  // The whole form: test/reliability/model.test.ts
  it('keeps what it promised, whatever is killed, stopped, damaged or pushed from elsewhere', () =>
    check({ runs: 25, steps: 12, limitMs: 100_000 }));
});
