import { formatDate, type LocalTime } from './date-format.js';

export interface TemplateValues {
  readonly now: LocalTime;
  readonly title: string;
  readonly content: string;
}

/**
 * Fills in Obsidian's placeholders: `{{date}}`, `{{date:FORMAT}}`, `{{time}}`, `{{time:FORMAT}}`,
 * `{{title}}`, and `{{content}}` for the note's text. One pass: what is filled in is never looked at again,
 * so a note about templates stays what it is, and nothing is ever evaluated. Other placeholders stay.
 */
export function expandTemplate(template: string, values: TemplateValues): string {
  return template.replace(
    /\{\{[ \t]*(date|time|title|content)[ \t]*(?::([^{}\r\n]*))?\}\}/gi,
    (whole, word: string, format: string | undefined) => {
      switch (word.toLowerCase()) {
        case 'date':
          return formatDate(values.now, format?.trim() || 'YYYY-MM-DD');
        case 'time':
          return formatDate(values.now, format?.trim() || 'HH:mm');
        case 'title':
          return format === undefined ? values.title : whole;
        default:
          return format === undefined ? values.content : whole;
      }
    },
  );
}

export function hasContentPlaceholder(template: string): boolean {
  return /\{\{[ \t]*content[ \t]*\}\}/i.test(template);
}
