/**
 * Mirror of the course page's latency check (`bench_latency.py`, in its newer edition `simple_bench.py`): one request
 * per model, as a JSON list. Older edition: {model, latency_sec} over /v1/completions, 64 tokens, 60 s. Newer edition:
 * {model, latency_sec, response, status, error} over /v1/chat/completions, 64 tokens, 30 s. Both look at port 8000.
 *
 * What the original got wrong, and what changed in the numbers:
 * - One request, and the first: it times the loading of the model. Here one warm-up comes first, and load_s stands
 *   apart; `rounds` asks more often, and latency_sec is then the mean, with n next to it.
 * - The wall clock, and the time-out counts as a failure without saying so. Here it is monotonic, and `error` says it.
 * - The route is fixed. Here it is what the endpoint offers: chat first, completions where there is no chat.
 * - The port is fixed. Here FOUNDRY_LOCAL_ENDPOINT or BASE_URL names a service, and without them the usual ports
 *   (5273, 8000 and others) are tried.
 *
 *   deno task workshop:bench_latency
 *   deno task workshop:bench_latency --models smollm2-135m,gemma-3-270m --rounds 20
 */
import { printJson, runTask } from "../cli.ts";
import { commaList, modelsOption, option, roundsOption } from "../options.ts";
import { measureModels, type MeasuringOptions, mirrorCommand, onePrompt, smallInstead } from "./measuring.ts";

interface Options extends MeasuringOptions {
  readonly models: string[];
  readonly prompt: string;
  readonly rounds: number;
  readonly edition: "newer" | "older";
}

const command = mirrorCommand("bench_latency")
  .addOptions([
    modelsOption().argParser(commaList).default(["phi-4-mini", "qwen2.5-7b", "deepseek-r1-7b"]),
    option("--prompt <text>", "prompt").default("Explain edge AI in one sentence."),
    roundsOption(1),
    option("--edition <which>", "edition of the page, which sets fields and time limit", [
      "newer",
      "older",
    ], "newer"),
  ]);

await runTask(command, async (options: Options) => {
  const { models, prompt, rounds, prefix, edition } = options;
  const timeoutS = edition === "newer" ? 30 : 60;
  const plan = await onePrompt(prompt, { rounds, maxTokens: 64, temperature: 0, prefix, timeoutS });
  const hint = smallInstead(command, "models", "BENCH_MODELS");
  const { summary, names } = await measureModels(models, plan, options, hint);
  const rows = summary.candidates.map((row, at) => {
    const mean = row.latency_s.mean;
    const ok = mean !== null;
    return {
      model: names[at] ?? row.alias,
      latency_sec: ok ? Math.round(1000 * mean) / 1000 : null,
      ...(edition === "older" ? {} : { response: row.sample_answer, status: ok ? "success" : "error" }),
      ...(ok ? {} : { error: row.reason ?? row.status }),
      n: row.latency_s.n,
      load_s: row.load_s,
    };
  });
  printJson(rows);
  return rows.some(({ latency_sec }) => latency_sec !== null) ? 0 : 1;
});
