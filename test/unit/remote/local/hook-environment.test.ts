import { describe, expect, it } from 'vitest';
import { hookEnvironment } from '../../../../src/remote/local/hook-environment.js';

describe('hookEnvironment', () => {
  it('keeps what programs need', () => {
    const env = {
      PATH: '/bin',
      HOME: '/home/ann',
      LANG: 'C',
      GIT_COMMITTER_NAME: 'Ann',
      DEPLOY_TO: 'staging',
      HTTPS_PROXY: 'http://proxy:3128',
    };
    expect(hookEnvironment(env)).toEqual({ ...env, GIT_DIR: '.' });
  });

  it('takes out every variable that could hold a secret or point at another repository', () => {
    const names = [
      'KB_GIT_AUTH_TOKEN',
      'KB_LOCK_TOKEN',
      'KB_GIT_REPO_URL',
      'GITHUB_TOKEN',
      'GITHUB_USERNAME',
      'GITLAB_TOKEN',
      'GH_TOKEN',
      'REPO_URL',
      'GITSYNC_PASSWORD',
      'GITSYNC_REPO',
      'GITSYNC_SSH_KEY_FILE',
      'AWS_SECRET_ACCESS_KEY',
      'NPM_TOKEN',
      'PGPASSWORD',
      'SSH_AUTH_SOCK',
      'GIT_DIR',
      'GIT_INDEX_FILE',
      'GIT_CONFIG_COUNT',
      'GIT_SSH_COMMAND',
      'GIT_ASKPASS',
      'github_token',
    ];
    expect(hookEnvironment(Object.fromEntries(names.map((name) => [name, 'value'])))).toEqual({ GIT_DIR: '.' });
  });

  it('takes out addresses with a password in them', () => {
    expect(hookEnvironment({ HTTPS_PROXY: 'http://ann:secret@proxy:3128', ORIGIN: 'https://x:y@host/r.git' })).toEqual({
      GIT_DIR: '.',
    });
  });
});
