import { writeDocs } from './docs.js';

process.stdout.write(`${writeDocs()}\n`);
