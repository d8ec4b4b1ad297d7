import { describe, expect, it } from 'vitest';
import type { Oid } from '../../../../src/git/ids.js';
import {
  cleanIdentity,
  formatSignature,
  parseCommit,
  parseSignature,
  readCommit,
  readCommitLinks,
  serializeCommit,
  verifyCommit,
  verifyTag,
} from '../../../../src/git/objects/commit.js';
import { MemoryObjects } from './memory-objects.js';

const TREE = '1'.repeat(40) as Oid;
const PARENT = '2'.repeat(40) as Oid;
const head = `tree ${TREE}\nparent ${PARENT}\nauthor A B <a@b> 1700000000 +0130\ncommitter C <c@d> 1700000001 -0800\n`;

describe('parseCommit and serializeCommit', () => {
  it.each([
    ['a plain commit', `${head}\nsubject\n\nbody\n`],
    ['a message without line break', `${head}\nsubject`],
    ['an empty message', `${head}\n`],
    ['a message that begins with empty lines', `${head}\n\n\nsubject\n`],
    ['signed', `${head}gpgsig -----BEGIN\n abc\n \n -----END\nencoding x\n\nsubject\n`],
    ['no parent', `${head.replace(/parent .*\n/, '')}\nsubject\n`],
    ['two parents', `${head.replace(/(parent .*\n)/, `$1parent ${TREE}\n`)}\nsubject\n`],
  ])('keep %s byte for byte', (_, text) => {
    const data = Buffer.from(text);
    expect(serializeCommit(parseCommit(data)).toString()).toBe(text);
    verifyCommit(data);
  });

  it('keep text that is not UTF-8', () => {
    const data = Buffer.concat([Buffer.from(`${head}encoding ISO-8859-1\n\n`), Buffer.from([0xe4, 0xf6, 0x0a])]);
    expect(serializeCommit(parseCommit(data))).toEqual(data);
  });

  it('give the parts', () => {
    expect(parseCommit(Buffer.from(`${head}gpgsig x\n y\n\nsubject\n`))).toEqual({
      tree: TREE,
      parents: [PARENT],
      author: { name: 'A B', email: 'a@b', timestamp: 1700000000, timezone: '+0130' },
      committer: { name: 'C', email: 'c@d', timestamp: 1700000001, timezone: '-0800' },
      message: 'subject\n',
      extraHeaders: ['gpgsig x\n y'],
    });
  });

  it.each([
    ['nothing', ''],
    ['no tree', head.replace(/tree .*\n/, '')],
    ['a short id', head.replace(TREE, '123')],
    ['a bad parent', head.replace(PARENT, 'x'.repeat(40))],
    ['no author', head.replace(/author .*\n/, '')],
    ['no committer', head.replace(/committer .*\n/, '')],
    [
      'a parent behind the author',
      `tree ${TREE}\nauthor A <a@b> 1 +0000\nparent ${PARENT}\ncommitter C <c@d> 1 +0000\n`,
    ],
  ])('refuse %s', (_, text) => {
    const data = Buffer.from(`${text}\nmessage\n`);
    expect(() => parseCommit(data)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
    expect(() => verifyCommit(data)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
    const objects = new MemoryObjects();
    const oid = objects.add('commit', data);
    expect(() => readCommitLinks(objects, oid)).toThrow(expect.objectContaining({ code: 'E_CORRUPT' }));
  });

  it('a name cannot break out of its field', () => {
    const who = { name: 'A\nparent x<>', email: 'a@b>\n', timestamp: 1, timezone: '+0000' };
    const text = serializeCommit({ tree: TREE, parents: [], author: who, committer: who, message: 'm\n' }).toString();
    expect(text).toBe(`tree ${TREE}\nauthor Aparent x <a@b> 1 +0000\ncommitter Aparent x <a@b> 1 +0000\n\nm\n`);
  });
});

it('readCommit refuses another type', () => {
  const objects = new MemoryObjects();
  const oid = objects.add('blob', Buffer.from(`${head}\nm\n`));
  expect(() => readCommit(objects, oid)).toThrow(/is a blob/);
});

it('readCommitLinks reads parents and date', () => {
  const objects = new MemoryObjects();
  const oid = objects.add('commit', Buffer.from(`${head}\nm\n`));
  expect(readCommitLinks(objects, oid)).toEqual({ parents: [PARENT], date: 1700000001 });
});

describe('identities', () => {
  it.each([
    [' Ann  Lee ', 'Ann  Lee'],
    [".,:;<>\"\\'x'", 'x'],
    ['A <b> C', 'A b C'],
    ['Ann\nLee', 'AnnLee'],
    ['Ánn', 'Ánn'],
    ['\0', ''],
  ])('cleanIdentity(%j)', (text, clean) => {
    expect(cleanIdentity(text)).toBe(clean);
  });

  const good = { name: 'Ann', email: 'a@b', timestamp: 1700000000, timezone: '+0130' };
  it('formatSignature writes what git writes', () => {
    expect(formatSignature({ ...good, name: ' Ann. ', email: '<a@b>' })).toBe('Ann <a@b> 1700000000 +0130');
    expect(formatSignature({ ...good, email: '' })).toBe('Ann <> 1700000000 +0130');
  });

  it.each([
    { name: ' .,' },
    { timestamp: -1 },
    { timestamp: 1.5 },
    { timestamp: NaN },
    { timezone: 'UTC' },
    { timezone: '+01:30' },
  ])('formatSignature refuses %j', (wrong) => {
    expect(() => formatSignature({ ...good, ...wrong })).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });

  it.each([
    ['A <a@b> 1 +0000', { name: 'A', email: 'a@b', timestamp: 1, timezone: '+0000' }],
    [' <a@b> 1 +0000', { name: '', email: 'a@b', timestamp: 1, timezone: '+0000' }],
    ['A <a@b>', { name: 'A', email: 'a@b', timestamp: 0, timezone: '+0000' }],
    ['A <a@b> soon', { name: 'A', email: 'a@b', timestamp: 0, timezone: '+0000' }],
    ['A <a <b>> 7 -0100', { name: 'A', email: 'a <b>', timestamp: 7, timezone: '-0100' }],
    ['nobody', { name: 'nobody', email: '', timestamp: 0, timezone: '+0000' }],
  ])('parseSignature(%j)', (text, signature) => {
    expect(parseSignature(text)).toEqual(signature);
  });
});

it('verifyTag', () => {
  verifyTag(Buffer.from(`object ${TREE}\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nm\n`));
  expect(() => verifyTag(Buffer.from(`object ${TREE}\ntype note\ntag v1\n\nm\n`))).toThrow(/malformed/);
});
