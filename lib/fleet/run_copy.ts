/**
 * The hub's copy of one run. A piece of a file comes with its offset in the device's own file, which is only
 * appended to: so a piece that comes twice, late, or again after a crash is recognised by what is here
 * already, and the copy is the device's file, byte for byte.
 */
import { join } from "node:path";
import { replaceFile } from "../bench/folder.ts";
import { sha256Of } from "../catalog/files.ts";
import { UserError } from "../errors.ts";
import { parseDocument } from "../text_file.ts";
import { documentText, FLEET_SCHEMA, type ReceivedRun, receivedRun } from "./device.ts";
import { type EndReply, type EndRequest, FILE_TOKENS, type FileToken, isFileToken } from "./wire.ts";

/** Largest file of a run. */
const MAX_FILE_BYTES = 512 * 2 ** 20;

/**
 * The fate of a piece: `added`; `known`, it was here already; `early`, what comes before it is missing; or
 * why it is not taken at all.
 */
export type Taken = "added" | "known" | "early" | { readonly refused: string };

/** A run of a device, as far as it is here. After a restart of the hub, from what lies in its folder. */
export class RunCopy {
  readonly folder: string;
  readonly #plan: string;
  readonly #firstAt: string;
  readonly #sizes: Map<FileToken, number>;
  /** Null while it arrives. */
  verdict: EndReply["verdict"] = null;
  /** The check that is going on. */
  checking: Promise<EndReply> | null = null;
  mismatches = 0;

  constructor(folder: string, plan: string, tokens: readonly FileToken[], now: Date) {
    Deno.mkdirSync(folder, { recursive: true });
    this.folder = folder;
    this.#plan = plan;
    this.#sizes = new Map(tokens.map((token) => [token, sizeOf(this.#path(token))]));
    const received = readReceived(join(folder, "received.json"));
    this.#firstAt = received?.first_at ?? now.toISOString();
    if (received === null) {
      const begun = this.#received({ status: "arriving", reasons: [] }, [], this.#firstAt);
      Deno.writeTextFileSync(join(folder, "received.json"), documentText(begun));
    } else if (received.status !== "arriving") {
      this.verdict = { status: received.status, reasons: received.reasons };
    }
  }

  /** Bytes of each file. */
  get have(): Record<string, number> {
    return Object.fromEntries([...this.#sizes].map(([token, bytes]) => [FILE_TOKENS[token], bytes]));
  }

  /** Writes what is new of a piece. */
  take(
    file: FileToken,
    offset: number,
    bytes: Uint8Array,
    append: (path: string, bytes: Uint8Array) => void,
  ): Taken {
    const path = this.#path(file);
    if (file !== "samples" && file !== "answers") {
      Deno.writeFileSync(`${path}.new`, bytes);
      Deno.renameSync(`${path}.new`, path);
      this.#sizes.set(file, bytes.length);
      return "added";
    }
    const have = this.#sizes.get(file) ?? 0;
    if (offset > have) return "early";
    const fresh = bytes.subarray(have - offset);
    if (fresh.length === 0) return "known";
    if (have + fresh.length > MAX_FILE_BYTES) {
      return { refused: `${FILE_TOKENS[file]} is larger than ${MAX_FILE_BYTES} bytes` };
    }
    try {
      append(path, fresh);
    } catch (error) {
      // A full disk may have stored a part: the next attempt continues behind it.
      this.#sizes.set(file, sizeOf(path));
      throw error;
    }
    this.#sizes.set(file, have + fresh.length);
    return "added";
  }

  /** The files that are not as the device states. */
  async wrongFiles(files: EndRequest["files"]): Promise<FileToken[]> {
    const wrong: FileToken[] = [];
    for (const { name, bytes, sha256 } of files) {
      const token = tokenOf(name);
      const isRight = this.#sizes.get(token) === bytes && await sha256Of(this.#path(token)) === sha256;
      if (!isRight) wrong.push(token);
    }
    return wrong;
  }

  /** Empties files, which are then sent again from their first byte. */
  async empty(tokens: readonly FileToken[]): Promise<void> {
    for (const token of tokens) {
      await Deno.truncate(this.#path(token), 0).catch(() => {});
      this.#sizes.set(token, 0);
    }
  }

  /** Records that the run is whole, or refused. */
  async conclude(
    outcome: Pick<ReceivedRun, "status" | "reasons">,
    files: EndRequest["files"],
    now: Date,
  ): Promise<void> {
    const received = this.#received(outcome, files, now.toISOString());
    await replaceFile(join(this.folder, "received.json"), documentText(received));
  }

  #received(
    { status, reasons }: Pick<ReceivedRun, "status" | "reasons">,
    files: EndRequest["files"],
    last_at: string,
  ): ReceivedRun {
    const times = { first_at: this.#firstAt, last_at };
    return { schema_version: FLEET_SCHEMA, plan: this.#plan, status, reasons, ...times, files: [...files] };
  }

  #path(token: FileToken): string {
    return join(this.folder, FILE_TOKENS[token]);
  }
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

function tokenOf(name: string): FileToken {
  for (const token of Object.keys(FILE_TOKENS)) {
    if (isFileToken(token) && FILE_TOKENS[token] === name) return token;
  }
  throw new RangeError(`${name} is not a file of a run`);
}

function readReceived(path: string): ReceivedRun | null {
  try {
    const text = Deno.readTextFileSync(path);
    return parseDocument(text, { schema: receivedRun, newest: FLEET_SCHEMA, name: path });
  } catch (error) {
    // Damaged: a hub was killed while it wrote. What counts is in the files, and is checked again.
    if (error instanceof Deno.errors.NotFound || error instanceof UserError) return null;
    throw error;
  }
}
