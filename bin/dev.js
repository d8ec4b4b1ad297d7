#!/usr/bin/env node
'use strict';

// Runs kb from its sources: TypeScript is transformed as it is imported, nothing has to be built.
const { readdirSync } = require('node:fs');
const { join } = require('node:path');

const root = join(__dirname, '..');

(async () => {
  const { registerTypeScript } = await import('../scripts/typescript-loader.mjs');
  registerTypeScript();
  const { start } = await import('../src/cli/start.ts');
  const names = readdirSync(join(root, 'src/commands')).map((file) => file.replace(/\.ts$/, ''));
  const commands = Object.fromEntries(names.map((name) => [name, () => import(`../src/commands/${name}.ts`)]));
  await start(`${root}/`, { commands, isUnbundled: true });
})();
