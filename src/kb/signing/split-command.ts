/**
 * The words of a command in git's configuration that no shell runs: blanks part them, quotes and backslashes keep them
 * together. Source: git's `alias.c`, `split_cmdline`.
 * @returns undefined when a quote is left open
 */
export function splitCommand(command: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let at = 0; at < command.length; at += 1) {
    let char = command[at] ?? '';
    if (quote === undefined && /\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (quote === undefined && /['"]/.test(char)) {
      quote = char;
      word ??= '';
    } else if (char === quote) quote = undefined;
    else {
      if (char === '\\' && quote !== "'") {
        char = command[(at += 1)] ?? '';
        if (char === '') return undefined;
      }
      word = (word ?? '') + char;
    }
  }
  if (quote !== undefined) return undefined;
  return word === undefined ? words : [...words, word];
}
