import { KbError } from '../../errors.js';
import { CredentialChain } from '../../remote/credentials/chain.js';
import type { Source } from '../../remote/credentials/source.js';
import { ok, type Check, type Finding } from './check.js';

/**
 * Where credentials for the remote are, in the order in which they would be sent. The sources are asked (a helper and a
 * GitHub App too), the remote is not, and no value is told.
 */
export const credentialsCheck: Check = {
  name: 'credentials',
  async run({ url, remote }) {
    if (url?.kind !== 'http') return [];
    const { settings: read, ...options } = remote;
    const settings = await read?.();
    const { extraAuthorization } = await import('./extra-authorization.js');
    const findings: Omit<Finding, 'check'>[] = [];
    const empty: string[] = [];
    let found = 0;
    const preset = extraAuthorization(url.href, settings, options.env);
    if (preset) findings.push(ok(`http.extraHeader holds an Authorization: sent ${place(found++)}`));
    for (const source of await new CredentialChain(url, { ...options, settings }).allSources()) {
      const answer = await ask(source);
      if (answer instanceof KbError) findings.push({ status: 'problem', text: answer.message, mend: answer.hint });
      else if (answer === undefined) empty.push(source.name);
      else if (typeof answer === 'string') empty.push(`${source.name} (${answer})`);
      else findings.push(ok(`${source.name}: sent ${place(found++)}`));
    }
    if (found === 0) {
      findings.push({
        status: 'warning',
        text: `no credentials for ${url.display}: only what everybody may read can be read`,
        mend: 'set KB_GIT_AUTH_TOKEN to a token that may read and write this repository; other ways: kb help auth',
      });
    }
    findings.push(ok(`nothing in ${empty.join(', ')}`));
    return findings;
  },
};

function place(before: number): string {
  return before === 0 ? 'first' : 'when those before are refused';
}

/** @returns true: there are some; a text: why there are none; an error: what is there is unusable */
async function ask(source: Source): Promise<true | string | undefined | KbError> {
  if (source.name === 'the terminal') return undefined;
  try {
    const found = await source.find([]);
    if (found === undefined) return undefined;
    return 'nothing' in found ? found.nothing : true;
  } catch (error) {
    if (error instanceof KbError) return error;
    throw error;
  }
}
