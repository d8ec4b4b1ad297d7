#!/usr/bin/env node
// Runs kb from its sources: TypeScript is transformed as it is imported, nothing has to be built.
import { register } from 'node:module';

register('../scripts/typescript-loader.mjs', import.meta.url);
const { start } = await import('../src/cli/start.ts');
await start(new URL('..', import.meta.url), { commands: './src/commands' });
