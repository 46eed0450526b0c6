/** Gateways in processes of their own, to be measured. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import project from "../deno.json" with { type: "json" };
import { UserError } from "../lib/errors.ts";
import { freePort } from "../lib/program.ts";
import { realClock, realSleep } from "../scripts/cli.ts";

export interface Proxy extends AsyncDisposable {
  readonly baseUrl: string;
  readonly apiKey: string | null;
  /** From starting the process until it answered. */
  readonly readyMs: number;
  /** Resident memory; null where this system doesn't tell. */
  memoryMb(): Promise<number | null>;
}

const started = z.object({ url: z.string() });

/** All of the task behind `deno`: V8's flags, the permissions, the script. */
const [, ...serveTask] = project.tasks.serve.command.split(" ");

/** Our own, started as its task starts it. */
export async function startGateway(serviceUrl: string, more: readonly string[] = []): Promise<Proxy> {
  const state = await Deno.makeTempDir();
  const startMs = realClock();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...serveTask, `--endpoint=fake=${serviceUrl}`, "--port=0"]
      .concat(`--state=${join(state, "router.json")}`, "--json", more),
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.trimEnd().endsWith("\n}")) {
    const { value, done } = await reader.read();
    if (done) throw new UserError("the gateway did not start: try deno task serve by hand", 1);
    text += value;
  }
  const { url } = started.parse(JSON.parse(text));
  const readyMs = realClock() - startMs;
  const origin = new URL(url).origin;
  return {
    baseUrl: url,
    apiKey: null,
    readyMs,
    memoryMb: async () => {
      const metrics = await (await fetch(`${origin}/metrics`)).text();
      const bytes = /^process_resident_memory_bytes (\d+)/m.exec(metrics)?.[1];
      return bytes === undefined ? null : Number(bytes) / 1e6;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGINT");
      await child.status;
      await reader.cancel();
      await Deno.remove(state, { recursive: true });
    },
  };
}

const KEY = "sk-bench-serve";

/** LiteLLM's proxy, one worker, as its documents start it. */
export async function startLitellm(
  program: string,
  serviceUrl: string,
  models: readonly string[],
): Promise<Proxy> {
  const folder = await Deno.makeTempDir();
  const config = join(folder, "config.json"); // JSON is YAML
  const params = (model: string) => ({ model: `openai/${model}`, api_base: serviceUrl, api_key: "none" });
  await Deno.writeTextFile(
    config,
    JSON.stringify({
      model_list: models.map((model) => ({ model_name: model, litellm_params: params(model) })),
      general_settings: { master_key: KEY },
    }),
  );
  const port = freePort();
  const startMs = realClock();
  const child = new Deno.Command(program, {
    args: ["--config", config, "--host", "127.0.0.1", "--port", String(port), "--num_workers", "1"],
    env: { LITELLM_TELEMETRY: "False", LITELLM_LOCAL_MODEL_COST_MAP: "True", LITELLM_LOG: "ERROR" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const end = async () => {
    child.kill("SIGTERM");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  };
  const origin = `http://127.0.0.1:${port}`;
  while (!await answers(`${origin}/health/liveliness`)) {
    if (realClock() - startMs > 90_000) {
      await end();
      throw new UserError(`${program} does not answer within 90 s: try it by hand`, 1);
    }
    await realSleep(50);
  }
  return {
    baseUrl: `${origin}/v1`,
    apiKey: KEY,
    readyMs: realClock() - startMs,
    memoryMb: () => residentMb(child.pid),
    [Symbol.asyncDispose]: end,
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function residentMb(pid: number): Promise<number | null> {
  if (Deno.build.os === "windows") return null;
  const { success, stdout } = await new Deno.Command("ps", { args: ["-o", "rss=", "-p", String(pid)] })
    .output();
  const kb = Number(new TextDecoder().decode(stdout).trim());
  return success && kb > 0 ? kb * 1024 / 1e6 : null;
}
