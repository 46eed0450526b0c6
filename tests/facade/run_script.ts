/** Runs README's first script outside the repository and judges what it left. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The repository. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/**
 * Runs the script in a folder of its own, importing mod.ts by path; returns its output and what it left there.
 *
 * @param interruptMs when to press Ctrl-C, in ms after the start; left out: never
 */
export async function runFirstScript(
  models: readonly string[],
  env: Record<string, string>,
  interruptMs?: number,
) {
  const folder = await Deno.makeTempDir({ prefix: "podium script " });
  const source = await Deno.readTextFile(join(root, "tests", "facade", "first_script.ts"));
  const script = join(folder, "first_script.ts");
  await Deno.writeTextFile(script, source.replace("../../mod.ts", pathToFileURL(join(root, "mod.ts")).href));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--config", join(root, "deno.json"), script, ...models],
    cwd: folder,
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = interruptMs === undefined ? undefined : setTimeout(() => child.kill("SIGINT"), interruptMs);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { folder, source, code, out: text(stdout), err: text(stderr) };
}

/** What the script promises, whichever models it measured. */
export async function assertMeasured(
  { folder, code, out, err }: Awaited<ReturnType<typeof runFirstScript>>,
  models: readonly string[],
) {
  assert.equal(code, 0, err);
  for (const model of models) assert.match(out, new RegExp(`^${model}\\S* +ok +\\d+ `, "m"));
  assert.match(out, /^\[figure\] Latency of every request\./m);
  assert.match(err, /Done: \d+ requests, all kept in reports\//);
  const svg = await Deno.readTextFile(join(folder, "latency.svg"));
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"|^<svg [^>]*xmlns="/);
  for (const model of models) assert.ok(svg.includes(model), `${model} is not in the drawing`);
  const runs = [...Deno.readDirSync(join(folder, "reports"))];
  assert.equal(runs.length, 1, "one run folder below the script's own working directory");
}
