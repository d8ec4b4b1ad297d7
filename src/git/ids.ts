import { KbError } from '../errors.js';

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** An object's id: 40 lower-case hex digits (SHA-1). */
export type Oid = Branded<string, 'Oid'>;
/** A full ref name that passed `git check-ref-format`, such as `refs/heads/main`; or `HEAD`. */
export type RefName = Branded<string, 'RefName'>;

export const ZERO_OID = '0'.repeat(40) as Oid;
/** The tree without entries; git knows it even where it is not stored. */
export const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as Oid;

const HEX = /^[0-9a-f]{40}$/;

export function isOid(text: string): text is Oid {
  return HEX.test(text);
}

/** @throws KbError E_CORRUPT when the text is no object id */
export function asOid(text: string, where = 'object id'): Oid {
  if (isOid(text)) return text;
  throw new KbError('E_CORRUPT', `not a valid ${where}: ${JSON.stringify(text.slice(0, 80))}`);
}

/**
 * Source of the rules: git-check-ref-format(1), "Git imposes the following rules".
 * @throws KbError E_USAGE when the name is not allowed
 */
export function asRefName(text: string): RefName {
  if (text === 'HEAD' || (text.startsWith('refs/') && isRefShape(text))) return text as RefName;
  throw new KbError('E_USAGE', `not a valid ref name: ${JSON.stringify(text.slice(0, 200))}`);
}

/** `main` → `refs/heads/main`. @throws KbError E_USAGE */
export function branchRef(branch: string): RefName {
  if (branch.startsWith('-'))
    throw new KbError('E_USAGE', `a branch name cannot begin with "-": ${JSON.stringify(branch)}`);
  return asRefName(`refs/heads/${branch}`);
}

/** `refs/heads/main` → `main`; other refs unchanged. */
export function shortName(ref: RefName): string {
  return ref.replace(/^refs\/(heads|tags|remotes)\//, '');
}

function isRefShape(name: string): boolean {
  if (/[\0-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\.$|\/$/.test(name)) return false;
  return name.split('/').every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.lock'));
}
