/** Reasons are kept and shared; the folders of a machine are not. */

/** `C:\Users\Ana Lima\m.gguf`: folders of a drive may hold spaces. */
const DRIVE_PATH = /\b[A-Za-z]:[\\/](?:[^\\/:*?"'<>|\n]+[\\/])+([^\s\\/:*?"'<>|]*)/g;
/** `/home/ana/m.gguf`, `~/models/m.gguf`, `\\server\share\m.gguf`; not the path of a URL. */
const ROOTED_PATH = /(?<![\w:/\\.~…-])(?:[\\/]{1,2}|~[\\/])(?:[^\s\\/:*?"'<>|]+[\\/])+([^\s\\/:*?"'<>|]*)/g;

/**
 * A reason with the folders of absolute paths left out: they name a user or a machine.
 *
 * ```ts
 * const reason = redactPaths("can't load /home/ana/.cache/podium/models/m.gguf: cut short");
 * if (reason !== "can't load …/m.gguf: cut short") throw new Error(reason);
 * if (redactPaths("see C:\\Users\\Ana Lima\\m.gguf") !== "see …/m.gguf") throw new Error("a drive");
 * if (redactPaths("HTTP 404 at http://localhost:5273/v1/models") !== "HTTP 404 at http://localhost:5273/v1/models") {
 *   throw new Error("addresses stay");
 * }
 * ```
 */
export function redactPaths(reason: string): string {
  return reason.replaceAll(DRIVE_PATH, "…/$1").replaceAll(ROOTED_PATH, "…/$1");
}
