import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RepoPath } from '../../../../src/git/paths.js';
import { cleanFileName, freeName, noteFileName } from '../../../../src/kb/notes/name.js';
import { slugify, titleFromText } from '../../../../src/kb/notes/slug.js';

const NOW = { epochMs: Date.parse('2026-11-20T09:30:15Z'), offsetMinutes: 0 };
const anyText = fc.string({ unit: 'binary', maxLength: 200 });

describe('noteFileName', () => {
  it.each([
    ['Rye starter', '2026-11-20-rye-starter.md'],
    ['  What’s new?  (part 2/3)', '2026-11-20-whats-new-part-2-3.md'],
    ['Crème brûlée & Äpfel', '2026-11-20-crème-brûlée-äpfel.md'],
    ['e\u0301clair', '2026-11-20-éclair.md'],
    ['パンの作り方', '2026-11-20-パンの作り方.md'],
    ['Хлеб и соль', '2026-11-20-хлеб-и-соль.md'],
    ['हिन्दी रोटी', '2026-11-20-हिन्दी-रोटी.md'],
    ['می‌خواهم', '2026-11-20-می‌خواهم.md'],
    ['🍞🥐', '2026-11-20-093015.md'],
    ['...', '2026-11-20-093015.md'],
    ['', '2026-11-20-093015.md'],
    ['con', '2026-11-20-con.md'],
    ['a\u200bb\u202ec', '2026-11-20-a-b-c.md'],
    ['# Heading #\nmore text', '2026-11-20-heading.md'],
    [
      '\n\n- [ ] Call the [mill](https://example.org) about [[Flour|rye flour]]\n',
      '2026-11-20-call-the-mill-about-rye-flour.md',
    ],
    ['1. first', '2026-11-20-1-first.md'],
    ['---\ntitle: x\n---\n**Bold** start', '2026-11-20-bold-start.md'],
    ['İstanbul', '2026-11-20-i̇stanbul.md'],
  ])('%j', (title, expected) => {
    expect(noteFileName(title, NOW)).toBe(expected);
  });

  it('stays within 80 bytes before the ending, splits no character and prefers a whole word', () => {
    expect(noteFileName('word '.repeat(40), NOW)).toBe(
      `2026-11-20-${Array(14).fill('word').join('-')}.md`.slice(0, 80) + '.md',
    );
    expect(noteFileName('ä'.repeat(100), NOW)).toBe(`2026-11-20-${'ä'.repeat(34)}.md`);
    expect(noteFileName('क्षि'.repeat(30), NOW)).toMatch(/^2026-11-20-(क्षि|क्)+(?:क्षि|क्)?\.md$/);
  });

  it('any text gives a name that is safe everywhere', () => {
    fc.assert(
      fc.property(anyText, (title) => {
        const name = noteFileName(title, NOW);
        expect(name).toMatch(/^2026-11-20-[\p{L}\p{M}\p{N}\u200c\u200d-]+\.md$/u);
        expect(name).toBe(name.normalize('NFC'));
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(83);
        expect(name).not.toMatch(/--|-\.md$/);
      }),
    );
  });

  it('a slug of a slug is the slug', () => {
    fc.assert(
      fc.property(anyText, (title) => {
        const slug = slugify(title, 60);
        expect(slugify(slug, 60)).toBe(slug);
      }),
    );
  });
});

describe('titleFromText', () => {
  it.each([
    ['plain', 'plain'],
    ['## Log ##', 'Log'],
    ['> quoted', 'quoted'],
    ['- item', 'item'],
    ['* [x] done', 'done'],
    ['![[photo.svg]]\ntext', 'photo.svg'],
    ['[[Note#Part]]', 'Note'],
    ['see [text](url) and `code`', 'see text and code'],
    ['<!-- hidden -->\nshown', 'shown'],
    ['#tag first', '#tag first'],
    ['#\n\nsecond', 'second'],
    ['\r\n  \r\nthird\r\n', 'third'],
    ['---\na: 1\n---\n', ''],
    ['snake_case_name', 'snake_case_name'],
    ['2 * 3 * 4', '2 * 3 * 4'],
  ])('%j → %j', (text, expected) => {
    expect(titleFromText(text)).toBe(expected);
  });

  it('is fast on hostile input', () => {
    expect(titleFromText(`${'*'.repeat(50_000)}${'[['.repeat(50_000)}`).length).toBeLessThanOrEqual(1000);
  });
});

describe('cleanFileName', () => {
  it.each([
    ['Idea', 'Idea.md'],
    ['Idea.md', 'Idea.md'],
    ['Idea.MD', 'Idea.MD'],
    ['board.canvas', 'board.canvas'],
    ['v1.2 plan', 'v1.2 plan.md'],
    ['a/b\\c:d*e?f"g<h>i|j#k^l[m]n', 'a b c d e f g h i j k l m n.md'],
    [' .hidden. ', 'hidden.md'],
    ['CON', 'CON_.md'],
    ['con.notes', 'con_.notes.md'],
    ['Lpt1', 'Lpt1_.md'],
    ['console', 'console.md'],
    ['tab\there', 'tab here.md'],
    ['e\u0301', 'é.md'],
    ['x\u202ey', 'x y.md'],
    ['日本 ノート', '日本 ノート.md'],
    ['ä'.repeat(100), `${'ä'.repeat(40)}.md`],
  ])('%j → %j', (name, expected) => {
    expect(cleanFileName(name)).toBe(expected);
  });

  it.each(['', '...', '///', '.md', ' \u200b '])('refuses %j', (name) => {
    expect(() => cleanFileName(name)).toThrow(/no usable file name/);
  });
});

describe('freeName', () => {
  const key = (path: string) => path.normalize('NFC').toLowerCase();
  const taken =
    (...paths: string[]) =>
    (one: string) =>
      paths.map(key).includes(one);
  it.each([
    ['inbox/a.md', [], 'inbox/a.md'],
    ['inbox/a.md', ['inbox/A.md'], 'inbox/a-2.md'],
    ['inbox/a.md', ['inbox/a.md', 'inbox/a-2.md', 'inbox/a-4.md'], 'inbox/a-3.md'],
    ['a.b/c', ['a.b/c'], 'a.b/c-2'],
    ['.hidden', ['.hidden'], '.hidden-2'],
    ['café.md', ['cafe\u0301.md'], 'café-2.md'],
  ])('%s beside %j', (wanted, others, expected) => {
    expect(freeName(wanted as RepoPath, taken(...others), key)).toBe(expected);
  });
});
