import type { Disk } from '../../disk/disk.js';
import {
  ATTRIBUTES_FILE,
  AttributeLookup,
  type Attributes,
  type OutsideAttributes,
  readAttributesFile,
} from '../attributes/attributes.js';
import type { Oid } from '../ids.js';
import type { Leaf } from '../objects/tree.js';
import type { TreeChange } from '../objects/tree-diff.js';
import { type RepoPath, toDiskPath } from '../paths.js';
import { type ConversionSettings, conversionOf, type PathConversion } from './path-conversion.js';

/** The repository behind a work tree, as far as attributes need it. Asked only where nothing nearer answers. */
export interface ConversionSource {
  readonly index: () => RecordedBlobs;
  /** @returns undefined when it is not here */
  readonly blob: (oid: Oid) => Buffer | undefined;
}

/** What an index or a tree has at a path. */
export interface RecordedBlobs {
  get(path: RepoPath): { readonly oid: Oid } | undefined;
}

/** Attributes and conversions of paths, by the `.gitattributes` of one moment. */
export interface PathRules {
  attributesOf(path: RepoPath): Attributes;
  of(path: RepoPath): PathConversion;
}

/**
 * How files become blobs and blobs files. Git asks different `.gitattributes` for the two: of a file that is committed or
 * compared those that lie in the work tree, of one that is checked out those of the tree that it comes from.
 */
export class Conversions {
  private forFiles: PathRules | undefined;
  private readonly told = new Set<string>();

  constructor(
    private readonly disk: Disk,
    private readonly root: string,
    private readonly outside: OutsideAttributes & { readonly ignoreCase: boolean },
    /** Read when the first file is looked at. */
    private readonly settings: () => ConversionSettings,
    private readonly source: ConversionSource,
    /** Gets a sentence for each thing that a file was written without, once. */
    private readonly warn: (text: string) => void = () => {},
  ) {}

  /**
   * The rules for files as they lie there.
   * Invariant: what was read is not remembered beyond an uninterrupted stretch of work, in which nobody in this process
   * can have changed it.
   */
  rulesOnDisk(index?: RecordedBlobs): PathRules {
    if (this.forFiles !== undefined) return this.forFiles;
    queueMicrotask(() => (this.forFiles = undefined));
    let known = index;
    const inIndex = (path: RepoPath): Buffer | undefined => {
      const entry = (known ??= this.source.index()).get(path);
      return entry === undefined ? undefined : this.source.blob(entry.oid);
    };
    return (this.forFiles = this.rules((path) => {
      const content = this.readFromDisk(path);
      if (content !== undefined) return { content, isBlob: false };
      const recorded = inIndex(path);
      return recorded === undefined ? undefined : { content: recorded, isBlob: true };
    }));
  }

  /**
   * The rules for files that a change of the tree brings.
   * @param side `after`: the tree that it leads to; `before`: the one that it comes from
   * @param index before the change; undefined: there is none, and what the change does not bring is not there
   */
  rulesOfTree(
    changes: readonly TreeChange[],
    side: 'before' | 'after',
    blob: (oid: Oid) => Buffer | undefined,
    index: (() => RecordedBlobs) | undefined,
  ): PathRules {
    const brought = new Map<RepoPath, Leaf | undefined>();
    for (const change of changes) if (change.path.endsWith(ATTRIBUTES_FILE)) brought.set(change.path, change[side]);
    let known: RecordedBlobs | undefined;
    return this.rules((path) => {
      const isBrought = brought.has(path);
      const recorded = isBrought ? brought.get(path) : index === undefined ? undefined : (known ??= index()).get(path);
      const content = recorded === undefined ? undefined : blob(recorded.oid);
      if (content !== undefined) return { content, isBlob: true };
      const onDisk = isBrought || index === undefined ? undefined : this.readFromDisk(path);
      return onDisk === undefined ? undefined : { content: onDisk, isBlob: false };
    });
  }

  /**
   * The rules for files of a tree where nothing is yet.
   * @param attributes content of a `.gitattributes` of that tree, by its path
   */
  rulesOfFreshTree(attributes: (path: RepoPath) => Buffer | undefined): PathRules {
    return this.rules((path) => {
      const content = attributes(path);
      return content === undefined ? undefined : { content, isBlob: true };
    });
  }

  /** Where no `.gitattributes` speaks of a file, nothing else does. */
  get isSilentOutside(): boolean {
    const lookup = new AttributeLookup(this.disk, this.outside, this.outside.ignoreCase, () => undefined);
    return this.settings().autoCrlf === false && lookup.isSilentOutside;
  }

  /** As the repository has it now. */
  get recorded(): ConversionSource {
    return this.source;
  }

  /** Says once for each cause that a file was written as the repository holds it. */
  tellUnconverted(path: RepoPath, problem: string): void {
    if (this.told.has(problem)) return;
    this.told.add(problem);
    this.warn(`${path} and files like it lie here as the repository holds them: ${problem}`);
  }

  private rules(read: ConstructorParameters<typeof AttributeLookup>[3]): PathRules {
    const lookup = new AttributeLookup(this.disk, this.outside, this.outside.ignoreCase, read);
    let settings: ConversionSettings | undefined;
    return {
      attributesOf: (path) => lookup.of(path),
      of: (path) => conversionOf(lookup.of(path), (settings ??= this.settings())),
    };
  }

  private readFromDisk(path: RepoPath): Buffer | undefined {
    return readAttributesFile(this.disk, toDiskPath(this.root, path), 'no links');
  }
}

/** The paths of a change whose new content goes through this filter: what it stands for is fetched before they are written. */
export function pathsWithFilter(rules: PathRules, changes: readonly TreeChange[], name: string): TreeChange[] {
  return changes.filter(({ path, after }) => after !== undefined && rules.attributesOf(path).get('filter') === name);
}
