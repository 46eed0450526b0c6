/**
 * The real Foundry Local 2.x runtime for tests: its own Python environment in an ignored folder, and a cache with
 * the fixture model that our own code lays out.
 */
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { addToFoundryCache } from "../../lib/services/foundry_layout.ts";
import { freePort, runProgram } from "../../lib/program.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const here = join(root, "tests", "services");
const venv = join(root, ".venv", "foundry");
const windows = Deno.build.os === "windows";
const python = join(venv, windows ? "Scripts" : "bin", windows ? "python.exe" : "python");
const SDK = "foundry-local-sdk==2.2.1";

export const ALIAS = "tiny";
export const MODEL_ID = "tiny-generic-cpu:1";

/** Brings the runtime; where it can't be had, the reason. */
export async function bringRuntime(): Promise<{ ok: true } | { ok: false; reason: string }> {
  const check = [python, "-c", "import foundry_local_sdk"];
  if ((await runProgram(check))?.code === 0) return { ok: true };
  let reason = "no Python was found";
  for (const base of [["python3"], ["python"], ["py", "-3"]]) {
    const made = await runProgram([...base, "-m", "venv", venv]);
    if (made?.code !== 0) continue;
    const install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", SDK];
    const installed = await runProgram([python, ...install], { timeoutMs: 300_000 });
    if (installed?.code === 0 && (await runProgram(check))?.code === 0) return { ok: true };
    reason = installed?.stderr.trim().split("\n").at(-1) ?? "pip can't be run";
  }
  return { ok: false, reason: `${SDK}: ${reason}` };
}

export interface Runtime {
  readonly baseUrl: string;
  readonly cacheDir: string;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** A cache with the fixture model in it, in a folder of its own. */
export async function fixtureCache(dir: string): Promise<string> {
  const unpacked = await runProgram(["tar", "-xzf", join(here, "fixture", "tiny-model.tgz"), "-C", dir]);
  if (unpacked?.code !== 0) throw new Error(`tar: ${unpacked?.stderr}`);
  const cacheDir = join(dir, "cache");
  await addToFoundryCache(cacheDir, {
    alias: ALIAS,
    displayName: "Tiny",
    dir: join(dir, "tiny"),
    sizeMb: 6,
    contextTokens: 2048,
    quantization: "int4",
    license: "MIT",
    createdAt: new Date("2026-11-21T00:00:00Z"),
  }, { replace: false });
  return cacheDir;
}

/** Starts the service and waits until it listens. */
export async function startRuntime(dir: string, cacheDir: string): Promise<Runtime> {
  const port = freePort();
  const child = new Deno.Command(python, {
    args: [join(here, "serve.py"), cacheDir, String(port), join(dir, "state")],
    env: { HOME: join(dir, "home"), XDG_CACHE_HOME: join(dir, "home") },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!said.includes("listening")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the runtime ended: ${said}`);
    said += value;
  }
  const end = async (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch {
      // ended already
    }
    await child.status;
    await reader.cancel();
  };
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    cacheDir,
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
  };
}
