import { isOwnName, isSecretName, isSecretValue } from '../secret-variables.js';

/** What tells ssh how to ask the person at the screen, and where the keys are: paths and names, no secrets. */
const SSH_NAME = /^(SSH_(AUTH_SOCK|AGENT_PID|ASKPASS|ASKPASS_REQUIRE|SK_PROVIDER|SK_HELPER)|GIT_SSH.*|GIT_ASKPASS)$/;
/** Native git takes those away that point at a repository or its configuration (git-rev-parse(1), --local-env-vars). */
const GIT_NAME = /^GIT_/i;

/**
 * The environment for ssh, which is the user's own program: all of the user's but for what could be a token or
 * password. ssh needs none, and `SendEnv` of a configuration could send any variable to the server.
 * @param protocolVersion for the server, as `SendEnv=GIT_PROTOCOL` passes it on
 */
export function sshEnvironment(env: NodeJS.ProcessEnv, protocolVersion: 2 | undefined): Record<string, string> {
  const clean: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || isSecretValue(value)) continue;
    if (SSH_NAME.test(name)) clean[name] = value;
    else if (!isSecretName(name) && !isOwnName(name) && !GIT_NAME.test(name)) clean[name] = value;
  }
  if (protocolVersion !== undefined) clean['GIT_PROTOCOL'] = `version=${protocolVersion}`;
  return clean;
}
