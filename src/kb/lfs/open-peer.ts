import { parseGitConfig } from '../../config/git-config-syntax.js';
import { normalizeKey } from '../../config/git-config.js';
import { insteadOf } from '../../config/git-instead-of.js';
import { KbError } from '../../errors.js';
import type { Oid } from '../../git/ids.js';
import type { ObjectSource } from '../../git/objects/object.js';
import { findEntry } from '../../git/objects/tree.js';
import { findEndpoint, type Endpoint, type LfsConfig, type LfsOperation } from '../../lfs/endpoint.js';
import type { LfsPeer } from '../../lfs/peer.js';
import type { Granted } from '../../lfs/ssh-authenticate.js';
import type { IncomingWatch } from '../../lfs/store.js';
import type { RemoteUrl } from '../../remote/url.js';
import { remoteOptions } from '../connect.js';
import { sshSettings } from '../ssh-settings.js';
import type { RepoPath } from '../../git/paths.js';
import { lfsStore, type LfsPlace } from './place.js';

export interface PeerQuestion {
  readonly operation: LfsOperation;
  readonly remoteName: string;
  /** The git remote for this operation. */
  readonly remote: RemoteUrl;
  readonly insecure: boolean;
  /** The tree whose `.lfsconfig` counts. */
  readonly tree: Oid;
  readonly objects: ObjectSource;
  /** Looks after the volume while files come in. */
  readonly watch?: IncomingWatch;
  readonly signal?: AbortSignal | undefined;
}

const LFSCONFIG = '.lfsconfig' as RepoPath;
const MAX_CONFIG_BYTES = 64 * 1024;

/**
 * Whoever has the large files of the remote. No request is made yet; of an ssh remote the server is asked where they are.
 * @throws KbError E_USAGE, E_AUTH, E_NETWORK, E_UNSAFE_STATE as findEndpoint
 */
export async function openPeer(place: LfsPlace, question: PeerQuestion): Promise<LfsPeer> {
  const { surroundings, gitConfig, settings, root } = place;
  const { operation, remoteName, remote, insecure, signal = surroundings.signal } = question;
  const endpoint = findEndpoint({
    operation,
    remoteName,
    remote,
    config: gitConfig,
    repository: readLfsConfig(question),
    insteadOf: (url) => insteadOf(gitConfig, url),
    cwd: root,
    insecure,
  });
  tellForeignHost(place, endpoint, remote);
  const store = lfsStore({ disk: surroundings.disk, gitDir: place.gitDir, gitConfig }, question.watch);
  const common = remoteOptions(surroundings, { gitConfig: () => gitConfig, settings, remoteName });
  const options = {
    ...common,
    ...(signal === undefined ? {} : { signal }),
    tokenHost: common.tokenHost ?? ownTokenHost(endpoint, remote),
    insecure,
  };
  const { url } = endpoint;
  if (url.kind === 'local') {
    const { openLocalPeer } = await import('../../lfs/local-peer.js');
    return openLocalPeer(url.href, store, options);
  }
  const { openHttpPeer } = await import('../../lfs/http-peer.js');
  // A file may take longer than a cycle is meant to: what counts is that bytes move.
  const http = {
    ...options,
    timeoutMs: Infinity,
    idleTimeoutMs: settings.gitTimeoutMs,
    wall: () => surroundings.clock.wall(),
    random: surroundings.random,
  };
  if (url.ssh === undefined) return openHttpPeer(url, store, http);
  const { authenticateOverSsh, renewedHeaders } = await import('../../lfs/ssh-authenticate.js');
  const address = url.ssh;
  const ask = (): Promise<Granted> =>
    authenticateOverSsh(url, address, operation, {
      ...options,
      ssh: () => sshSettings(gitConfig, remoteName),
      timeoutMs: settings.gitTimeoutMs,
      wall: http.wall,
    });
  const granted = await ask();
  return openHttpPeer(granted.endpoint, store, { ...http, headers: renewedHeaders(granted, ask, http.wall) });
}

/** Without includes: what is in the repository leads to no other file. */
function readLfsConfig({ objects, tree }: PeerQuestion): LfsConfig | undefined {
  const entry = findEntry(objects, tree, LFSCONFIG);
  if (entry === undefined || (entry.mode !== 0o100644 && entry.mode !== 0o100755)) return undefined;
  const { data } = objects.read(entry.oid);
  if (data.length > MAX_CONFIG_BYTES) throw new KbError('E_USAGE', `${LFSCONFIG} of the repository is too long`);
  const values = new Map<string, string>();
  for (const { items } of parseGitConfig(data.toString('latin1'), LFSCONFIG))
    for (const { key, value } of items) values.set(normalizeKey(key), value ?? 'true');
  return { get: (key) => values.get(normalizeKey(key)) };
}

/**
 * The token in the environment is for the host of the git remote. Invariant: another host does not get it, whoever
 * named that host; the user can give it one of its own (`hosts` in config.yaml). (test: "another host gets no token")
 */
function ownTokenHost({ isFromRepository }: Endpoint, remote: RemoteUrl): string | undefined {
  if (remote.kind === 'http') return new URL(remote.href).hostname;
  if (remote.ssh !== undefined) return remote.ssh.host;
  // A remote on this machine has no host; only one that the repository names gets nothing.
  return isFromRepository ? '' : undefined;
}

/** Where files go, or come from, that nobody asked for by name should not be a surprise. */
function tellForeignHost(
  { surroundings }: LfsPlace,
  { url, source, isFromRepository }: Endpoint,
  remote: RemoteUrl,
): void {
  if (!isFromRepository || source === undefined) return;
  if (remote.kind === 'http' && new URL(remote.href).host === new URL(url.href).host) return;
  surroundings.report({ kind: 'warning', text: `large files are at ${url.display} (${source})` });
}
