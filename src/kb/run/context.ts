import { basename } from 'node:path';
import { resolveIdentity, type Identities } from '../../config/identity.js';
import type { Oid } from '../../git/ids.js';
import { formatSignature } from '../../git/objects/commit.js';
import type { Hold } from '../hold.js';
import type { Kb } from '../open.js';
import { upstreamOf } from '../upstream.js';
import type { Surroundings } from '../surroundings.js';

/** Who runs what, where, under which lock. */
export interface RunContext {
  readonly kb: Kb;
  readonly hold: Hold;
  readonly identities: Identities;
  /** Formatted committer, for reflogs. */
  readonly who: string;
  /** Throws when the lock is no longer ours; called before each write to the repository. */
  readonly fence: () => void;
  /** The program's name: its arguments could hold a secret, so they are named nowhere. */
  readonly program: string;
  readonly warn: (text: string) => void;
}

/** @throws KbError E_USAGE when nobody knows who commits, or with which key to sign: found out before the command starts, not after */
export function openContext(kb: Kb, hold: Hold, command: string): RunContext {
  const { env, clock } = kb.surroundings;
  const nowMs = clock.wall();
  const offsetMinutes = clock.offsetMinutes(nowMs);
  const identities = resolveIdentity({ settings: kb.settings, env, nowMs, offsetMinutes });
  kb.signer?.check();
  const report = onlyOnce(kb.surroundings.report);
  return {
    kb: { ...kb, surroundings: { ...kb.surroundings, report } },
    hold,
    identities,
    who: formatSignature(identities.committer),
    fence: () => hold.assertHeld(),
    program: basename(command)
      .replace(/\p{Cc}/gu, '?')
      .slice(0, 80),
    warn: (text) => report({ kind: 'warning', text }),
  };
}

/** The work tree is looked through more than once: what there is to say of it is said once. */
function onlyOnce(report: Surroundings['report']): Surroundings['report'] {
  const told = new Set<string>();
  return (event) => {
    if (event.kind === 'warning' && told.has(event.text)) return;
    if (event.kind === 'warning') told.add(event.text);
    report(event);
  };
}

/** The remote branch as last seen. */
export function trackedTip(kb: Kb, branch: string): Oid | undefined {
  const upstream = upstreamOf(kb, branch);
  return upstream === undefined ? undefined : kb.refs.resolve(upstream.tracking);
}
