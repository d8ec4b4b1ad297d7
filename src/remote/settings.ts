/** What the user has set for http(s) remotes; read only where there is anything. */
export interface HttpSettings {
  /** Values of git's `http.KEY` that count for the URL, in order; of a key with one value the last counts. */
  http(key: string, url: string): readonly string[];
  /** Values of git's `credential.KEY` that count for the URL. */
  credential(key: string, url: string): readonly string[];
  /** Git's `remote.<name>.proxy`. */
  readonly remoteProxy?: string;
  /**
   * What the user's own configuration says of a host.
   * @param host `name`, or `name:port` where the URL names a port
   */
  host(host: string): HostSettings | undefined;
}

/** What software a host runs: decides about user names and addresses of its API. */
export type HostKind = 'github' | 'gitlab' | 'gitea' | 'bitbucket';

/** One host of `hosts` in the user's `config.yaml`. */
export interface HostSettings {
  readonly kind?: HostKind;
  /** The user name that goes with the token. */
  readonly username?: string;
  /** Name of the variable that holds the token. */
  readonly tokenEnv?: string;
  /** Absolute path of a file whose first line is the token. */
  readonly tokenFile?: string;
  /** Program and arguments that print the token on the first line. No shell is involved. */
  readonly tokenCommand?: readonly string[];
  readonly app?: GitHubAppSettings;
}

/** A GitHub App that has access. Source: GitHub Docs, "Authenticating as a GitHub App installation". */
export interface GitHubAppSettings {
  /** The app's number, or its client id. */
  readonly id: string;
  readonly installation: string;
  /** Absolute path of the private key, PEM. */
  readonly keyFile: string;
  /** Of GitHub Enterprise, such as `https://host/api/v3`; default: by the host. */
  readonly apiUrl?: string;
}

/** Asks the person at the terminal. @returns undefined when nothing was entered */
export type Ask = (question: { readonly text: string; readonly hidden: boolean }) => Promise<string | undefined>;
