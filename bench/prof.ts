import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { GitServer } from './git-server.js';
import { Arena } from './knowledge-base.js';
import { generateRepository } from './generate.js';
import { timed } from './measure.js';
const [size, out, interval, command='cycle'] = process.argv.slice(2) as [string, string, string, string];
const directory = '/dev/shm/lead/prof' + process.pid;
rmSync(directory, { recursive: true, force: true });
const repositories = join(directory, 'repositories');
mkdirSync(repositories, { recursive: true });
const server = await GitServer.start(repositories);
const arena = await Arena.create({ directory: join(directory, 'a'), repositories, server, home: join(directory, 'home'), name: 'x',
  prepare: async (to) => { mkdirSync(to, {recursive:true}); await generateRepository(to, Number(size), 1); return Number(size); } });
const p = () => command === 'status' ? arena.kbStatus() : command === 'sync' ? arena.kbSync() : arena.kbCycle();
for (let i = 0; i < 6; i++) { if (command === 'cycle') await arena.moveRemote('kb'); console.log(timed(p())); }
for (let i = 0; i < 3; i++) {
  if (command === 'cycle') await arena.moveRemote('kb');
  const { args, ...rest } = p();
  console.log('prof', timed({ ...rest, args: ['--cpu-prof', '--cpu-prof-interval', interval, '--cpu-prof-dir', out, ...args] }));
}
await server.stop();
rmSync(directory, { recursive: true, force: true });
process.exit(0);
