#!/usr/bin/env node
// Runs kb from its sources: TypeScript is transformed as it is imported, nothing has to be built.
import { registerTypeScript } from '../scripts/typescript-loader.mjs';

registerTypeScript();
const { start } = await import('../src/cli/start.ts');
await start(new URL('..', import.meta.url), { commands: './src/commands' });
