/** The real model that the slow tests run: from the user's model folder, downloaded there once if need be. */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findModel, loadRegistry } from "../../lib/catalog/registry.ts";
import { pull } from "../../lib/catalog/pull.ts";
import { defaultStore, openStore } from "../../lib/catalog/store.ts";
import { realClock, realSleep } from "../../scripts/cli.ts";
import { type RunningEngine, startEngine, type StartOptions } from "../../lib/engine/supervisor.ts";

const found = new Map<string, Promise<string>>();

/** Path of a small real model's GGUF file. */
export function realModel(name = "smollm2-135m-instruct"): Promise<string> {
  const path = found.get(name) ?? locateModel(name);
  found.set(name, path);
  return path;
}

async function locateModel(name: string): Promise<string> {
  const registry = await loadRegistry(fileURLToPath(new URL("../../models.json", import.meta.url)));
  const entry = findModel(registry, name);
  const variant = entry?.variants[0];
  if (entry === undefined || variant === undefined) throw new Error(`models.json has no ${name}`);
  const store = await openStore(Deno.env.get("PODIUM_STORE") ?? defaultStore(Deno.env, Deno.build.os));
  return await pull(store, entry, variant, {
    fetch,
    sleep: realSleep,
    clock: realClock,
    env: Deno.env,
    onTerms: () => true,
  });
}

/** Starts the real model and makes sure that it ends with the test. */
export async function realEngine(
  options: Partial<StartOptions> = {},
): Promise<RunningEngine & AsyncDisposable> {
  const engine = await startEngine({
    modelPath: await realModel(),
    modelId: "smollm2-135m-instruct:q4_1",
    alias: "smollm2",
    gpu: "off",
    denoPath: Deno.execPath(),
    env: Deno.env,
    clock: realClock,
    ...options,
  });
  return { ...engine, [Symbol.asyncDispose]: () => engine.stop() };
}

/** Posts a body to an engine with its key. */
export function post(
  engine: Pick<RunningEngine, "endpoint">,
  path: string,
  body: unknown,
  signal?: AbortSignal,
): Promise<Response> {
  return fetch(engine.endpoint.baseUrl + path, {
    method: "POST",
    headers: { authorization: `Bearer ${engine.endpoint.apiKey}` },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Whether a process is there; it is signalled nothing. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits until something is so; the test's own time limit is the only one. */
export async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  while (!await done()) await realSleep(20);
}
