import { parse } from 'node:path';
import { isGcDue } from '../kb/gc-due.js';
import type { Kb } from '../kb/open.js';
import { afterResult } from './after-result.js';

/**
 * When the command has told its result, starts `kb gc --auto` in the background if it is due. The process is nobody's
 * child: it has no terminal, holds no folder, and knows no token.
 */
export function collectGarbageLater(kb: Kb): void {
  afterResult(async () => {
    const program = process.argv[1];
    if (program === undefined || !isGcDue(kb)) return;
    const { spawn } = await import('node:child_process');
    const { gcEnvironment } = await import('../kb/gc-environment.js');
    const child = spawn(
      process.execPath,
      [...process.execArgv, program, 'gc', '--auto', '--quiet', '--kb', kb.root],
      // a working directory on the KB's volume would keep it from being unmounted
      {
        detached: true,
        stdio: 'ignore',
        cwd: parse(kb.root).root,
        env: gcEnvironment(kb.surroundings.env),
        windowsHide: true,
      },
    );
    child.on('error', () => undefined);
    child.unref();
  });
}
