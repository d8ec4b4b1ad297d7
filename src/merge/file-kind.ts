/** What a file's name says about its text; each kind has its own set of rules. */
export type FileKind = 'markdown' | 'text' | 'yaml' | 'json' | 'csv' | 'other';

const KINDS: Readonly<Record<string, FileKind>> = {
  md: 'markdown',
  markdown: 'markdown',
  mdown: 'markdown',
  mkd: 'markdown',
  mdx: 'markdown',
  qmd: 'markdown',
  rmd: 'markdown',
  txt: 'text',
  text: 'text',
  yaml: 'yaml',
  yml: 'yaml',
  json: 'json',
  canvas: 'json',
  geojson: 'json',
  ipynb: 'json',
  webmanifest: 'json',
  csv: 'csv',
  tsv: 'csv',
};

/**
 * A name that is not known is `other`: its lines are merged as git would, and only what is safe in any text is done
 * beyond that. Nobody knows what a neighbouring line means to a program.
 */
export function fileKind(path: string): FileKind {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  if (dot < 0) return 'other';
  return KINDS[name.slice(dot + 1).toLowerCase()] ?? 'other';
}
