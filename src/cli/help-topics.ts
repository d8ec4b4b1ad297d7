import { ENVIRONMENT } from '../kb/effective-settings.js';
import { ERROR_CODES, exitCodeOf, hintOf } from '../errors.js';

export interface HelpTopic {
  readonly name: string;
  readonly lines: () => string[];
}

/** Pages of `kb help TOPIC`. What stands in a table of the code is printed from that table. */
export const TOPICS: readonly HelpTopic[] = [
  { name: 'environment', lines: environment },
  { name: 'exit-codes', lines: exitCodes },
  { name: 'formatting', lines: () => FORMATTING },
  { name: 'auth', lines: () => AUTH },
  { name: 'conflicts', lines: () => CONFLICTS },
];

export function findTopic(name: string): HelpTopic | undefined {
  return TOPICS.find((topic) => topic.name === name);
}

function environment(): string[] {
  const rows = ENVIRONMENT.flatMap(({ name, description, default: fallback }) => [
    name,
    `    ${description}${fallback === undefined ? '' : ` Default: ${fallback}.`}`,
  ]);
  return [
    'Precedence: flag > environment > kb.yaml in the KB > user config > git config > default.',
    'See the values in effect with: kb config',
    '',
    ...rows,
  ];
}

function exitCodes(): string[] {
  return [
    '  0  done; for an edit: it landed',
    ...ERROR_CODES.map((code) => `${String(exitCodeOf(code)).padStart(3)}  ${code.padEnd(15)}  ${hintOf(code)}`),
  ];
}

const FORMATTING = [
  'Results go to stdout, everything else to stderr. In a pipe there is no animation and no colour.',
  '--json prints one object: {"ok": true, …}, or {"ok": false, "error": {"code", "message", "hint", "exitCode", "retryable", "details"}}.',
  '--quiet prints results and errors only; --verbose prints each step; KB_LOG_FORMAT=json makes each line on stderr a JSON object.',
  'Durations are written 500ms, 30s, 5m, 2h; a bare number is seconds.',
];

const AUTH = [
  'For http(s) remotes, tried in this order, each only for its own host; what the host refuses (401) is followed by the next:',
  '   1. user and password in the URL (taken out before the URL is stored)',
  '   2. KB_GIT_AUTH_TOKEN: for the host of KB_GIT_REPO_URL where that is set, else of the remote',
  '   3. hosts.HOST in the user configuration (kb/config.yaml): tokenEnv, tokenFile or tokenCommand',
  '   4. GITHUB_TOKEN, then GH_TOKEN: for github.com, *.ghe.com, the host in GITHUB_SERVER_URL, and this machine itself',
  '   5. GITLAB_TOKEN: for gitlab.com, the host in CI_SERVER_HOST or CI_SERVER_URL, and this machine itself',
  '   6. the file that KB_GIT_PASSWORD_FILE names, read again each time; for the same host as KB_GIT_AUTH_TOKEN',
  '   7. credential.helper of the git configuration (credential.<url>.* too); git itself is not needed',
  '   8. ~/.netrc',
  '   9. a GitHub App: KB_GITHUB_APP_ID, KB_GITHUB_APP_INSTALLATION_ID, KB_GITHUB_APP_PRIVATE_KEY_FILE',
  '  10. a question on the terminal; never in a pipe, with CI, with --json, or with GIT_TERMINAL_PROMPT=0',
  'From 7 on they are asked only once the host has asked. kb stores nothing; helpers keep what came from them or the terminal.',
  'The user name is that of the URL, else KB_GIT_USERNAME, else GITHUB_USERNAME (not for GitLab and Bitbucket), else one',
  'that the host accepts beside a token: x-access-token, oauth2 (GitLab), x-token-auth (Bitbucket).',
  'The user configuration of a host:',
  '  hosts:',
  '    git.example.com:',
  '      kind: gitlab                   # github, gitlab, gitea or bitbucket; where its name does not tell',
  '      username: ann',
  '      tokenEnv: EXAMPLE_TOKEN        # or tokenFile: ~/.secrets/example, or tokenCommand: [pass, show, example]',
  '      githubApp: { id: 4711, installation: 42, privateKeyFile: ~/app.pem, apiUrl: https://git.example.com/api/v3 }',
  'Over plain http, credentials are sent to this machine only, or with kb clone --insecure.',
  '',
  'For ssh remotes (ssh://user@host/path, user@host:path) the OpenSSH client logs in: agent, keys, ~/.ssh/config and',
  'known hosts are used as they are for ssh itself. kb clone and kb init --remote take --ssh-key FILE and',
  '--known-hosts FILE for one KB.',
  'Without a terminal ssh asks nothing and fails instead. Try a host by hand with: ssh -v user@host',
];

const CONFLICTS = [
  'kb merges each file three ways: line by line, then by rules that know lists, tables, sections, front matter, JSON and YAML',
  '(docs/merging.md; kb sync --verbose names the rules that were used). Nothing that a side wrote is lost by them.',
  'Where two edits still overlap, kb stops with exit code 5; files, branch and remote are as they were, and both versions',
  'have a name that git show takes too. "Ours" is what was to be brought out from here, "theirs" what others have written.',
  '  kb conflicts                  lists what waits for a person: where, why, since when, and the names of the versions',
  '  kb resolve PATH --ours        takes the version from here; --theirs that of the others',
  '  kb resolve PATH --both        keeps what each side wrote; of what is no text, two files',
  '  kb resolve PATH --edit        opens both in your editor, contradictions between markers, the base in the middle',
  '  kb resolve --all --theirs     decides all of them the same way',
  'The outcome is merged with what others have written since, committed and pushed; both versions stay in the history.',
  'Of one sync all conflicts are decided before any of it goes out: kb resolve keeps each decision until the last one.',
  'Without a person:',
  '  kb sync --on-conflict copy    keeps both: yours goes to "NAME (conflict DATE HOST).md"; kb conflicts lists these copies',
  '  kb sync --on-conflict ours    takes your file; --on-conflict theirs takes the file as the remote has it',
  'A merge that native git has begun is listed, and finished with native git. What a failed kb run had changed: kb restore.',
  'kb note --append and --daily never conflict with other appends: the text is added again to what others wrote.',
];
