import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import type { Scene } from './lock-contender.js';
import { Child } from './lock-processes.js';

/** Where the processes of one side run: on one machine, yet as if elsewhere. Each start makes a new one. */
export interface Place {
  readonly name: string;
  /** Of unshare(1). */
  readonly flags: readonly string[];
  /** Whether the place has a host name of its own. */
  readonly isHost: boolean;
  /** What its processes are told beside what the test tells them. */
  readonly scene: Partial<Scene>;
}

/** A process table of its own: the same numbers mean other processes on the other side. */
const PROCESSES = ['--pid', '--fork', '--kill-child', '--mount-proc'];

/** Two containers of one pod's volume: same host name, same boot, but pids that mean nothing to each other. */
export const CONTAINERS: Place = { name: 'containers', flags: PROCESSES, isHost: false, scene: {} };

/**
 * Two hosts on one network file system. On real ones the first pid namespace goes by the same name everywhere, and
 * is named so here: the host alone tells them apart (the boot as well, but that we cannot have twice).
 */
export const HOSTS: Place = {
  name: 'hosts',
  flags: [...PROCESSES, '--net', '--uts'],
  isHost: true,
  scene: { pidNamespace: 'pid:[4026531836] time:[4026531834]' },
};

/** Not every machine has hostname(1), and not everybody may write to /proc/sys. */
const SET_HOST_NAME = '(hostname "$0" || echo "$0" >/proc/sys/kernel/hostname) 2>/dev/null && [ "$(uname -n)" = "$0" ]';

/** The command that runs `program` in a new place; `name` becomes its host name if it has one of its own. */
function commandIn(place: Place, rights: readonly string[], name: string, program: readonly string[]): string[] {
  const shell = place.isHost ? ['sh', '-c', `${SET_HOST_NAME} && exec "$@"`, name] : [];
  return [...rights, ...place.flags, ...shell, ...program];
}

/** What unshare needs beside the place's flags: nothing for root, where others may have namespaces a user one. */
function rightsFor(place: Place): readonly string[] | undefined {
  if (process.platform !== 'linux') return undefined;
  return [[], ['--user', '--map-root-user']].find((rights) => {
    return spawnSync('unshare', commandIn(place, rights, 'kb-test', ['true']), { stdio: 'ignore' }).status === 0;
  });
}

const rights = new Map([CONTAINERS, HOSTS].map((place) => [place, rightsFor(place)]));

export function canMake(place: Place): boolean {
  return rights.get(place) !== undefined;
}

/** Contenders in one place, which die with it. */
export class Side {
  private readonly child: Child;

  /**
   * @param script the bundled contender
   * @param scene `who` names the side, and its host if the place is one; its members are `WHO.NUMBER`
   */
  constructor(
    place: Place,
    private readonly scene: Scene,
    script: string,
    locker: 'kb' | 'any-pid',
    directory: string,
    members: number,
  ) {
    const told = JSON.stringify({ ...scene, ...place.scene });
    const program = [process.execPath, script, locker, 'side', directory, String(members), told];
    this.child = new Child('unshare', commandIn(place, rights.get(place) ?? [], scene.who, program));
  }

  get who(): string {
    return this.scene.who;
  }

  /** What went wrong in it, in its own words. */
  get said(): readonly string[] {
    return this.child.lines;
  }

  owns(who: string): boolean {
    return who.startsWith(`${this.who}.`);
  }

  /** SIGKILL for one member, another one takes its place. */
  killOne(): void {
    this.child.process.stdin.write('kill\n');
  }

  /** The whole place goes at once, as when its container is killed or its host loses power. */
  async kill(): Promise<void> {
    // Before the kill: from then on nothing that its members do is certain.
    appendFileSync(this.scene.log, `${this.who} killed ${process.hrtime.bigint()}\n`);
    this.child.process.kill('SIGKILL');
    await this.child.ended;
  }

  /** Everybody finishes the section they are in or wait for. */
  async end(): Promise<void> {
    this.child.process.stdin.end();
    await this.child.ended;
  }
}
