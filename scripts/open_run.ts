/** Opens a run by folder, by id, or from version control, for `compare` and `gate`. */
import { basename } from "node:path";
import { reasonOf, UserError } from "../lib/errors.ts";

/**
 * Opens a run for as long as `read` takes; one that is committed is unpacked for that time.
 *
 * @throws {UserError} when there is no such run
 */
export async function withRun<T>(
  name: string,
  root: string,
  read: (folder: string, name: string) => Promise<T>,
): Promise<T> {
  const { findRun, findCommittedRun, extractCommittedRun } = await import("../lib/bench/find_run.ts");
  const folder = await findRun(name, root);
  if (folder !== null) return await read(folder, basename(name));
  const committed = await findCommittedRun(name);
  if (committed === null) {
    throw new UserError(
      `no run ${name}: give a folder with a run.json, the id of a run below ${root}, or a git revision ` +
        `that holds one (REVISION:reports/ID)`,
    );
  }
  const target = await scratchFolder();
  try {
    await extractCommittedRun(committed, target);
    return await read(target, name);
  } finally {
    await Deno.remove(target, { recursive: true });
  }
}

/**
 * The latest run below `root`, to compare with `baseline`.
 *
 * @throws {UserError} when there is none, or the baseline is the latest itself
 */
export async function latestAgainst(baseline: string, root: string): Promise<string> {
  const { findRun, requireRun } = await import("../lib/bench/find_run.ts");
  const latest = await requireRun(undefined, root);
  if (await findRun(baseline, root) !== latest) return latest;
  throw new UserError(`${baseline} is the latest run below ${root}: name the run to compare it with`);
}

/** Below reports/, the one place that these tasks may write to. */
async function scratchFolder(): Promise<string> {
  try {
    await Deno.mkdir("reports", { recursive: true });
    return await Deno.makeTempDir({ dir: "reports", prefix: ".revision-" });
  } catch (error) {
    throw new UserError(
      `can't unpack a committed run below reports/: ${reasonOf(error)}; make that folder writable`,
      1,
      { cause: error },
    );
  }
}
