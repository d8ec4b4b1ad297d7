import { printable } from '../../printable.js';
import type { RemoteUrl } from '../url.js';
import type { ChainOptions } from './chain.js';
import type { Helpers } from './helpers.js';
import type { Login, Source } from './source.js';

/** What was typed in this process and accepted, by origin and user: one command may open a remote twice. */
const accepted = new Map<string, Login>();

/** The person at the terminal. What was typed and accepted goes to the user's credential helpers, as with git. */
export function promptSource(url: RemoteUrl, { ask }: ChainOptions, helpers: Helpers): Source {
  const { host, origin } = new URL(url.href);
  const place = `${origin} ${helpers.username ?? ''}`;
  return {
    name: 'the terminal',
    find: async () => {
      if (ask === undefined) return { nothing: 'there is none' };
      const known = accepted.get(place);
      if (known !== undefined) return { login: known };
      const username =
        helpers.username ?? (await ask({ text: `User name for ${printable(host)}: `, hidden: false })) ?? '';
      const text = `Password or token for ${printable(username === '' ? host : `${username}@${host}`)}: `;
      const password = await ask({ text, hidden: true });
      if (password === undefined || password === '') return { nothing: 'nothing was entered' };
      const login = { username, password };
      return {
        login,
        accepted: () => {
          accepted.set(place, login);
          return helpers.store(login);
        },
        refused: () => helpers.erase(login),
      };
    },
  };
}
