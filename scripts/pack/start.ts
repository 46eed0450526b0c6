/**
 * The two start scripts of a pack. Each names Deno, packages, models and wheels by their place beside the
 * script, sets nothing outside its own process, and keeps pip, uv and Hugging Face off the network. Wheels are
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
