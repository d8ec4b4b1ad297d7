import { describe, expect, it } from 'vitest';
import { findEndpoint, type EndpointQuestion } from '../../../src/lfs/endpoint.js';
import { parseRemoteUrl } from '../../../src/remote/url.js';

const read = (values: Record<string, string>): { get(key: string): string | undefined } => ({
  get: (key) => values[key],
});

function find(remote: string, over: Partial<EndpointQuestion> = {}): ReturnType<typeof findEndpoint> {
  return findEndpoint({
    operation: 'download',
    remoteName: 'origin',
    remote: parseRemoteUrl(remote, { cwd: '/' }),
    config: read({}),
    repository: undefined,
    insteadOf: (url) => url,
    cwd: '/kb',
    insecure: false,
    ...over,
  });
}

describe('where the large files are', () => {
  it.each([
    ['https://host/ann/notes', 'https://host/ann/notes.git/info/lfs'],
    ['https://host/ann/notes.git', 'https://host/ann/notes.git/info/lfs'],
    ['https://host/ann/notes/', 'https://host/ann/notes.git/info/lfs'],
    ['/srv/notes.git', '/srv/notes.git'],
  ])('follows from %s', (remote, expected) => {
    expect(find(remote)).toMatchObject({ url: { href: expected }, source: undefined, isFromRepository: false });
  });

  it('keeps the credentials of the remote where it is beside it', () => {
    expect(find('https://ann:pw@host/notes').url.credentials).toEqual({ username: 'ann', password: 'pw' });
  });

  it('is what the user says before what the repository says', () => {
    const repository = read({ 'lfs.url': 'https://theirs/lfs' });
    expect(find('https://host/notes', { repository })).toMatchObject({
      url: { href: 'https://theirs/lfs' },
      source: 'lfs.url of .lfsconfig',
      isFromRepository: true,
    });
    const config = read({ 'remote.origin.lfsurl': 'https://mine/lfs' });
    expect(find('https://host/notes', { repository, config })).toMatchObject({
      url: { href: 'https://mine/lfs' },
      source: 'remote.origin.lfsurl',
    });
    const both = read({ 'lfs.url': 'https://down/lfs', 'lfs.pushurl': 'https://up/lfs' });
    expect(find('https://host/notes', { config: both }).url.href).toBe('https://down/lfs');
    expect(find('https://host/notes', { config: both, operation: 'upload' }).url.href).toBe('https://up/lfs');
  });

  it.each([
    ['https://host/notes', 'http://other/lfs'],
    ['https://host/notes', 'http://host/lfs'],
    ['https://host/notes', 'https://127.0.0.1:8443/lfs'],
    ['https://host/notes', '/home/ann/private'],
    ['https://host/notes', 'file:///home/ann/private'],
    ['/srv/notes.git', 'http://other/lfs'],
    ['http://host/notes', 'http://localhost:80/lfs'],
  ])('an address that a repository must not choose: of %s at %s', (remote, url) => {
    const repository = read({ 'lfs.url': url });
    expect(() => find(remote, { repository })).toThrow(/\.lfsconfig of this repository/);
    expect(find(remote, { config: repository }).url.href).toContain(new URL(url, 'file:///').pathname);
  });

  it('runs no program that an address names', () => {
    expect(() => find('https://host/notes', { repository: read({ 'lfs.url': 'ext::sh -c x' }) })).toThrow();
  });
});
