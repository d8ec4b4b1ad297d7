/** The form of a JSON value without its content: what a program that reads kb's `--json` output relies on. */
export type Shape = string | { readonly [field: string]: Shape } | readonly Shape[];

/**
 * Field names with the types of their values. Of a list only the forms that occur in it count; a field that is
 * `null` says so, because a reader must expect it.
 */
export function shapeOf(value: unknown): Shape {
  if (value === null) return 'null';
  if (Array.isArray(value)) {
    const forms = value.map((item) => JSON.stringify(shapeOf(item)));
    return [...new Set(forms)].sort().map((form) => JSON.parse(form) as Shape);
  }
  if (typeof value === 'object') {
    const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(fields.map(([name, item]) => [name, shapeOf(item)]));
  }
  return typeof value;
}
