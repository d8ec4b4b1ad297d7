import { isOwnName, isSecretName, isSecretValue } from '../secret-variables.js';

/** Native git, too, takes those that point at a repository or at configuration away (git-rev-parse(1), --local-env-vars). */
const GIT_NAME = /^GIT_(?!AUTHOR_|COMMITTER_)/i;

/**
 * The environment for a hook of the remote: the caller's, because hooks need PATH, HOME and the like,
 * without whatever could be a secret. The hook runs in the repository, as under `git receive-pack`.
 */
export function hookEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const clean: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || isSecretName(name) || isOwnName(name) || GIT_NAME.test(name)) continue;
    if (!isSecretValue(value)) clean[name] = value;
  }
  return { ...clean, GIT_DIR: '.' };
}
