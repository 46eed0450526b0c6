/** The next command has to be one that this machine's own shell understands. */

/** A shell whose syntax for setting a variable is known. */
export type Shell = "bash" | "zsh" | "fish" | "PowerShell" | "cmd";

export const SHELLS: readonly Shell[] = ["bash", "zsh", "fish", "PowerShell", "cmd"];

/**
 * The shell that most likely started this program. Windows' cmd sets PROMPT, PowerShell does not; elsewhere
 * PowerShell leaves a mark and the others are named in SHELL.
 */
export function shellOf(env: { get(name: string): string | undefined }, os: string): Shell {
  if (os === "windows") return env.get("PROMPT") === undefined ? "PowerShell" : "cmd";
  if (env.get("POWERSHELL_DISTRIBUTION_CHANNEL") !== undefined) return "PowerShell";
  const name = env.get("SHELL")?.split("/").at(-1);
  if (name === "fish" || name === "zsh") return name;
  return os === "darwin" && name !== "bash" ? "zsh" : "bash";
}

/** Sets a variable for the commands after it. */
export function setVariable(shell: Shell, name: string, value: string): string {
  switch (shell) {
    case "bash":
    case "zsh":
      return `export ${name}=${value}`;
    case "fish":
      return `set -x ${name} ${value}`;
    case "PowerShell":
      return `$env:${name} = "${value}"`;
    case "cmd":
      return `set ${name}=${value}`;
  }
}

/** Installs Foundry Local's command line, where there is one for the system. */
export function installFoundry(os: string): string {
  if (os === "windows") return "winget install Microsoft.FoundryLocal";
  if (os === "darwin") return "brew install microsoft/foundrylocal/foundrylocal";
  return "python3 -m pip install foundry-local-sdk==2.2.1";
}
