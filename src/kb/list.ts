import { listRegistered } from '../config/registry.js';
import { enclosingKb } from './locate.js';
import type { Surroundings } from './surroundings.js';

export interface ListedKb {
  readonly name: string;
  readonly directory: string;
  /** Is there still a KB? */
  readonly present: boolean;
}

/** The KBs registered with `--name`, in the order of their names. */
export function listKbs({ disk, env }: Surroundings): ListedKb[] {
  return listRegistered(disk, env).map(({ name, directory }) => ({
    name,
    directory,
    present: enclosingKb(disk, directory) === directory,
  }));
}
