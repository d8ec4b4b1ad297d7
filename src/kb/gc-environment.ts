import { isSecretName, isSecretValue } from '../remote/secret-variables.js';

/** The environment of a gc in the background: it asks no remote, so it gets nothing that could be a secret. */
export function gcEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value]) => name !== 'KB_PATH' && !isSecretName(name) && !isSecretValue(value ?? ''),
    ),
  );
}
