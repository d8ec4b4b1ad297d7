import type { RepoPath } from '../git/paths.js';
import type { MergedFile } from './apply-changes.js';

/** What several commits, or cycles, came to: each file once, with every rule that was used on it. */
export class MergedFiles {
  private readonly files = new Map<RepoPath, MergedFile>();

  add(files: readonly MergedFile[]): void {
    for (const file of files) {
      const { rules, from = file.from } = this.files.get(file.path) ?? { rules: [] };
      const all = { path: file.path, rules: [...new Set([...rules, ...file.rules])] };
      this.files.set(file.path, from === undefined ? all : { ...all, from });
    }
  }

  get all(): MergedFile[] {
    return [...this.files.values()];
  }
}
