import { readPreferences } from '../../remote/http/preferences.js';
import type { HttpSettings } from '../../remote/settings.js';

/** Whether git's `http.extraHeader` brings credentials for the URL. @throws KbError E_USAGE when it is no header */
export function extraAuthorization(url: string, settings: HttpSettings | undefined, env: NodeJS.ProcessEnv): boolean {
  return settings !== undefined && readPreferences(url, settings, env).authorization !== undefined;
}
