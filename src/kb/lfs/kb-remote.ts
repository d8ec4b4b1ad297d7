import { addressOf, isInsecure } from '../connect.js';
import type { Kb } from '../open.js';
import type { Upstream } from '../upstream.js';
import type { LfsOperation } from '../../lfs/endpoint.js';
import type { LfsRemote } from './bring.js';

/** The git remote that the large files of a KB belong to. @throws KbError as parseRemoteUrl */
export function lfsRemoteOf(kb: Kb, { remoteName, url, pushUrl = url }: Upstream, operation: LfsOperation): LfsRemote {
  const address = operation === 'upload' ? pushUrl : url;
  return { remoteName, remote: addressOf(kb, remoteName, address), insecure: isInsecure(kb, remoteName) };
}
