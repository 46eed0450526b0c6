/** A small file that stays readable even if its writer is killed: it is written to a new file, then renamed. */
import { dirname } from "node:path";
import { replaceFile } from "../bench/folder.ts";
import { reasonOf } from "../errors.ts";

export interface StateFileOptions {
  readonly path: string;
  /** Called when the file is written; null: nothing to write. */
  readonly text: () => string | null;
  /** Shortest time between two writes. */
  readonly everyMs: number;
  /** Called once when writing fails (a full disk, no permission), and with null once it works again. */
  readonly onTrouble: (reason: string | null) => void;
}

export interface StateFile {
  /** Schedules a write. */
  changed(): void;
  /** Writes pending changes now; never rejects. */
  flush(): Promise<void>;
}

/**
 * Keeps a text on disk. A full disk loses the latest changes, but never stops the server.
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
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    await replaceFile(path, text, { mode: 0o600 });
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}
