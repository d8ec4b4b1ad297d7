/** What a shell has to know of a command to complete it. */
export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly CompletedFlag[];
}

export interface CompletedFlag {
  readonly name: string;
  readonly char?: string;
  readonly summary: string;
  /** undefined: it takes no value; empty: any value. */
  readonly values?: readonly string[];
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** Names that only kb knows are asked from it at the moment of completion. */
const NAMES_OF_KBS = 'kb list';
const NAMES_OF_BRANCHES = 'kb branch';
/** Elsewhere `--branch` names a branch of another repository. */
const OWN_BRANCHES: readonly string[] = ['sync', 'switch'];

/**
 * A script that teaches a shell to complete `kb`: commands, flags, values that are known beforehand, names of KBs and
 * branches; files elsewhere. Its text comes from kb's own commands only, never from a KB.
 * @param topics what `kb help` takes beside commands
 */
export function completionScript(
  shell: Shell,
  commands: readonly CompletedCommand[],
  topics: readonly string[],
): string {
  switch (shell) {
    case 'bash':
      return bash(commands, topics);
    case 'zsh':
      return `${ZSH_START}${bash(commands, topics)}`;
    case 'fish':
      return fish(commands, topics);
  }
}

/** Who has zsh's completion on already need not start it anew at each start. */
const ZSH_START = `(( $+functions[compdef] )) || { autoload -U compinit && compinit; }
autoload -U +X bashcompinit && bashcompinit
`;

/** For bash 3.2, which macOS has, and for zsh by its `bashcompinit`. */
function bash(commands: readonly CompletedCommand[], topics: readonly string[]): string {
  const names = commands.map(({ name }) => name);
  const flagCases = commands.map(({ name, flags }) => `${name}) words="${flags.map(dashed).join(' ')}" ;;`);
  const valueCases = commands.flatMap(({ name, flags }) =>
    flags.flatMap((flag) => {
      const asked = flag.name === 'branch' && OWN_BRANCHES.includes(name);
      const words = asked ? asking(NAMES_OF_BRANCHES) : (flag.values ?? []).join(' ');
      if (words === '') return [];
      const spellings = [dashed(flag), ...(flag.char === undefined ? [] : [`-${flag.char}`])];
      return [`${spellings.map((spelling) => `${name}:${spelling}`).join('|')}) words="${words}" ;;`];
    }),
  );
  return `_kb() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="" command="\${COMP_WORDS[1]}" words="" at
  COMPREPLY=()
  [ "$COMP_CWORD" -gt 0 ] && prev="\${COMP_WORDS[COMP_CWORD-1]}"
  # "--flag=value" comes as three words
  if [ "$cur" = "=" ]; then cur=""
  elif [ "$prev" = "=" ]; then prev="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=( $(compgen -W "${names.join(' ')}" -- "$cur") )
    return
  fi
  for (( at = 2; at < COMP_CWORD; at++ )); do
    if [ "\${COMP_WORDS[at]}" = "--" ]; then
      [ "$at" -eq $(( COMP_CWORD - 1 )) ] && COMPREPLY=( $(compgen -c -- "$cur") )
      return
    fi
  done
  case "$command:$prev" in
    *:--kb) words="${asking(NAMES_OF_KBS)}" ;;
${indented(valueCases, 4)}
    *)
      case "$cur" in
        -*)
          case "$command" in
${indented(flagCases, 12)}
          esac ;;
        *)
          case "$command" in
            switch) words="${asking(NAMES_OF_BRANCHES)}" ;;
            help) words="${[...names, ...topics].join(' ')}" ;;
          esac ;;
      esac ;;
  esac
  [ -n "$words" ] && COMPREPLY=( $(compgen -W "$words" -- "$cur") )
}
complete -o default -F _kb kb
`;
}

function dashed({ name }: CompletedFlag): string {
  return `--${name}`;
}

function indented(lines: readonly string[], by: number): string {
  return lines.map((line) => ' '.repeat(by) + line).join('\n');
}

/**
 * The first field of each line that kb prints.
 *
 * Invariant: a name is completed only if it means nothing to a shell. `compgen -W` expands its words, and whoever can
 * push could call a branch `$(…)`. (Broken by: completion.test.ts, "runs nothing that a branch is called")
 */
function asking(command: string): string {
  return `$(${command} 2>/dev/null </dev/null | cut -f1 | LC_ALL=C grep -E '^[A-Za-z0-9._/@+-]+$')`;
}

function fish(commands: readonly CompletedCommand[], topics: readonly string[]): string {
  const lines = [`complete -c kb -n __fish_use_subcommand -f`];
  for (const { name, summary, flags } of commands) {
    lines.push(`complete -c kb -n __fish_use_subcommand -a ${name} -d ${fishText(summary)}`);
    const when = `-n '__fish_seen_subcommand_from ${name}'`;
    for (const flag of flags) {
      const char = flag.char === undefined ? '' : ` -s ${flag.char}`;
      const value = fishValue(name, flag);
      lines.push(`complete -c kb ${when} -l ${flag.name}${char}${value} -d ${fishText(flag.summary)}`);
    }
    if (name === 'switch') lines.push(`complete -c kb ${when} -f -a ${fishAsking(NAMES_OF_BRANCHES)}`);
    if (name === 'help')
      lines.push(`complete -c kb ${when} -f -a '${[...commands.map((one) => one.name), ...topics].join(' ')}'`);
  }
  return `${lines.join('\n')}\n`;
}

function fishValue(command: string, { name, values }: CompletedFlag): string {
  if (values === undefined) return '';
  if (name === 'kb') return ` -r -a ${fishAsking(NAMES_OF_KBS)}`;
  if (name === 'branch' && OWN_BRANCHES.includes(command)) return ` -x -a ${fishAsking(NAMES_OF_BRANCHES)}`;
  return values.length === 0 ? ' -r' : ` -x -a '${values.join(' ')}'`;
}

/** fish takes what is printed as it is. */
function fishAsking(command: string): string {
  return `'(${command} 2>/dev/null </dev/null | cut -f1)'`;
}

function fishText(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
