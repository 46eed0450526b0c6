/** The project's own files, as they go into a pack: no repository, no caches, no runs but the recorded one. */
import { dirname, join, resolve } from "node:path";

/** The run that the project brings along, to look at and to fall back on. */
export const RECORDED_RUN = "2026-11-21T07-30-18-gzss";

/** Copies the tree below `from` to `to`; a file of the same size and time is left as it is. */
export async function copyTree(from: string, to: string, without: readonly string[]): Promise<void> {
  const skip = new Set(without.map((path) => resolve(path)));
  const copy = async (folder: string, target: string) => {
    for await (const { name, isDirectory, isFile } of Deno.readDir(folder)) {
      const path = join(folder, name);
      if (
        skip.has(resolve(path)) ||
        leftOut(folder === from, folder === join(from, "reports"), name, isDirectory)
      ) {
        continue;
      }
      if (isDirectory) await copy(path, join(target, name));
      else if (isFile) await copyFile(path, join(target, name));
    }
  };
  await copy(from, to);
}

function leftOut(top: boolean, inReports: boolean, name: string, isDirectory: boolean): boolean {
  if (isDirectory && name.startsWith(".")) return true;
  if (inReports) return isDirectory && name !== RECORDED_RUN;
  return top && isDirectory && name === "node_modules";
}

/** Copies one file by way of a temporary name, unless a file of its size and time is there. */
export async function copyFile(from: string, to: string): Promise<void> {
  const { size, mtime } = await Deno.stat(from);
  const there = await Deno.stat(to).catch(() => null);
  if (there !== null && there.size === size && there.mtime?.getTime() === mtime?.getTime()) return;
  await Deno.mkdir(dirname(to), { recursive: true });
  await Deno.copyFile(from, `${to}.part`);
  if (mtime !== null) await Deno.utime(`${to}.part`, mtime, mtime);
  await Deno.rename(`${to}.part`, to);
}
