/** Finds the folder of a run from a path, an id, or a revision in version control. */
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { isFile } from "../text_file.ts";
import { RUN_TO_RUN_FILE } from "./run_to_run.ts";

/**
 * The folder of a run named by its path, its id below `root`, or the start of one id
 * there; null when there is none.
 *
 * @throws {UserError} when several ids start like that
 * @example
 * ```ts ignore
 * const folder = await findRun("2026-11-21T04-55", "reports");
 * ```
 */
export async function findRun(name: string, root: string): Promise<string | null> {
  for (const folder of [name, join(root, name)]) {
    if (await isFile(join(folder, "run.json"))) return folder;
  }
  const [id, ...others] = (await runIds(root)).filter((id) => id.startsWith(name));
  if (id === undefined) return null;
  if (others.length === 0) return join(root, id);
  throw new UserError(`${name}: several runs start like that: ${[id, ...others].slice(0, 10).join(", ")}`);
}

/**
 * The folder of a run that has to exist.
 *
 * @param name as `findRun` takes it; undefined: the latest run below `root`
 * @param flag the flag that names the run, for the message
 * @throws {UserError} when there is no such run
 * @example
 * ```ts
 * const error = await requireRun("yesterday", "reports", "--resume").catch((reason) => reason);
 * if (!error.message.startsWith("--resume yesterday: there is no such run")) throw error;
 * ```
 */
export async function requireRun(name: string | undefined, root: string, flag = ""): Promise<string> {
  if (name === undefined) {
    const latest = (await runIds(root)).at(-1);
    if (latest !== undefined) return join(root, latest);
    throw new UserError(`there is no run below ${root}: deno task bench makes one`);
  }
  const folder = await findRun(name, root);
  if (folder !== null) return folder;
  throw new UserError(
    `${`${flag} ${name}`.trim()}: there is no such run: give its folder, or its name below ${root}`,
  );
}

/** The runs below a folder, the latest one last: an id begins with the time at which its run began. */
export async function runIds(root: string): Promise<string[]> {
  const ids: string[] = [];
  try {
    for await (const { name } of Deno.readDir(root)) {
      if (await isFile(join(root, name, "run.json"))) ids.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return ids.sort();
}

/** A run inside a commit. */
export interface CommittedRun {
  readonly revision: string;
  /** Folder inside the repository, with forward slashes. */
  readonly folder: string;
}

/**
 * A run named as `REVISION:FOLDER`, or by `REVISION` alone where that commit holds exactly one run.
 * Null when it does not begin with a revision of this repository.
 *
 * @throws {UserError} when the revision is known but holds no such run, or several
 * @example
 * ```ts ignore
 * const run = await findCommittedRun("HEAD~1:reports/2026-11-20T10-00-00-ab12");
 * ```
 */
export async function findCommittedRun(name: string): Promise<CommittedRun | null> {
  const colon = name.indexOf(":");
  const revision = colon < 0 ? name : name.slice(0, colon);
  if (revision === "" || revision.startsWith("-")) return null;
  if (await git(["rev-parse", "--verify", "--quiet", `${revision}^{commit}`]) === null) return null;
  const listing = await git(["ls-tree", "-r", "--name-only", "--full-tree", "-z", revision]);
  const folders = (listing ?? "").split("\0").filter((path) => path.endsWith("/run.json"))
    .map((path) => path.slice(0, -"/run.json".length));
  if (colon >= 0) {
    const wanted = name.slice(colon + 1).replace(/\/+$/, "");
    const folder = folders.find((one) => one === wanted || one === `reports/${wanted}`);
    if (folder !== undefined) return { revision, folder };
    throw new UserError(`${revision} holds no run ${wanted}: ${holds(folders, revision)}`);
  }
  // The repeats of a run lie in its own folder, and don't count where a revision alone is given.
  const [only, ...more] = folders.filter((folder) => !/\/repeats\/[^/]+$/.test(folder));
  if (only === undefined || more.length > 0) {
    throw new UserError(`${revision} does not name one run: ${holds(folders, revision)}`);
  }
  return { revision, folder: only };
}

function holds(folders: readonly string[], revision: string): string {
  if (folders.length === 0) {
    return "no run is committed there (git add -f reports/ID puts one under version control)";
  }
  return `it holds ${folders.slice(0, 10).map((folder) => `${revision}:${folder}`).join(", ")}`;
}

/** The files of a run that a comparison reads, and whether each is optional. */
const files = [
  { file: "run.json", optional: false },
  { file: "samples.jsonl", optional: false },
  { file: "answers.jsonl", optional: true },
  { file: RUN_TO_RUN_FILE, optional: true },
] as const;

/**
 * Writes a committed run's records into `target`, so that they are read like any other run.
 *
 * @throws {UserError} when the commit lacks its samples
 */
export async function extractCommittedRun(run: CommittedRun, target: string): Promise<void> {
  for (const { file, optional } of files) {
    const path = `${run.folder}/${file}`;
    const found = await extractBlob(`${run.revision}:${path}`, join(target, file));
    if (found || optional) continue;
    throw new UserError(
      `${run.revision} holds ${run.folder} without ${file}: commit run.json and samples.jsonl together`,
    );
  }
}

async function extractBlob(object: string, target: string): Promise<boolean> {
  const child = new Deno.Command("git", {
    args: ["cat-file", "blob", object],
    stdout: "piped",
    stderr: "null",
  })
    .spawn();
  const file = await Deno.open(target, { write: true, create: true, truncate: true });
  await child.stdout.pipeTo(file.writable); // closes the file
  const { success } = await child.status;
  if (!success) await Deno.remove(target);
  return success;
}

/** The output of git; null when it fails, or is not installed. */
async function git(args: readonly string[]): Promise<string | null> {
  try {
    const output = await new Deno.Command("git", { args: [...args], stdout: "piped", stderr: "null" })
      .output();
    return output.success ? new TextDecoder().decode(output.stdout) : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
