/** Podium's files as they go into a pack: no repository, no caches, no copies of notebooks, and only the recorded run. */
import { dirname, join, resolve } from "node:path";

/** The run that the project includes, as an example and a fallback. */
export const RECORDED_RUN = "2026-11-21T07-30-18-gzss";

/** Copies the tree below `from` to `to`; a file of the same size and time is left as it is. */
export async function copyTree(from: string, to: string, without: readonly string[]): Promise<void> {
  const skip = new Set([...without, join(from, "notebooks", "mine")].map((path) => resolve(path)));
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

/**
 * The two start scripts of a pack. Each names Deno, packages, models and wheels relative to the
 * script, changes nothing outside its own process, and keeps pip, uv and Hugging Face off the network. Wheels are
 * named from the project's folder, since pip splits its list of places at spaces.
 */

export const startSh = `#!/usr/bin/env bash
# Starts a task of Podium from this folder, without a network: ./start.sh bench, ./start.sh notebook, ./start.sh chat smollm2-135m
set -euo pipefail
here=$(cd "$(dirname "\${BASH_SOURCE[0]}")" && pwd)
export PATH="$here/deno:$PATH" DENO_DIR="$here/packages" PODIUM_STORE="$here/models" DENO_NO_UPDATE_CHECK=1
export HF_HUB_OFFLINE=1 PIP_NO_INDEX=1 PIP_FIND_LINKS=../wheels UV_OFFLINE=1 UV_FIND_LINKS=../wheels
[ -x "$here/deno/deno" ] || chmod +x "$here/deno/deno"
cd "$here/podium"
exec "$here/deno/deno" task --quiet "$@"
`;

export const startPs1 =
  `# Starts a task of Podium from this folder, without a network: .\\start.ps1 bench, .\\start.ps1 notebook
$ErrorActionPreference = "Stop"
$here = $PSScriptRoot
$env:PATH = "$here\\deno;$env:PATH"; $env:DENO_DIR = "$here\\packages"; $env:PODIUM_STORE = "$here\\models"
$env:DENO_NO_UPDATE_CHECK = "1"; $env:HF_HUB_OFFLINE = "1"
$env:PIP_NO_INDEX = "1"; $env:PIP_FIND_LINKS = "..\\wheels"; $env:UV_OFFLINE = "1"; $env:UV_FIND_LINKS = "..\\wheels"
Push-Location "$here\\podium"
try { & "$here\\deno\\deno.exe" task --quiet @args } finally { Pop-Location }
exit $LASTEXITCODE
`;
