/**
 * A title as the lower-case, dash-separated part of a file name. Letters, their marks and digits of every
 * script stay; everything else separates words. '' when nothing is left (a title of punctuation or emoji).
 * @param maxBytes of UTF-8; cut at a character, and at a word where that loses little
 */
export function slugify(title: string, maxBytes: number): string {
  const slug = title
    .normalize('NFC')
    .toLowerCase()
    .normalize('NFC')
    .replace(/['’ʼ`´]/g, '')
    // joiners shape letters in Persian and Indic scripts; anywhere else they would only be invisible
    .replace(/(?<![\p{L}\p{M}])[\u200c\u200d]|[\u200c\u200d](?![\p{L}\p{M}])/gu, '')
    .replace(/[^\p{L}\p{M}\p{N}\u200c\u200d]+/gu, '-')
    .replace(/^[-\p{M}\u200c\u200d]+|-+$/gu, '');
  return cutSlug(slug, maxBytes);
}

function cutSlug(slug: string, maxBytes: number): string {
  const cut = cutToBytes(slug, maxBytes);
  if (cut.length === slug.length) return slug;
  const word = slug[cut.length] === '-' ? cut.length : cut.lastIndexOf('-');
  return (word * 2 >= cut.length ? cut.slice(0, word) : cut).replace(/-+$/, '');
}

/** The longest beginning of at most `maxBytes` bytes of UTF-8 that splits no character from its marks. */
export function cutToBytes(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  let bytes = 0;
  let end = 0;
  for (const [cluster] of text.matchAll(/\P{M}?(?:\p{M}|\u200d\P{M}|\u200c)*/gsu)) {
    bytes += Buffer.byteLength(cluster);
    if (bytes > maxBytes) break;
    end += cluster.length;
  }
  return text.slice(0, end);
}

/** The first line that says something, without Markdown around it: what a note is about when no title is given. */
export function titleFromText(text: string): string {
  for (const line of text.replace(/^\ufeff?---\r?\n[^]*?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|$)/, '').split(/\r\n|\n|\r/)) {
    const title = plainText(line);
    if (title !== '') return title;
  }
  return '';
}

/** One line of Markdown reduced to its words: links to their text, marks of heading, list, quote, emphasis gone. */
function plainText(line: string): string {
  return line
    .slice(0, 1000)
    .replace(/^\s*(?:>\s?)*(?:#{1,6}(?=\s|$)|[-*+]\s+(?:\[.\]\s+)?)?/, '')
    .replace(/\s+#+\s*$/, '')
    .replace(
      /!?\[\[([^\]|]*)(?:\|([^\]]*))?\]\]/g,
      (_, target: string, alias: string | undefined) => alias ?? target.replace(/[#^].*$/, ''),
    )
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/!?\[([^\]]*)\]\[[^\]]*\]/g, '$1')
    .replace(/<!--.*?-->/g, '')
    .replace(/[*~`=]{1,3}(\S(?:.*?\S)?)[*~`=]{1,3}/g, '$1')
    .replace(/(?<![\p{L}\p{N}_])_{1,3}(\S(?:.*?\S)?)_{1,3}(?![\p{L}\p{N}_])/gu, '$1')
    .trim();
}
