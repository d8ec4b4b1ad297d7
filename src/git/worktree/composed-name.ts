/** Characters that a Mac's file system never takes apart, so that putting names together must not touch them either. */
const WHOLE = /[\u2000-\u2fff\uf900-\ufaff\u{2f800}-\u{2faff}]/gu;
const WHOLE_RUNS = /([\u2000-\u2fff\uf900-\ufaff\u{2f800}-\u{2faff}]+)/u;

/**
 * A name as native git takes it where `core.precomposeUnicode` counts: letters and their marks put together, as in a
 * name that was typed elsewhere.
 * Source: git-config(1), `core.precomposeUnicode`; the characters that are left alone: Apple, Technical Q&A QA1173.
 */
export function composedName(name: string): string {
  return name
    .split(WHOLE_RUNS)
    .map((part, at) =>
      at % 2 === 1 ? part : part.normalize('NFC').replace(WHOLE, (composed) => composed.normalize('NFD')),
    )
    .join('');
}
