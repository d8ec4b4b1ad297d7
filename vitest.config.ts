import { defineConfig } from 'vitest/config';

const setupFiles = ['test/support/seed.ts'];
const slow = { testTimeout: 180_000, hookTimeout: 180_000, setupFiles };

export default defineConfig({
  test: {
    // Not every level has files in every part of the history, and a pattern given by hand may match one level only.
    passWithNoTests: true,
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000, setupFiles } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          setupFiles,
        },
      },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...slow } },
      {
        test: {
          name: 'reliability',
          include: ['test/reliability/**/*.test.ts'],
          testTimeout: 3_600_000,
          setupFiles,
          hookTimeout: 180_000,
        },
      },
    ],
  },
});
