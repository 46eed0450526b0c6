/** Text files that people edit, and JSON documents that Podium wrote: read, or refused in one clear line. */
import { z } from "zod";
import { reasonOf, UserError } from "./errors.ts";

/**
 * Reads a text file. UTF-8 and UTF-16 are recognised by their byte order mark, which is left out; without one
 * the file is UTF-8.
 *
 * @param what what the file is, for messages: `the prompt set`
 * @param decode another way to decode, for files that programs save in the encoding of their country
 * @throws {UserError} when the file can't be read, or is in another encoding such as
 * Windows-1252: then with the
 *   place of the first byte that is not UTF-8
 *
 * ```ts
 * const text = await readTextFile("prompts/default.json", "the prompt set");
 * if (!text.startsWith("{")) throw new Error(text.slice(0, 9));
 * ```
 */
export async function readTextFile(path: string, what: string, decode = decodeText): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new UserError(`can't read ${what} ${path}: ${reason}`, 2, { cause: error });
  }
  return decode(bytes, `${what} ${path}`);
}

/**
 * Decodes the bytes of a text file as {@link readTextFile} does.
 *
 * ```ts
 * if (decodeText(new Uint8Array([0xff, 0xfe, 0x41, 0]), "the file") !== "A") throw new Error("UTF-16");
 * ```
 */
export function decodeText(bytes: Uint8Array, name: string): string {
  const [first, second] = bytes;
  const encoding = first === 0xff && second === 0xfe
    ? "utf-16le"
    : first === 0xfe && second === 0xff
    ? "utf-16be"
    : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UserError(`${name} is not UTF-8${placeOf(bytes)}: save it as UTF-8`, 2, { cause: error });
  }
}

/** A line feed is a byte of its own in UTF-8, so that lines can be tried one by one. */
function placeOf(bytes: Uint8Array): string {
  let start = 0;
  for (let line = 1; start < bytes.length; line++) {
    const feed = bytes.indexOf(0x0a, start);
    const end = feed < 0 ? bytes.length : feed;
    const part = bytes.subarray(start, end);
    const column = new TextDecoder().decode(part).indexOf("\uFFFD");
    if (column >= 0 && !isUtf8(part)) {
      const near = new TextDecoder("windows-1252").decode(part).slice(Math.max(0, column - 15), column + 15);
      return ` (line ${line}, near ${JSON.stringify(near.trim())})`;
    }
    start = end + 1;
  }
  return "";
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** What {@link parseDocument} checks a document against. */
export interface DocumentShape<T> {
  readonly schema: z.ZodType<T>;
  /** The newest `schema_version` that this version of Podium reads. */
  readonly newest: number;
  /** What the document is, for messages: `run.json in reports/x`. */
  readonly name: string;
  /** How the user gets a whole one. */
  readonly remedy?: string;
}

/**
 * Checks a JSON document that Podium wrote. A byte order mark, which some editors add, is skipped.
 *
 * @throws {UserError} where a newer version of Podium wrote the document, or it is damaged
 *
 * ```ts
 * import { z } from "zod";
 * const schema = z.object({ schema_version: z.literal(1) });
 * parseDocument('\uFEFF{"schema_version": 1}', { schema, newest: 1, name: "run.json" });
 * try {
 *   parseDocument('{"schema_version": 2}', { schema, newest: 1, name: "run.json" });
 *   throw new Error("a newer document must be refused");
 * } catch (error) {
 *   if (!String(error).includes("newer version of Podium")) throw error;
 * }
 * ```
 */
export function parseDocument<T>(text: string, { schema, newest, name, remedy }: DocumentShape<T>): T {
  const orElse = (start: string) => remedy === undefined ? "" : `${start}${remedy}`;
  let document: unknown;
  try {
    document = JSON.parse(text.replace(/^\uFEFF/, ""));
    return schema.parse(document);
  } catch (error) {
    const newer = z.looseObject({ schema_version: z.number().gt(newest) }).safeParse(document);
    if (newer.success) {
      throw new UserError(
        `${name} was written by a newer version of Podium (schema ${newer.data.schema_version}; this version reads ` +
          `up to ${newest}): update Podium${orElse(", or ")}`,
        2,
        { cause: error },
      );
    }
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : reasonOf(error);
    throw new UserError(`${name} is damaged: ${reasonOf(reason).slice(0, 500)}${orElse("; ")}`, 2, {
      cause: error,
    });
  }
}

/** Whether there is such a file. */
export const isFile = (path: string): Promise<boolean> =>
  Deno.stat(path).then((info) => info.isFile, () => false);
