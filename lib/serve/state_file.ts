/** A small file that is readable whenever its writer is killed: written beside and renamed, and not too often. */
import { dirname } from "node:path";
import { reasonOf } from "../errors.ts";

export interface StateFileOptions {
  readonly path: string;
  /** The text to be written, asked for when it is. */
  readonly text: () => string | null;
  /** At most one write in this time. */
  readonly everyMs: number;
  /** Writing failed (a full disk, no permission): reported once, and again when it works. */
  readonly onTrouble: (reason: string | null) => void;
}

export interface StateFile {
  /** What is to be kept has changed. */
  changed(): void;
  /** Writes now what has not been written; never rejects. */
  flush(): Promise<void>;
}

/**
 * Keeps a text on disk. A disk that is full costs what was learned since, never the server.
 *
 * ```ts ignore
 * const file = stateFile({ path: "router.json", text: () => "{}", everyMs: 1000, onTrouble: console.error });
 * file.changed();
 * await file.flush();
 * ```
 */
export function stateFile({ path, text, everyMs, onTrouble }: StateFileOptions): StateFile {
  let dirty = false;
  let troubled = false;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let writing: Promise<void> = Promise.resolve();
  const write = async () => {
    if (!dirty) return;
    dirty = false;
    const now = text();
    if (now === null) return;
    const trouble = await replace(path, now);
    if (trouble !== null) dirty = true;
    if ((trouble !== null) !== troubled) onTrouble(trouble);
    troubled = trouble !== null;
  };
  const next = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    return writing = writing.then(write);
  };
  return {
    changed() {
      dirty = true;
      timer ??= setTimeout(() => void next(), everyMs);
      Deno.unrefTimer(Number(timer));
    },
    flush: next,
  };
}

/** Null, or why it could not be written. */
async function replace(path: string, text: string): Promise<string | null> {
  const beside = `${path}.new`;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(beside, text, { mode: 0o600 });
    await Deno.rename(beside, path);
    return null;
  } catch (error) {
    await Deno.remove(beside).catch(() => {}); // half a file is of no use
    return reasonOf(error);
  }
}
