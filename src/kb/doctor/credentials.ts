import { KbError } from '../../errors.js';
import { CredentialChain } from '../../remote/credentials/chain.js';
import type { Source } from '../../remote/credentials/source.js';
import type { RemoteUrl } from '../../remote/url.js';
import type { RemoteOptions } from '../../remote/open.js';
import { ok, problem, warning, type Check, type Result } from './check.js';

/**
 * Where credentials for the remote are, in the order in which they would be sent. The sources are asked (a helper and a
 * GitHub App too), the remote is not, and no value is told.
 */
export const credentialsCheck: Check = {
  name: 'credentials',
  async run({ addresses, remote }) {
    const findings: Result[] = [];
    for (const { url } of addresses) if (url.kind === 'http') findings.push(...(await sourcesFor(url, remote)));
    return findings;
  },
};

async function sourcesFor(url: RemoteUrl, { settings: read, ...options }: RemoteOptions): Promise<Result[]> {
  const settings = await read?.();
  const { readPreferences } = await import('../../remote/http/preferences.js');
  const preset = settings !== undefined && readPreferences(url.href, settings, options.env).authorization !== undefined;
  const findings: Result[] = [];
  const empty: string[] = [];
  let found = 0;
  const sent = (name: string): Result =>
    ok(`${name}: sent to ${url.display} ${found++ === 0 ? 'first' : 'when those before are refused'}`);
  if (preset) findings.push(sent('http.extraHeader'));
  for (const source of await new CredentialChain(url, { ...options, settings }).allSources()) {
    const answer = await ask(source);
    if (answer instanceof KbError) findings.push(problem(answer.message, answer.hint));
    else if (answer === true) findings.push(sent(source.name));
    else empty.push(answer === undefined ? source.name : `${source.name} (${answer})`);
  }
  if (found === 0) {
    findings.push(
      warning(
        `no credentials for ${url.display}: only what everybody may read can be read`,
        'set KB_GIT_AUTH_TOKEN to a token that may read and write this repository; other ways: kb help auth',
      ),
    );
  }
  if (empty.length > 0) findings.push(ok(`nothing in ${[...new Set(empty)].join(', ')}`));
  return findings;
}

/** @returns true: there are some; a text: why there are none; an error: what is there is unusable */
async function ask(source: Source): Promise<true | string | undefined | KbError> {
  if (source.name === 'the terminal') return undefined;
  try {
    const found = await source.find([]);
    if (found === undefined) return undefined;
    return 'nothing' in found ? found.nothing : true;
  } catch (error) {
    if (error instanceof KbError && error.code !== 'E_INTERRUPTED' && error.code !== 'E_TERMINATED') return error;
    throw error;
  }
}
