/** Text files that people edit: UTF-8 or UTF-16, and one clear line for any other encoding. */
import { reasonOf, UserError } from "./errors.ts";

/**
 * Reads a text file. UTF-8 and UTF-16 are recognised by their byte order mark, which is left out; without one
 * the file is UTF-8.
 *
 * @param what what the file is, for messages: `the prompt set`
 * @throws {UserError} when the file can't be read, or is in another encoding such as Windows-1252: then with the
 *   place of the first byte that is not UTF-8
 *
 * ```ts
 * const text = await readTextFile("prompts/default.json", "the prompt set");
 * if (!text.startsWith("{")) throw new Error(text.slice(0, 9));
 * ```
 */
export async function readTextFile(path: string, what: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new UserError(`can't read ${what} ${path}: ${reason}`, 2, { cause: error });
  }
  return decodeText(bytes, `${what} ${path}`);
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
