import { loadSettings, type Setting } from '../config/settings.js';
import { isKbError } from '../errors.js';
import { openKb } from './open.js';
import type { OpenRequest } from './ground.js';
import type { Surroundings } from './surroundings.js';

export { ENVIRONMENT, type EnvironmentVariable } from '../config/environment.js';

/** Every setting that has a value, with its source; secrets masked. Works outside a KB too. */
export async function readEffectiveSettings(surroundings: Surroundings, request: OpenRequest): Promise<Setting[]> {
  try {
    const kb = await openKb(surroundings, request);
    kb.objects.close();
    return kb.explainSettings();
  } catch (error) {
    if (!isKbError(error, 'E_NO_KB') || request.kb !== undefined) throw error;
    const { disk, env } = surroundings;
    return (await loadSettings({ disk, env, flags: request.flags ?? {} })).explain();
  }
}
