/** Names under which the contract's tokens and other programs' secrets travel. */
const SECRET_NAME = /TOKEN|PASSW|SECRET|CREDENTIAL|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY|ASKPASS|SSH_AUTH_SOCK/i;
/** Variables of kb, of its sidecar mode and of session tools: a hook of the remote has no business with them. */
const OWN_NAME = /^(KB_|GITSYNC_|GITHUB_|GITLAB_|GH_|SESSION_|REPO_URL$)/i;
/** Native git, too, takes those that point at a repository or at configuration away (git-rev-parse(1), --local-env-vars). */
const GIT_NAME = /^GIT_(?!AUTHOR_|COMMITTER_)/i;
/** `https://user:password@proxy` */
const URL_WITH_CREDENTIALS = /:\/\/[^\s/@]*:[^\s/@]*@/;

/**
 * The environment for a hook of the remote: the caller's, because hooks need PATH, HOME and the like,
 * without whatever could be a secret. The hook runs in the repository, as under `git receive-pack`.
 */
export function hookEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const clean: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || SECRET_NAME.test(name) || OWN_NAME.test(name) || GIT_NAME.test(name)) continue;
    if (!URL_WITH_CREDENTIALS.test(value)) clean[name] = value;
  }
  return { ...clean, GIT_DIR: '.' };
}
