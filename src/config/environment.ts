import { SETTINGS, type SettingRow } from './settings-schema.js';

export interface EnvironmentVariable {
  readonly name: string;
  /** One sentence. */
  readonly description: string;
  /** What holds when it is not set, as a user would write it. */
  readonly default?: string;
  readonly secret: boolean;
}

/** Variables that no setting of kb's own stands behind. */
const OTHERS: readonly EnvironmentVariable[] = [
  { name: 'NO_COLOR', description: 'Any value turns colour off.', secret: false },
  { name: 'FORCE_COLOR', description: 'Any value but 0 turns colour on, also in a pipe.', secret: false },
  { name: 'CI', description: 'Any value turns animation off: one plain line a step.', secret: false },
  {
    name: 'KB_TOPICS_ONLY',
    description: 'true: `kb run` starts its command in topics/ and fails if it changes a file elsewhere.',
    default: 'false',
    secret: false,
  },
  {
    name: 'KB_LOCK_TOKEN',
    description: 'Set by `kb run` for its command: kb inside of it works under the same lock.',
    secret: false,
  },
  {
    name: 'KB_NO_AUTO_GC',
    description: 'If set, kb starts no `kb gc --auto` in the background after an edit; nor does it where CI is set.',
    secret: false,
  },
  {
    name: 'KB_GIT_USERNAME',
    description: 'User name that goes with KB_GIT_AUTH_TOKEN or the password file.',
    secret: false,
  },
  {
    name: 'KB_GIT_PASSWORD_FILE',
    description: 'File whose first line is the password or token for http(s) remotes; read again each time.',
    secret: false,
  },
  { name: 'KB_GITHUB_APP_ID', description: 'Number or client id of a GitHub App that has access.', secret: false },
  { name: 'KB_GITHUB_APP_INSTALLATION_ID', description: "Number of the GitHub App's installation.", secret: false },
  {
    name: 'KB_GITHUB_APP_PRIVATE_KEY_FILE',
    description: "File with the GitHub App's private key (PEM).",
    secret: false,
  },
  {
    name: 'KB_GITHUB_API_URL',
    description:
      "Address of the API that gives out the GitHub App's tokens. Else GITHUB_API_URL, else that of the host.",
    secret: false,
  },
  { name: 'HTTPS_PROXY', description: 'Proxy for https remotes: http://[user:password@]host:port.', secret: false },
  { name: 'HTTP_PROXY', description: 'Proxy for http remotes; not read where REQUEST_METHOD is set.', secret: false },
  { name: 'ALL_PROXY', description: 'Proxy for both where the one above is not set.', secret: false },
  {
    name: 'NO_PROXY',
    description: 'Hosts to reach without proxy: names, name:port, addresses, CIDR blocks, or *.',
    secret: false,
  },
  { name: 'GIT_SSL_CAINFO', description: 'File with the certificate authorities to trust (PEM).', secret: false },
  { name: 'GIT_SSL_CAPATH', description: 'Folder with the certificate authorities to trust (PEM).', secret: false },
  { name: 'GIT_SSL_CERT', description: "File with the client's certificate (PEM).", secret: false },
  { name: 'GIT_SSL_KEY', description: "File with the client certificate's key (PEM).", secret: false },
  { name: 'GIT_SSL_NO_VERIFY', description: "Any value: the server's certificate is not checked.", secret: false },
  {
    name: 'NODE_EXTRA_CA_CERTS',
    description: 'File with more certificate authorities to trust; read by Node.',
    secret: false,
  },
  { name: 'NETRC', description: 'File read instead of ~/.netrc.', default: '~/.netrc', secret: false },
  { name: 'GIT_TERMINAL_PROMPT', description: '0: nobody is asked for a password on the terminal.', secret: false },
  {
    name: 'GIT_SSH_COMMAND',
    description: 'Command line for the shell that is called as ssh, in place of core.sshCommand.',
    secret: false,
  },
  {
    name: 'GIT_SSH',
    description: 'Program that is called as ssh where neither GIT_SSH_COMMAND nor core.sshCommand is set.',
    default: 'ssh',
    secret: false,
  },
  {
    name: 'GIT_SSH_VARIANT',
    description:
      'How that program takes its arguments: ssh, plink, putty, tortoiseplink, simple; in place of ssh.variant.',
    default: 'auto',
    secret: false,
  },
  { name: 'VISUAL', description: 'Editor for `kb edit` and `kb note --edit`.', secret: false },
  { name: 'EDITOR', description: 'Editor for `kb edit` and `kb note --edit` where VISUAL is not set.', secret: false },
  {
    name: 'XDG_CONFIG_HOME',
    description: 'Where the user configuration kb/config.yaml and the list of registered KBs are.',
    default: '~/.config',
    secret: false,
  },
  { name: 'GIT_CONFIG_GLOBAL', description: "File read instead of the user's git configuration.", secret: false },
  {
    name: 'GIT_CONFIG_SYSTEM',
    description: "File read instead of the system's git configuration.",
    default: '/etc/gitconfig',
    secret: false,
  },
  { name: 'GIT_CONFIG_NOSYSTEM', description: "true: the system's git configuration is not read.", secret: false },
  {
    name: 'GIT_CONFIG_COUNT',
    description: 'Number of pairs GIT_CONFIG_KEY_n and GIT_CONFIG_VALUE_n that override git configuration files.',
    default: '0',
    secret: false,
  },
];

/** Every environment variable that kb honours, for `kb help environment`. */
export const ENVIRONMENT: readonly EnvironmentVariable[] = [...SETTINGS.flatMap(variablesOf), ...OTHERS];

function variablesOf(row: SettingRow): EnvironmentVariable[] {
  return (row.env ?? []).map((name, position, all) => ({
    name,
    description:
      position === 0
        ? row.description
        : `${row.description} Read when ${all.slice(0, position).join(' and ')} ${position === 1 ? 'is' : 'are'} not set.`,
    ...(row.default === undefined ? {} : { default: row.default }),
    secret: row.secret ?? false,
  }));
}
