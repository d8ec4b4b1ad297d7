#!/usr/bin/env node
'use strict';

// Runs kb from its sources: TypeScript is transformed as it is imported, nothing has to be built.
(async () => {
  const { registerTypeScript } = await import('../scripts/typescript-loader.mjs');
  registerTypeScript();
  const { start } = await import('../src/cli/start.ts');
  await start(`${__dirname}/../`, { commands: './src/commands' });
})();
