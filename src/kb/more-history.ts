import type { Oid } from '../git/ids.js';
import type { Remote } from '../remote/remote.js';
import type { DeepeningSteps } from './deepen.js';
import type { Kb } from './open.js';
import { checkedOutUpstream } from './upstream.js';

/**
 * What a shallow KB lacks of its history, fetched for a question about it; the code for that is loaded then. Takes no
 * lock: what comes in is named by nothing but the list of shallow commits, which git's own lock guards.
 */
export class MoreHistory {
  private remote: Remote | undefined;

  constructor(
    private readonly kb: Kb,
    /** Ends the sentence "fetching more history, …". */
    private readonly why: string,
    private readonly steps: DeepeningSteps,
  ) {}

  /** History ends here, and goes on elsewhere. */
  get isLeft(): boolean {
    return this.kb.shallow().size > 0;
  }

  /**
   * Fetches below the ends of `tip`'s history until there is enough, or the steps are gone. Nothing where history is
   * whole, where the KB has no remote, and where it is not to be asked (KB_GIT_ENABLED).
   * @throws KbError E_NETWORK, E_AUTH, E_STORAGE; E_UNSAFE_STATE when native git holds `shallow.lock`
   */
  async bring(tip: Oid, isEnough: () => boolean): Promise<void> {
    const { kb, why, steps } = this;
    if (!this.isLeft || !kb.settings.gitEnabled) return;
    const upstream = checkedOutUpstream(kb);
    if (upstream === undefined) return;
    const [{ connect }, { deepenUntil }] = await Promise.all([import('./connect.js'), import('./deepen.js')]);
    this.remote ??= await connect(kb, upstream);
    await deepenUntil(kb, this.remote, { tip, why, isEnough, steps });
  }

  async close(): Promise<void> {
    await this.remote?.close();
  }
}
