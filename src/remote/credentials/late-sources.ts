import type { RemoteUrl } from '../url.js';
import type { ChainOptions } from './chain.js';
import { githubAppSource } from './github-app.js';
import { helperSource } from './helpers.js';
import { netrcSource } from './netrc.js';
import { promptSource } from './prompt.js';
import type { Source } from './source.js';

/** What is asked only after the host has asked: it takes a program, a request or a person. */
export function lateSources(url: RemoteUrl, options: ChainOptions): Source[] {
  const helpers = helperSource(url, options);
  return [
    helpers.source,
    netrcSource(url, options),
    githubAppSource(url, options),
    promptSource(url, options, helpers),
  ];
}
