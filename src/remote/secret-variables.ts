/** Names under which the contract's tokens and other programs' secrets travel. */
const SECRET_NAME = /TOKEN|PASSW|SECRET|CREDENTIAL|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY|ASKPASS|SSH_AUTH_SOCK/i;
/** Variables of kb, of its sidecar mode and of session tools. */
const OWN_NAME = /^(KB_|GITSYNC_|GITHUB_|GITLAB_|GH_|SESSION_|REPO_URL$)/i;
/** `https://user:password@proxy`, or a key in PEM. */
const SECRET_VALUE = /:\/\/[^\s/@]*:[^\s/@]*@|-----BEGIN [A-Z ]*PRIVATE KEY-----/;

export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

export function isOwnName(name: string): boolean {
  return OWN_NAME.test(name);
}

export function isSecretValue(value: string): boolean {
  return SECRET_VALUE.test(value);
}
