/** The project's own files, as they go into a pack: no repository, no caches, no runs but the recorded one. */
import { dirname, join } from "node:path";
import { UserError } from "../../lib/errors.ts";
import { runProgram } from "../../lib/program.ts";
import { filesBelow, readManifest } from "./manifest.ts";

/** The run that the project includes, as an example and a fallback. */
export const RECORDED_RUN = "2026-11-21T07-30-18-gzss";

/**
 * The project's own files, as paths with forward slashes: those that git tracks, so that no `.env`, `.npmrc` or
 * private run is packed. Where the project is not a git checkout but a pack, the files of its manifest.
 *
 * @throws {UserError} when the project is neither
 */
export async function projectFiles(root: string): Promise<string[]> {
  const listed = await runProgram(["git", "-C", root, "ls-files", "-z"], { timeoutMs: 60_000 });
  if (listed?.code === 0 && listed.stdout !== "") {
    const paths = listed.stdout.split("\0").filter((path) => path !== "");
    const there = await Promise.all(paths.map((path) => isFile(join(root, path))));
    return paths.filter((_, at) => there[at]);
  }
  const manifest = await readManifest(join(root, "..")).catch(() => null);
  if (manifest === null) {
    throw new UserError(
      `${root} is neither a git checkout (or git is not installed) nor a pack, so which files belong to the project ` +
        "is not known: clone the repository and pack from the clone",
      1,
    );
  }
  return Object.keys(manifest.files).filter((path) => path.startsWith("podium/"))
    .map((path) => path.slice("podium/".length));
}

/** A run that is packed: its name in the pack, and its folder here. */
export interface PackedRun {
  readonly name: string;
  readonly folder: string;
}

/**
 * Copies the project's files below `from` to `to`, with `registry` as its models.json and the named runs below
 * reports. A file of the same size and time is left as it is.
 */
export async function copyProject(
  from: string,
  to: string,
  registry: string,
  runs: readonly PackedRun[],
): Promise<void> {
  for (const path of await projectFiles(from)) await copyFile(join(from, path), join(to, path));
  await Deno.copyFile(registry, join(to, "models.json"));
  for (const { name, folder } of runs) {
    for (const path of await filesBelow(folder)) {
      await copyFile(join(folder, path), join(to, "reports", name, path));
    }
  }
}

/** A link may lead anywhere, so it doesn't count as a file of the project. */
async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.lstat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
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

/**
 * The two start scripts of a pack. Each names Deno, packages, models and wheels relative to the
 * script, changes nothing outside its own process, and keeps pip, uv and Hugging Face off the network. Wheels are
 * named from the project's folder, since pip splits its list of places at spaces.
 */

export const startSh = `#!/usr/bin/env bash
# Starts a task of Podium from this folder, without a network: ./start.sh bench, ./start.sh notebook, ./start.sh chat smollm2-135m
set -euo pipefail
here=$(cd "$(dirname "\${BASH_SOURCE[0]}")" && pwd)
export PATH="$here/deno:$here/bin:$PATH" DENO_DIR="$here/packages" PODIUM_STORE="$here/models" DENO_NO_UPDATE_CHECK=1
export HF_HUB_OFFLINE=1 PIP_NO_INDEX=1 PIP_FIND_LINKS=../wheels UV_OFFLINE=1 UV_FIND_LINKS=../wheels
[ -x "$here/deno/deno" ] || chmod -R +x "$here/deno" "$here/bin"
cd "$here/podium"
exec "$here/deno/deno" task --quiet "$@"
`;

export const startPs1 =
  `# Starts a task of Podium from this folder, without a network: .\\start.ps1 bench, .\\start.ps1 notebook
$ErrorActionPreference = "Stop"
$here = $PSScriptRoot
$env:PATH = "$here\\deno;$here\\bin;$env:PATH"; $env:DENO_DIR = "$here\\packages"; $env:PODIUM_STORE = "$here\\models"
$env:DENO_NO_UPDATE_CHECK = "1"; $env:HF_HUB_OFFLINE = "1"
$env:PIP_NO_INDEX = "1"; $env:PIP_FIND_LINKS = "..\\wheels"; $env:UV_OFFLINE = "1"; $env:UV_FIND_LINKS = "..\\wheels"
Push-Location "$here\\podium"
try { & "$here\\deno\\deno.exe" task --quiet @args } finally { Pop-Location }
exit $LASTEXITCODE
`;
