/** Templates of job files: `{{column}}` stands for the value that a row has there. */
import { UserError } from "../errors.ts";

/** The values of one row by column. */
export type RowValues = Readonly<Record<string, unknown>>;

/** A template in pieces: texts, and the columns between them. */
type Piece = string | { readonly column: string };

const compiled = new Map<string, readonly Piece[]>();

/** Templates are few and rows are many: each template is split once. */
function pieces(template: string): readonly Piece[] {
  const known = compiled.get(template);
  if (known !== undefined) return known;
  const made = template.split(/(\{\{[^{}]*\}\})/).filter((text) => text !== "").map((text): Piece =>
    text.startsWith("{{") && text.endsWith("}}") ? { column: text.slice(2, -2).trim() } : text
  );
  if (compiled.size > 1000) compiled.clear();
  compiled.set(template, made);
  return made;
}

/**
 * The columns that a template names, or those of every text in a list or object.
 *
 * ```ts
 * if (columnsOf({ city: "{{city}}", all: ["{{a}} {{b}}"] }).join() !== "city,a,b") throw new Error("three");
 * ```
 */
export function columnsOf(template: unknown): string[] {
  if (typeof template === "string") {
    return pieces(template).flatMap((piece) => typeof piece === "string" ? [] : [piece.column]);
  }
  return typeof template === "object" && template !== null ? Object.values(template).flatMap(columnsOf) : [];
}

/**
 * The value that a column, or a path such as `address.city` into one, has in a row; undefined where it is
 * missing: not there, null, or blank.
 *
 * ```ts
 * if (valueOf({ address: { city: "Bonn" } }, "address.city") !== "Bonn") throw new Error("a path into a value");
 * if (valueOf({ text: "  " }, "text") !== undefined) throw new Error("blank");
 * ```
 */
export function valueOf(row: RowValues, column: string): unknown {
  const value = Object.hasOwn(row, column) ? row[column] : column.split(".").reduce<unknown>(
    (at, key) =>
      typeof at === "object" && at !== null && Object.hasOwn(at, key) ? Reflect.get(at, key) : undefined,
    row,
  );
  return value === null || typeof value === "string" && value.trim() === "" ? undefined : value;
}

/** What to put in the place of a value that is missing. */
export type Missing = (column: string) => unknown;

/**
 * Fills a template in: a template that is one column alone gives its value as it is (a number, a list); any
 * other gives a text, in which lists and objects are JSON. Lists and objects are filled in part by part.
 *
 * ```ts
 * const filled = fill({ ask: "How is {{city}}?", days: "{{days}}" }, { city: "Bonn", days: 3 }, () => null);
 * if (JSON.stringify(filled) !== '{"ask":"How is Bonn?","days":3}') throw new Error(JSON.stringify(filled));
 * ```
 */
export function fill(template: unknown, row: RowValues, missing: Missing): unknown {
  if (typeof template === "string") {
    const parts = pieces(template);
    const value = (column: string) => valueOf(row, column) ?? missing(column);
    const [only] = parts;
    if (parts.length === 1 && typeof only === "object") return value(only.column);
    return parts.map((piece) => typeof piece === "string" ? piece : textOf(value(piece.column))).join("");
  }
  if (Array.isArray(template)) return template.map((one: unknown) => fill(one, row, missing));
  if (typeof template !== "object" || template === null) return template;
  return Object.fromEntries(
    Object.entries(template).map(([key, one]) => [key, fill(one, row, missing)]),
  );
}

/** A value in the middle of a text: lists and objects are JSON, nothing is an empty text. */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * Holds that every column which a template names exists.
 *
 * @param where names the template in the message: `"prompt" of the job triage.json`
 * @throws {UserError} naming the columns that exist
 */
export function assertColumns(
  template: unknown,
  columns: readonly string[],
  where: string,
  source: string,
): void {
  const known = new Set(columns);
  const unknown = columnsOf(template).filter((name) =>
    !known.has(name) && !known.has(name.split(".")[0] ?? "")
  );
  const [first] = unknown;
  if (first === undefined) return;
  const near = columns.find((name) => name.trim().toLowerCase() === first.toLowerCase());
  throw new UserError(
    `${where} names the column "${first}", which ${source} does not have: its columns are ` +
      columns.map((name) => JSON.stringify(name)).join(", ") +
      (near === undefined ? "" : ` (${JSON.stringify(near)}?)`),
  );
}
