import { describe, expect, it } from 'vitest';
import { sshEnvironment } from '../../../../src/remote/ssh/environment.js';

describe('sshEnvironment', () => {
  it('keeps what ssh needs', () => {
    const env = {
      PATH: '/bin',
      HOME: '/home/ann',
      SSH_AUTH_SOCK: '/tmp/agent',
      SSH_ASKPASS: '/bin/ask',
      SSH_ASKPASS_REQUIRE: 'prefer',
      GIT_SSH_COMMAND: 'ssh -v',
      GIT_ASKPASS: '/bin/ask',
      DISPLAY: ':0',
      LANG: 'de_DE.UTF-8',
      MY_KEY_FILE: '/home/ann/.ssh/key',
    };
    expect(sshEnvironment(env, undefined)).toEqual(env);
  });

  it('gives it no secret, and nothing that points at a repository', () => {
    const names = [
      ...['KB_GIT_AUTH_TOKEN', 'GITHUB_TOKEN', 'GH_TOKEN', 'GITLAB_TOKEN', 'GITSYNC_PASSWORD', 'KB_LOCK_TOKEN'],
      ...['NPM_TOKEN', 'AWS_SECRET_ACCESS_KEY', 'DB_PASSWORD', 'OPENAI_API_KEY', 'SSH_PRIVATE_KEY'],
      ...['GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE', 'GIT_CONFIG_COUNT', 'GIT_PROTOCOL'],
    ];
    expect(sshEnvironment(Object.fromEntries(names.map((name) => [name, 'value'])), undefined)).toEqual({});
    const values = { PROXY: 'http://ann:secret@proxy:3128', DEPLOY: '-----BEGIN OPENSSH PRIVATE KEY-----\nabc' };
    expect(sshEnvironment(values, undefined)).toEqual({});
  });

  it('asks for a version of the protocol', () => {
    expect(sshEnvironment({}, 2)).toEqual({ GIT_PROTOCOL: 'version=2' });
  });
});
