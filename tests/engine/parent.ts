/** A program that starts an engine, prints its process id, and waits to be killed. */
import { startEngine } from "../../lib/engine/supervisor.ts";

const [modelPath = ""] = Deno.args;
const engine = await startEngine({
  modelPath,
  modelId: "tiny",
  gpu: "off",
  denoPath: Deno.execPath(),
  env: Deno.env,
  clock: () => performance.now(),
});
console.log(engine.pid);
await engine.exited;
