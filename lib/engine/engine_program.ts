/**
 * The program that runs one model in a process of its own, so that a crash, an endless loop or a leak in
 * native code stays there. supervisor.ts starts it: the order is one JSON line on standard input, the report
 * one JSON line on standard output, and the process ends when its input closes. So it never outlives its
 * parent, on any system, however the parent ended.
 */
import process from "node:process";
import { reasonOf } from "../errors.ts";
import { modelServer } from "../openai/model_server.ts";
import { serveHttp } from "../openai/server.ts";
import { loadModel } from "./load.ts";
import { engineOrder, type EngineReport, LoadError } from "./options.ts";
import { readOrder, writeReport } from "./program_lines.ts";

const report = (line: EngineReport) => writeReport(line);

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

function processUse() {
  const { user, system } = process.cpuUsage();
  return { resident_mb: process.memoryUsage.rss() / 1e6, cpu_s: (user + system) / 1e6 };
}

async function main(): Promise<void> {
  const { token, ...options } = engineOrder.parse(JSON.parse(await readOrder()));
  const clock = () => performance.now();
  const core = await loadModel(options, { clock, randomSeed });
  const handler = modelServer(core, {
    token,
    clock,
    now: () => Math.floor(Date.now() / 1000),
    randomId: () => crypto.getRandomValues(new Uint8Array(12)).toHex(),
    processUse,
  });
  const { port } = await serveHttp(handler, {
    hostname: "127.0.0.1",
    port: 0,
    clock,
    onFault: console.error,
  });
  report({ state: "ready", port, model: core.model });
}

if (import.meta.main) {
  // A terminal sends Ctrl-C to the whole process group; the parent decides when its engines end.
  Deno.addSignalListener("SIGINT", () => {});
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", () => Deno.exit(0));
  try {
    await main();
  } catch (error) {
    report({
      state: "failed",
      fault: error instanceof LoadError ? error.fault : "engine",
      reason: reasonOf(error),
    });
    Deno.exit(1);
  }
}
