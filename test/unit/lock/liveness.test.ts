import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { nodeDisk, type Disk } from '../../../src/disk/disk.js';
import { livenessProbe } from '../../../src/lock/liveness.js';
import { currentProcess } from '../../../src/lock/owner.js';
import { madeUpOwner, madeUpProcess } from '../../support/lock-fixtures.js';

const me = madeUpProcess('ann');
const MOUNT = '22 1 0:20 / /proc rw,nosuid - proc proc rw';

/** A disk whose /proc is a table of paths; a value that is an error code is thrown. */
function procDisk(files: Readonly<Record<string, string>>): Disk {
  const readFileSync = ((path: string) => {
    const content = files[path] ?? 'ENOENT';
    if (/^E[A-Z]+$/.test(content)) throw Object.assign(new Error(content), { code: content });
    return content;
  }) as typeof nodeDisk.readFileSync;
  return { ...nodeDisk, readFileSync };
}

function stat(state: string, startTime: string): string {
  return `4000000 (no) de) ${state} ${Array.from({ length: 18 }, () => '0').join(' ')} ${startTime} 0 0`;
}

const STAT = '/proc/4000000/stat';
const MOUNTS = '/proc/self/mountinfo';

describe('livenessProbe on Linux', () => {
  it.each<[string, Record<string, string>, Partial<typeof me>, string]>([
    ['the same process', { [STAT]: stat('S', '1') }, {}, 'alive'],
    ['its pid used again', { [STAT]: stat('S', '2') }, {}, 'dead'],
    ['a zombie', { [STAT]: stat('Z', '1') }, {}, 'dead'],
    ['a process being removed', { [STAT]: stat('X', '1') }, {}, 'dead'],
    ['no such pid', { [MOUNTS]: MOUNT }, {}, 'dead'],
    ['a pid that ended between open and read', { [STAT]: 'ESRCH' }, {}, 'dead'],
    ['no such pid, but processes are hidden', { [MOUNTS]: `${MOUNT},hidepid=2` }, {}, 'unknown'],
    ['no such pid, but processes are hidden (by name)', { [MOUNTS]: `${MOUNT},hidepid=invisible` }, {}, 'unknown'],
    ['no such pid, processes shown explicitly', { [MOUNTS]: `${MOUNT},hidepid=0` }, {}, 'dead'],
    ['no such pid, the upper of two mounts hides', { [MOUNTS]: `${MOUNT}\n${MOUNT},hidepid=2` }, {}, 'unknown'],
    ['no such pid, and no /proc', {}, {}, 'unknown'],
    ['no such pid, and /proc not mounted', { [MOUNTS]: '22 1 0:20 / /sys rw - sysfs sysfs rw' }, {}, 'unknown'],
    ['a stat that may not be read', { [STAT]: 'EACCES' }, {}, 'unknown'],
    ['a stat that makes no sense', { [STAT]: 'x' }, {}, 'unknown'],
    ['a record without a start time', { [STAT]: stat('S', '1') }, { startTime: '' }, 'unknown'],
    ['another host', { [MOUNTS]: MOUNT }, { host: 'other' }, 'unknown'],
    ['another boot', { [MOUNTS]: MOUNT }, { bootId: 'other' }, 'unknown'],
    ['another pid namespace', { [MOUNTS]: MOUNT }, { pidNamespace: 'pid:[2]' }, 'unknown'],
  ])('is dead only where that is proved: %s', (_title, files, change, expected) => {
    const probe = livenessProbe(procDisk(files), me, 'linux');
    expect(probe({ ...madeUpOwner('ann'), ...change })).toBe(expected);
  });

  it.each(['bootId', 'pidNamespace'] as const)('proves nothing for an observer without %s', (field) => {
    const blind = { ...me, [field]: '' };
    const probe = livenessProbe(procDisk({ [MOUNTS]: MOUNT }), blind, 'linux');
    expect(probe({ ...madeUpOwner('ann'), [field]: '' })).toBe('unknown');
  });

  it.skipIf(process.platform !== 'linux')('tells a living, an ended and a reused pid apart (needs /proc)', async () => {
    const self = currentProcess(nodeDisk);
    const probe = livenessProbe(nodeDisk, self);
    expect(probe({ ...madeUpOwner('ann'), ...self })).toBe('alive');
    expect(probe({ ...madeUpOwner('ann'), ...self, startTime: '1' })).toBe('dead');
    const child = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => child.once('exit', resolve));
    expect(probe({ ...madeUpOwner('ann'), ...self, pid: child.pid ?? 0 })).toBe('dead');
  });
});

describe('livenessProbe elsewhere', () => {
  it('asks by signal 0', async () => {
    const probe = livenessProbe(procDisk({}), me, 'darwin');
    expect(probe({ ...madeUpOwner('ann'), pid: process.pid })).toBe('alive');
    const child = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => child.once('exit', resolve));
    expect(probe({ ...madeUpOwner('ann'), pid: child.pid ?? 0 })).toBe('dead');
    expect(probe({ ...madeUpOwner('ann'), pid: child.pid ?? 0, host: 'other' })).toBe('unknown');
  });
});
