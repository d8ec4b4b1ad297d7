import { describe, expect, it } from 'vitest';
import type { Advertisement } from '../../../../src/remote/protocol/advertisement.js';
import { discoveryOf, readAdvertisement } from '../../../../src/remote/protocol/advertisement.js';
import { lsRefsRequest, readLsRefs } from '../../../../src/remote/protocol/ls-refs.js';
import { DELIMITER, FLUSH, PacketReader, pktLine } from '../../../../src/remote/protocol/pkt-line.js';

const one = '1'.repeat(40);
const two = '2'.repeat(40);

function reader(...packets: (Buffer | string)[]): PacketReader {
  const left = packets.map((packet) => (typeof packet === 'string' ? pktLine(packet) : packet));
  return new PacketReader({ read: () => Promise.resolve(left.shift()) });
}

function read(...packets: (Buffer | string)[]): Promise<Advertisement> {
  return readAdvertisement(reader(...packets), 'git-upload-pack', 'https://host/kb');
}

const service = ['# service=git-upload-pack\n', FLUSH];

describe('readAdvertisement', () => {
  it('refs, abilities and the default branch', async () => {
    const found = await read(
      ...service,
      `${one} HEAD\0side-band-64k symref=HEAD:refs/heads/main\n`,
      `${one} refs/heads/main\n`,
      `${two} refs/tags/v1\n`,
      `${one} refs/tags/v1^{}\n`,
      FLUSH,
    );
    expect([...found.refs]).toEqual([
      ['refs/heads/main', one],
      ['refs/tags/v1', two],
    ]);
    expect(discoveryOf(found, ['refs/heads/'])).toEqual({
      refs: new Map([['refs/heads/main', one]]),
      head: 'refs/heads/main',
      empty: false,
    });
  });

  it.each([
    ['without the service line', [`${one} refs/heads/main\0\n`, FLUSH]],
    ['version 1', [...service, 'version 1\n', `${one} refs/heads/main\0\n`, FLUSH]],
    ['with shallow lines', [...service, `${one} refs/heads/main\0\n`, `shallow ${two}\n`, FLUSH]],
    [
      'names that git would refuse are left out',
      [
        ...service,
        `${one} refs/heads/main\0\n`,
        `${one} refs/heads/a..b\n`,
        `${one} .have\n`,
        `${one} ../../x\n`,
        FLUSH,
      ],
    ],
  ])('%s', async (_title, packets) => {
    expect([...(await read(...packets)).refs]).toEqual([['refs/heads/main', one]]);
  });

  it.each([
    ['nothing but a flush', [...service, FLUSH]],
    ['abilities only', [...service, `${'0'.repeat(40)} capabilities^{}\0report-status\n`, FLUSH]],
  ])('an empty repository: %s', async (_title, packets) => {
    expect(discoveryOf(await read(...packets), [])).toEqual({ refs: new Map(), empty: true });
  });

  it('guesses the default branch where an old server does not say', async () => {
    const found = await read(
      ...service,
      `${one} HEAD\0\n`,
      `${one} refs/heads/a\n`,
      `${one} refs/heads/master\n`,
      `${two} refs/heads/main\n`,
      FLUSH,
    );
    expect(discoveryOf(found, []).head).toBe('refs/heads/master');
  });

  it('protocol v2: abilities, and refs are asked for separately', async () => {
    const found = await read(
      'version 2\n',
      'agent=git/2\n',
      'ls-refs=unborn\n',
      'fetch=shallow wait-for-done\n',
      'object-format=sha1\n',
      FLUSH,
    );
    expect(found.version).toBe(2);
    expect(found.capabilities.all('fetch')).toEqual(['shallow', 'wait-for-done']);
  });

  it.each([
    ['SHA-256', [...service, `${'1'.repeat(64)} refs/heads/main\0object-format=sha256\n`, FLUSH], 'E_USAGE'],
    ['SHA-256 over v2', ['version 2\n', 'object-format=sha256\n', FLUSH], 'E_USAGE'],
    ['no access', ['ERR access denied\n'], 'E_AUTH'],
    ['another error', ['ERR out of order\n'], 'E_NETWORK'],
    ['cut', [...service, `${one} refs/heads/main\0\n`], 'E_NETWORK'],
    ['empty', [], 'E_NETWORK'],
    ['no ref', [...service, 'rubbish\n', FLUSH], 'E_NETWORK'],
    ['a stray delimiter', [...service, DELIMITER], 'E_NETWORK'],
    ['no flush after the service', ['# service=git-upload-pack\n', `${one} refs/heads/main\0\n`], 'E_NETWORK'],
  ])('%s is an error', async (_title, packets, code) => {
    await expect(read(...packets)).rejects.toMatchObject({ code });
  });
});

describe('readLsRefs', () => {
  it('refs, default branch, peeled tags', async () => {
    const found = await readLsRefs(
      reader(
        `${one} HEAD symref-target:refs/heads/main\n`,
        `${one} refs/heads/main\n`,
        `${two} refs/tags/v1 peeled:${one}\n`,
        FLUSH,
      ),
      [],
    );
    expect(found).toEqual({
      refs: new Map([
        ['refs/heads/main', one],
        ['refs/tags/v1', two],
      ]),
      head: 'refs/heads/main',
      empty: false,
    });
  });

  it.each([
    [
      'unborn',
      ['unborn HEAD symref-target:refs/heads/trunk\n', FLUSH],
      { refs: new Map(), head: 'refs/heads/trunk', empty: true },
    ],
    ['nothing', [FLUSH], { refs: new Map(), empty: true }],
    ['detached', [`${one} HEAD\n`, FLUSH], { refs: new Map(), empty: false }],
    ['only others', [`${one} refs/heads/other\n`, FLUSH], { refs: new Map(), empty: false }],
    [
      'not understood',
      ["ERR upload-pack: protocol error, expected to get object ID, not 'command=ls-refs'\n"],
      undefined,
    ],
    ['no answer', [], undefined],
  ])('%s', async (_title, packets, expected) => {
    expect(await readLsRefs(reader(...packets), ['refs/heads/main'])).toEqual(expected);
  });

  it.each([
    ['cut', [`${one} refs/heads/main\n`]],
    ['rubbish', ['rubbish\n', FLUSH]],
  ])('%s is an error', async (_title, packets) => {
    await expect(readLsRefs(reader(...packets), [])).rejects.toMatchObject({ code: 'E_NETWORK' });
  });

  it('asks for HEAD beside the prefixes, and for its unborn target only where allowed', () => {
    expect(lsRefsRequest(['refs/heads/main'], 'kb', true).toString()).toBe(
      [
        ...['command=ls-refs\n', 'agent=kb\n'].map(pktLine),
        DELIMITER,
        ...['symrefs\n', 'unborn\n', 'ref-prefix HEAD\n', 'ref-prefix refs/heads/main\n'].map(pktLine),
        FLUSH,
      ].join(''),
    );
    expect(lsRefsRequest([], 'kb', false).toString()).not.toMatch(/unborn|ref-prefix/);
  });
});
