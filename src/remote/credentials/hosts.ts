import type { HostKind } from '../settings.js';
import { isLoopback } from '../url.js';

/**
 * Whether `GITHUB_TOKEN` and `GH_TOKEN` are for this host: CI systems set them for every job, and another host has no
 * business with them. Source: gh help environment (github.com and subdomains of ghe.com), and GITHUB_SERVER_URL of
 * GitHub Actions for servers of one's own.
 */
export function isGitHub(target: URL, env: NodeJS.ProcessEnv): boolean {
  if (isGitHubItself(target) || isLoopback(target)) return true;
  return isHostOf(env['GITHUB_SERVER_URL'], target);
}

/** Whether `GITLAB_TOKEN` is for this host. Source: GitLab Docs, "Predefined CI/CD variables". */
export function isGitLab(target: URL, env: NodeJS.ProcessEnv): boolean {
  if (target.host === 'gitlab.com' || isLoopback(target)) return true;
  const name = env['CI_SERVER_HOST']?.toLowerCase();
  const port = env['CI_SERVER_PORT'];
  const isNamed = name !== undefined && name !== '' && target.hostname === name;
  const portFits = target.port === '' ? !port || port === defaultPort(target) : port === target.port;
  return (isNamed && portFits) || isHostOf(env['CI_SERVER_URL'], target);
}

/** What software the host runs, where its name tells. */
export function kindOf(target: URL, env: NodeJS.ProcessEnv): HostKind | undefined {
  if (isGitHubItself(target) || isHostOf(env['GITHUB_SERVER_URL'], target)) return 'github';
  if (/^gitlab\./.test(target.hostname) || (!isLoopback(target) && isGitLab(target, env))) return 'gitlab';
  if (target.host === 'bitbucket.org') return 'bitbucket';
  if (target.host === 'codeberg.org' || /^(gitea|forgejo)\./.test(target.hostname)) return 'gitea';
  return undefined;
}

/**
 * The user name that a host wants beside a token, where nobody gave one. Sources: GitHub Docs, "Authenticating as a
 * GitHub App installation"; GitLab Docs, "OAuth 2.0 provider"; Bitbucket Support, "Using access tokens". Gitea takes
 * any name beside a token.
 */
export function tokenUser(kind: HostKind | undefined): string {
  if (kind === 'gitlab') return 'oauth2';
  return kind === 'bitbucket' ? 'x-token-auth' : 'x-access-token';
}

function isGitHubItself(target: URL): boolean {
  return target.host === 'github.com' || (target.port === '' && target.hostname.endsWith('.ghe.com'));
}

function isHostOf(address: string | undefined, target: URL): boolean {
  return address !== undefined && URL.canParse(address) && new URL(address).host === target.host;
}

function defaultPort(url: URL): string {
  return url.protocol === 'https:' ? '443' : '80';
}
