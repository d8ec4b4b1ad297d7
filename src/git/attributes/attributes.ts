import type { Disk } from '../../disk/disk.js';
import { isErrno } from '../../disk/durable.js';
import { encodePath, type RepoPath } from '../paths.js';
import { toByteString } from '../worktree/ignore-pattern.js';
import { type AttributeLine, type AttributeState, parseAttributes } from './parse.js';

/** What is said of one file; a name that is missing or null counts as unspecified. */
export type Attributes = ReadonlyMap<string, AttributeState>;

const NOTHING: Attributes = new Map();

export const ATTRIBUTES_FILE = '.gitattributes';
/** As in git (its ATTR_MAX_FILE_SIZE): larger files are passed over. Bytes. */
const MAX_FILE_BYTES = 100 * 1024 * 1024;

/** Where the files with attributes are that lie outside of the work tree. */
export interface OutsideAttributes {
  /** The weakest first: the system's, then the user's (`core.attributesFile`). */
  readonly files: readonly string[];
  readonly gitDir: string;
}

/**
 * The `.gitattributes` of one folder, as the asker is to see it.
 * @param path of the file in the repository
 * @returns undefined: there is none
 */
export type ReadAttributes = (path: RepoPath) => { readonly content: Buffer; readonly isBlob: boolean } | undefined;

/** One file's lines, and the weaker ones behind it. */
interface Layer {
  /** Of the folder, as a byte string with a `/` at its end; '' for the root and for what lies outside. */
  readonly base: string;
  readonly lines: readonly AttributeLine[];
  readonly next: Layer | undefined;
}

/**
 * Which attributes files have: `info/attributes` goes first, then the `.gitattributes` of the file's own folder and of
 * those above it, then the user's file, then the system's. The first that speaks of an attribute decides; in a file its
 * last line does. Files are read once, when a path below them is asked for.
 * Source: gitattributes(5).
 */
export class AttributeLookup {
  private readonly folders = new Map<string, Layer | undefined>();
  private info: readonly AttributeLine[] | undefined;
  private macros: ReadonlyMap<string, AttributeLine['states']> | undefined;

  constructor(
    private readonly disk: Disk,
    private readonly outside: OutsideAttributes,
    private readonly ignoreCase: boolean,
    private readonly read: ReadAttributes,
  ) {}

  /** Nothing outside of the work tree says anything. */
  get isSilentOutside(): boolean {
    return this.outermost() === undefined && this.infoLines.length === 0;
  }

  private get infoLines(): readonly AttributeLine[] {
    return (this.info ??= this.readOutside(`${this.outside.gitDir}/info/attributes`));
  }

  of(path: RepoPath): Attributes {
    const slash = path.lastIndexOf('/');
    const layers = this.layersOf(slash < 0 ? '' : path.slice(0, slash));
    const info = this.infoLines;
    if (layers === undefined && info.length === 0) return NOTHING;
    const found = new Map<string, AttributeState>();
    const bytes = toByteString(path, encodePath);
    const name = bytes.slice(bytes.lastIndexOf('/') + 1);
    this.collect(found, { base: '', lines: info, next: layers }, bytes, name);
    return found;
  }

  private collect(found: Map<string, AttributeState>, first: Layer, bytes: string, name: string): void {
    for (let layer: Layer | undefined = first; layer !== undefined; layer = layer.next) {
      const relative = bytes.slice(layer.base.length);
      for (let at = layer.lines.length - 1; at >= 0; at -= 1) {
        const line = layer.lines[at];
        if (line?.pattern?.matches(relative, name) === true) this.fill(found, line.states);
      }
    }
  }

  /** Invariant: an attribute that is decided is not decided again, so macros that name each other come to an end. */
  private fill(found: Map<string, AttributeState>, states: AttributeLine['states']): void {
    for (let at = states.length - 1; at >= 0; at -= 1) {
      const [name, state] = states[at] ?? ['', null];
      if (found.has(name)) continue;
      found.set(name, state);
      const macro = state === true ? this.knownMacros().get(name) : undefined;
      if (macro !== undefined) this.fill(found, macro);
    }
  }

  private layersOf(folder: string): Layer | undefined {
    if (this.folders.has(folder)) return this.folders.get(folder);
    const slash = folder.lastIndexOf('/');
    let layers = folder === '' ? this.outermost() : this.layersOf(slash < 0 ? '' : folder.slice(0, slash));
    const file = this.read((folder === '' ? ATTRIBUTES_FILE : `${folder}/${ATTRIBUTES_FILE}`) as RepoPath);
    if (file !== undefined && file.content.length < MAX_FILE_BYTES) {
      const kind = { macros: folder === '', ignoreCase: this.ignoreCase, isBlob: file.isBlob };
      layers = inFront(
        folder === '' ? '' : `${toByteString(folder, encodePath)}/`,
        parseAttributes(file.content, kind),
        layers,
      );
    }
    this.folders.set(folder, layers);
    return layers;
  }

  private outermost(): Layer | undefined {
    let layers: Layer | undefined;
    for (const file of this.outside.files) layers = inFront('', this.readOutside(file), layers);
    return layers;
  }

  private knownMacros(): ReadonlyMap<string, AttributeLine['states']> {
    if (this.macros !== undefined) return this.macros;
    const macros = new Map<string, AttributeLine['states']>([
      ['binary', [['diff', false], ['merge', false], ['text', false]]], // prettier-ignore
    ]);
    const weakestFirst: (readonly AttributeLine[])[] = [];
    for (let layer = this.layersOf(''); layer !== undefined; layer = layer.next) weakestFirst.unshift(layer.lines);
    for (const lines of [...weakestFirst, this.infoLines])
      for (const { macro, states } of lines) if (macro !== undefined) macros.set(macro, states);
    return (this.macros = macros);
  }

  private readOutside(file: string): readonly AttributeLine[] {
    const content = readAttributesFile(this.disk, file, 'follow links');
    return content === undefined
      ? []
      : parseAttributes(content, { macros: true, ignoreCase: this.ignoreCase, isBlob: false });
  }
}

function inFront(base: string, lines: readonly AttributeLine[], next: Layer | undefined): Layer | undefined {
  return lines.length === 0 ? next : { base, lines, next };
}

/** A link in the work tree is not followed: a tree could point it anywhere. What cannot be read says nothing, as in git. */
export function readAttributesFile(
  disk: Disk,
  file: string | Buffer,
  links: 'follow links' | 'no links',
): Buffer | undefined {
  try {
    const options = { throwIfNoEntry: false } as const;
    const stats = links === 'follow links' ? disk.statSync(file, options) : disk.lstatSync(file, options);
    if (stats?.isFile() !== true || stats.size >= MAX_FILE_BYTES) return undefined;
    return disk.readFileSync(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return undefined;
    throw error;
  }
}
