import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPersonText } from '../../../src/config/author.js';
import { branchRef } from '../../../src/git/ids.js';
import { encodeEntry, parseEntry, type NoteEntry } from '../../../src/kb/note-entry.js';
import { requireValidId } from '../../../src/kb/note-id.js';
import type { NoteTarget } from '../../../src/kb/note-plan.js';

function accepts(check: () => unknown): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

/** A record of which some fields may be missing, never undefined. */
function partly<T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  return fc.record(fields, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;
}

const text = fc.string({ unit: 'binary' });
const anyText = fc.oneof(text, fc.constantFrom('\ufeffstart', 'a\0b', '\ud800', '"\\\n', '__proto__'));
const person = anyText
  .filter((name) => accepts(() => checkPersonText(name, 'it')))
  .map((name) => checkPersonText(name, 'it'));
const identity = fc.record({
  name: person,
  email: person,
  timestamp: fc.integer({ min: -1e12, max: 1e12 }),
  timezone: fc.constantFrom('+0000', '-0730', '+1400'),
});
const target: fc.Arbitrary<NoteTarget> = fc.oneof(
  partly({ title: anyText, path: anyText, dir: anyText, name: anyText }).map((where) => ({
    kind: 'new' as const,
    ...where,
  })),
  anyText.map((path) => ({ kind: 'append' as const, path })),
  fc.constant({ kind: 'daily' as const }),
  fc.tuple(anyText, partly({ ifMatch: anyText })).map(([path, more]) => ({ kind: 'replace' as const, path, ...more })),
);
const entry: fc.Arbitrary<NoteEntry> = fc
  .tuple(
    fc.record({
      text: anyText,
      target,
      tags: fc.array(anyText),
      properties: fc.array(fc.tuple(anyText, anyText)),
      frontmatter: fc.boolean(),
      now: fc.record({ epochMs: fc.integer(), offsetMinutes: fc.integer({ min: -720, max: 840 }) }),
      settings: fc
        .tuple(partly({ dir: anyText }), anyText, partly({ folder: anyText, format: anyText, template: anyText }))
        .map(([dir, templates, daily]) => ({ notes: { ...dir, templates, daily } })),
    }),
    partly({ heading: anyText, template: anyText }),
    partly({
      message: anyText.filter((message) => !message.includes('\0')),
      id: anyText.filter((id) => accepts(() => requireValidId(id))),
    }),
    fc.record({
      identities: fc.record({ author: identity, committer: identity }),
      branch: fc.constantFrom(branchRef('main'), branchRef('topic/ä')),
      waiter: fc.record({ word: text, user: anyText, host: anyText, pid: fc.nat(), since: text }),
    }),
  )
  .map(([note, more, own, rest]) => ({ note: { ...note, ...more }, ...own, ...rest }));

const PLAIN: NoteEntry = {
  note: {
    text: 'a thought',
    target: { kind: 'new' },
    tags: [],
    properties: [],
    frontmatter: true,
    now: { epochMs: 0, offsetMinutes: 0 },
    settings: { notes: { templates: 'templates', daily: {} } },
  },
  identities: {
    author: { name: 'Ann', email: 'ann@example.com', timestamp: 1, timezone: '+0000' },
    committer: { name: 'Ann', email: 'ann@example.com', timestamp: 1, timezone: '+0000' },
  },
  branch: branchRef('main'),
  waiter: { word: '1.1.a', user: 'ann', host: 'here', pid: 1, since: '2026-01-02T03:04:05.000Z' },
};

/** The plain entry with one value in its JSON replaced; undefined: left out. */
function changed(path: string, value: unknown): Buffer {
  const whole = JSON.parse(encodeEntry(PLAIN).toString('utf8')) as Record<string, unknown>;
  const names = path.split('.');
  const last = names.pop() ?? '';
  let at = whole;
  for (const name of names) at = at[name] as Record<string, unknown>;
  at[last] = value;
  return Buffer.from(JSON.stringify(whole));
}

describe('an entry', () => {
  it('comes back as it was written, whatever a note may hold', () => {
    fc.assert(
      fc.property(entry, (written) => {
        expect(parseEntry(encodeEntry(written))).toEqual(written);
      }),
    );
  });

  it('holds nothing of the settings but what a note needs: no token', () => {
    const settings = {
      ...PLAIN.note.settings,
      authToken: 's3cret',
      notes: { ...PLAIN.note.settings.notes, token: 's3cret' },
    };
    expect(encodeEntry({ ...PLAIN, note: { ...PLAIN.note, settings } }).toString()).not.toContain('s3cret');
  });

  it('that is cut anywhere is none', () => {
    const whole = encodeEntry(PLAIN);
    for (let length = 0; length < whole.length; length += 1)
      expect(parseEntry(whole.subarray(0, length))).toBeUndefined();
  });

  it('that is not UTF-8 is none', () => {
    const whole = encodeEntry(PLAIN);
    whole[whole.indexOf('thought')] = 0xff;
    expect(parseEntry(whole)).toBeUndefined();
  });

  it.each<[string, string, unknown]>([
    ['another format', 'format', 2],
    ['no note', 'note', undefined],
    ['a note that is a list', 'note', []],
    ['no text', 'note.text', undefined],
    ['a text that is a number', 'note.text', 1],
    ['an unknown target', 'note.target', { kind: 'delete', path: 'a.md' }],
    ['an append to nothing', 'note.target', { kind: 'append' }],
    ['tags that are a text', 'note.tags', 'tag'],
    ['a tag that is a number', 'note.tags', [1]],
    ['a property that is no pair', 'note.properties', ['key']],
    ['a time that is none', 'note.now', { epochMs: 'now', offsetMinutes: 0 }],
    ['a time without end', 'note.now.epochMs', null],
    ['no settings', 'note.settings', undefined],
    ['a key with a line break, which would forge another trailer', 'id', 'a\nKb-Id: b'],
    ['an empty key', 'id', ''],
    ['a message with NUL', 'message', 'a\0b'],
    ['an author that ends its line', 'identities.author.name', 'Ann\nparent 1234'],
    ['an author with an address in the name', 'identities.author.name', 'Ann <x@y>'],
    ['an email that ends its line', 'identities.committer.email', 'a@b>\n'],
    ['a time of day in a text', 'identities.author.timestamp', '1'],
    ['a part of a second', 'identities.author.timestamp', 1.5],
    ['a zone that is none', 'identities.author.timezone', 'Z\n'],
    ['no committer', 'identities.committer', undefined],
    ['a branch that is no ref', 'branch', '../../config'],
    ['no waiter', 'waiter', undefined],
    ['a waiter without its word', 'waiter.word', undefined],
  ])('with %s is none', (_what, path, value) => {
    expect(parseEntry(changed(path, value))).toBeUndefined();
  });

  it.each(['', 'null', '[]', '1', '"text"', '{}', '{"__proto__":{"format":1}}'])('that is %j is none', (data) => {
    expect(parseEntry(Buffer.from(data))).toBeUndefined();
  });

  it('of a later version of this format may hold more: it is left out', () => {
    expect(parseEntry(changed('waiter.more', 1))).toEqual(PLAIN);
  });
});
