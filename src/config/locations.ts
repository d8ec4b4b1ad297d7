import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** The user's home directory; the environment goes first so that a test or a service can move it. */
export function homeDirectory(env: NodeJS.ProcessEnv): string {
  return env['HOME'] || env['USERPROFILE'] || homedir();
}

/** `~/` at the beginning of a path in a configuration. @param home of the user; absolute */
export function homePath(path: string, home: string): string {
  return path.startsWith('~/') ? join(home, path.slice(2)) : path;
}

/** `$XDG_CONFIG_HOME/kb`, else `~/.config/kb`. A relative XDG_CONFIG_HOME is ignored, as the XDG base directory specification asks. */
export function configDirectory(env: NodeJS.ProcessEnv): string {
  const xdg = env['XDG_CONFIG_HOME'];
  return join(xdg && isAbsolute(xdg) ? xdg : join(homeDirectory(env), '.config'), 'kb');
}

export function userConfigFile(env: NodeJS.ProcessEnv): string {
  return join(configDirectory(env), 'config.yaml');
}

export function registryFile(env: NodeJS.ProcessEnv): string {
  return join(configDirectory(env), 'registry.json');
}
