import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { loadSettings } from '../../../../src/config/settings.js';
import { nodeDisk } from '../../../../src/disk/disk.js';
import { appendText } from '../../../../src/kb/notes/append.js';
import { dailyNotePath, parseDailySettings } from '../../../../src/kb/notes/daily.js';
import { splitFrontMatter } from '../../../../src/kb/notes/front-matter.js';
import { expandTemplate } from '../../../../src/kb/notes/template.js';

const vault = join(import.meta.dirname, '../../../../demo/vault');
const files = readdirSync(vault, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) =>
    join(entry.parentPath, entry.name)
      .slice(vault.length + 1)
      .normalize('NFC'),
  );
const notes = files.filter((path) => path.endsWith('.md'));
const read = (path: string): string => readFileSync(join(vault, path), 'utf8');

describe('the demo vault', () => {
  it('is a vault of real size', () => {
    expect(notes.length).toBeGreaterThanOrEqual(25);
  });

  it('has no link that leads nowhere', () => {
    const targets = new Set(files.flatMap((path) => [basename(path), basename(path, '.md')]));
    const dangling = notes.flatMap((path) =>
      [...read(path).matchAll(/\[\[([^\]|#]+)/g)]
        .filter((link) => !targets.has(link[1] ?? ''))
        .map((link) => `${path}: ${link[1]}`),
    );
    expect(dangling).toEqual([]);
  });

  it.each(notes.filter((path) => !path.startsWith('templates/')))(
    '%s has valid front matter and ends with one line break',
    (path) => {
      const { yaml } = splitFrontMatter(read(path));
      expect(parseDocument(yaml ?? '').errors).toEqual([]);
      expect(read(path)).toMatch(/[^\n]\n$/);
    },
  );

  it('says the same about daily notes in kb.yaml and to Obsidian', async () => {
    const { settings } = await loadSettings({
      disk: nodeDisk,
      env: { HOME: join(vault, 'nobody') },
      kbRoot: vault,
      flags: {},
    });
    expect(parseDailySettings(read('.obsidian/daily-notes.json'))).toEqual(settings.notes.daily);
    expect(notes).toContain(settings.notes.daily.template);
    expect(settings.notes.dir).toBe('inbox');
  });

  it("makes a day's note from the template and takes an entry under its heading", () => {
    const now = { epochMs: Date.parse('2026-03-10T04:30:00Z'), offsetMinutes: 60 };
    const settings = parseDailySettings(read('.obsidian/daily-notes.json'));
    const text = expandTemplate(read(settings.template ?? ''), { now, title: '2026-03-10', content: '' });
    expect(dailyNotePath(settings, now)).toBe('daily/2026-03-10.md');
    expect(appendText(Buffer.from(text), '- 05:30 Oven on', { heading: '## Log' }).toString()).toBe(
      '---\ndate: 2026-03-10\ntags: [daily]\n---\n# Tuesday, 10 March 2026\n\n## Shift\n\n## Log\n- 05:30 Oven on\n',
    );
  });
});
