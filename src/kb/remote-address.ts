import { GitConfig } from '../config/git-config.js';
import { insteadOf } from '../config/git-instead-of.js';
import { homeDirectory } from '../config/locations.js';
import { parseRemoteUrl, type RemoteUrl } from '../remote/url.js';
import type { Surroundings } from './surroundings.js';

export interface TypedRemote {
  /** With `insteadOf` applied: whom to talk to. */
  readonly url: RemoteUrl;
  /** What `remote.<name>.url` is to hold: as it was typed, without credentials. */
  readonly configuredUrl: string;
}

/** An address that was typed for a KB that is not there yet. @throws KbError E_USAGE, E_AUTH as parseRemoteUrl */
export function typedRemote({ disk, env, cwd }: Surroundings, address: string, insecure: boolean): TypedRemote {
  const rewritten = insteadOf(GitConfig.load({ disk, env, home: homeDirectory(env) }), address);
  const url = parseRemoteUrl(rewritten, { cwd, insecure });
  return { url, configuredUrl: rewritten === address ? url.href : withoutUserinfo(address) };
}

/** A name or password in an address that is kept would be written to `.git/config`. */
function withoutUserinfo(address: string): string {
  return address.replace(/^(https?:\/\/)[^/?#]*@/i, '$1');
}
