import type { Identities, Identity } from '../config/identity.js';
import { asRefName, type RefName } from '../git/ids.js';
import { requireValidId } from './note-id.js';
import type { NoteTarget, NoteText } from './note-plan.js';

/** Everything that any holder needs to write the note as its author meant it, whoever and wherever the holder is. */
export interface NoteEntry {
  readonly note: NoteText;
  readonly message?: string;
  readonly id?: string;
  readonly identities: Identities;
  /** The branch that was checked out when the note was written. */
  readonly branch: RefName;
  /** Its author signs commits: a holder who does not leaves it to one who does. */
  readonly signed?: true;
  readonly waiter: EntryWaiter;
}

/** Who waits for the entry, for people, and in one word for the proof of its end. */
export interface EntryWaiter {
  readonly word: string;
  readonly user: string;
  readonly host: string;
  readonly pid: number;
  /** RFC 3339. */
  readonly since: string;
}

const FORMAT = 1;

export function encodeEntry(entry: NoteEntry): Buffer {
  const { dir, templates, daily } = entry.note.settings.notes;
  const note = { ...entry.note, settings: { notes: { dir, templates, daily } } };
  return Buffer.from(JSON.stringify({ format: FORMAT, ...entry, note }));
}

/** The entry in the bytes; undefined when they are none of this format. Anybody may have written them. */
export function parseEntry(data: Buffer): NoteEntry | undefined {
  try {
    const value = new Fields(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data)));
    if (value.number('format') !== FORMAT) return undefined;
    if (value.get('id') !== undefined) requireValidId(value.text('id'));
    if (value.get('message') !== undefined && value.text('message').includes('\0')) return undefined;
    return {
      note: parseNote(value.fields('note')),
      ...value.textIfThere('message'),
      ...value.textIfThere('id'),
      identities: {
        author: parseIdentity(value.fields('identities').fields('author')),
        committer: parseIdentity(value.fields('identities').fields('committer')),
      },
      branch: asRefName(value.text('branch')),
      ...(value.get('signed') === true ? { signed: true as const } : {}),
      waiter: parseWaiter(value.fields('waiter')),
    };
  } catch {
    return undefined;
  }
}

function parseNote(value: Fields): NoteText {
  const now = value.fields('now');
  const notes = value.fields('settings').fields('notes');
  const daily = notes.fields('daily');
  return {
    text: value.text('text'),
    target: parseTarget(value.fields('target')),
    ...value.textIfThere('heading'),
    ...value.textIfThere('template'),
    tags: value.list('tags').map(asText),
    properties: value.list('properties').map((pair) => {
      const [key, content] = Array.isArray(pair) ? (pair as unknown[]) : [];
      return [asText(key), asText(content)] as const;
    }),
    frontmatter: value.get('frontmatter') === true,
    now: { epochMs: now.number('epochMs'), offsetMinutes: now.number('offsetMinutes') },
    settings: {
      notes: {
        ...notes.textIfThere('dir'),
        templates: notes.text('templates'),
        daily: { ...daily.textIfThere('folder'), ...daily.textIfThere('format'), ...daily.textIfThere('template') },
      },
    },
  };
}

function parseTarget(value: Fields): NoteTarget {
  const kind = value.text('kind');
  switch (kind) {
    case 'new':
      return {
        kind,
        ...value.textIfThere('title'),
        ...value.textIfThere('path'),
        ...value.textIfThere('dir'),
        ...value.textIfThere('name'),
      };
    case 'append':
      return { kind, path: value.text('path') };
    case 'daily':
      return { kind };
    case 'replace':
      return { kind, path: value.text('path'), ...value.textIfThere('ifMatch') };
    default:
      throw new TypeError(`no kind of note: ${kind}`);
  }
}

/** A signature is written into a commit as it is: nothing that could end its line may be in it. */
function parseIdentity(value: Fields): Identity {
  const identity = {
    name: value.text('name'),
    email: value.text('email'),
    timestamp: value.number('timestamp'),
    timezone: value.text('timezone'),
  };
  const isSound =
    !/[\0\n<>]/.test(identity.name + identity.email) &&
    Number.isSafeInteger(identity.timestamp) &&
    /^[+-]\d{4}$/.test(identity.timezone);
  if (!isSound) throw new TypeError('no identity');
  return identity;
}

function parseWaiter(value: Fields): EntryWaiter {
  return {
    word: value.text('word'),
    user: value.text('user'),
    host: value.text('host'),
    pid: value.number('pid'),
    since: value.text('since'),
  };
}

/** A JSON object whose fields are asked for by type. */
class Fields {
  constructor(private readonly value: unknown) {
    if (value === null || typeof value !== 'object') throw new TypeError('no object');
  }

  get(name: string): unknown {
    return Object.hasOwn(this.value as object, name) ? (this.value as Record<string, unknown>)[name] : undefined;
  }

  fields(name: string): Fields {
    return new Fields(this.get(name));
  }

  text(name: string): string {
    return asText(this.get(name));
  }

  textIfThere<Name extends string>(name: Name): Partial<Record<Name, string>> {
    return this.get(name) === undefined ? {} : ({ [name]: this.text(name) } as Record<Name, string>);
  }

  number(name: string): number {
    const value = this.get(name);
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new TypeError(`${name} is no number`);
    return value;
  }

  list(name: string): unknown[] {
    const value = this.get(name);
    if (!Array.isArray(value)) throw new TypeError(`${name} is no list`);
    return value as unknown[];
  }
}

function asText(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('no text');
  return value;
}
