import { sweepDeadLocks } from '../disk/lock-marks.js';
import { deadWordProbe } from '../lock/process-word.js';
import type { Hold } from './hold.js';
import type { Kb } from './open.js';
import { finishInterruptedAdvance } from './recover-advance.js';
import { finishInterruptedSwitch } from './recover-switch.js';
import { hasInterruptedRun, recoverInterruptedRun, sweepInside } from './run/recover.js';

/**
 * Brings to an end what killed processes have begun. Called under the KB's lock, before anything of it is read: half
 * an advance or half a switch must never be taken for somebody's edits.
 * @param who formatted committer, for reflogs
 * @throws KbError E_UNSAFE_STATE, E_STORAGE, E_LOCK_LOST
 */
export function mend(kb: Kb, hold: Hold, who: string): void {
  const { disk, identity } = kb.surroundings;
  const context = { who, fence: () => hold.assertHeld() };
  sweepDeadLocks(disk, kb.gitDir, deadWordProbe(disk, identity), kb.lockMarks.word);
  finishInterruptedAdvance(kb, context);
  finishInterruptedSwitch(kb, context);
  if (!hold.isNested) sweepInside(kb);
  if (hasInterruptedRun(kb)) recoverInterruptedRun(kb, context);
}
