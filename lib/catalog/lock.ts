/** One download of a file at a time, across processes. */
import { dirname } from "node:path";
import type { Sleep } from "../clock.ts";
import { makeFolder, unwritable } from "./store.ts";

/**
 * Runs `work` while holding an exclusive lock of the operating system on `path`. The system itself releases
 * it when a process dies, so a kill leaves nothing locked. The empty lock file stays: removing it would let
 * two processes lock two files of one name.
 *
 * @param onWait called once where another process holds the lock
 *
 * ```ts ignore
 * await withLock("models/.locks/x.lock", { sleep }, () => download());
 * ```
 */
export async function withLock<T>(
  path: string,
  { sleep, signal, onWait }: { sleep: Sleep; signal?: AbortSignal; onWait?: () => void },
  work: () => Promise<T>,
): Promise<T> {
  await makeFolder(dirname(path));
  using file = await Deno.open(path, { create: true, write: true }).catch((error: unknown) => {
    throw unwritable(path, error);
  });
  for (let waited = false; !await file.tryLock(true); waited = true) {
    if (!waited) onWait?.();
    await sleep(200, signal);
  }
  try {
    return await work();
  } finally {
    await file.unlock();
  }
}
