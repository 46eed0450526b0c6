/**
 * A gateway stands between every token and its reader, so what it adds is measured: against a fake endpoint
 * with known delays, in turns with direct requests to it, on this machine.
 *
 *   deno task bench:serve                                 about four minutes
 *   deno task bench:serve --quick                         half a minute, a rough look
 *   deno task bench:serve --litellm venv/bin/litellm      LiteLLM's proxy too, in the same turns
 *   deno task bench:serve --soak 100000                   that many requests only: does memory grow?
 *   deno task bench:serve --hostile 100                   only what 100 misbehaving clients do to an honest one
 *   deno task bench:serve --inputs                        only what costly requests cost, at growing sizes
 *
 * Answers are streams of 64 tokens, the first after 50 ms, then one every 10 ms. "Added" is
 * what a client waits beyond the delays that the endpoint logged for that very request, less
 * what it waits without a gateway.
 */
import { bareCommand, printJson, runTask } from "../scripts/cli.ts";
import { option, pathValue, shared, wholeNumber } from "../scripts/options.ts";
import type { ServeBenchSettings } from "./gateway_measure.ts";

const command = bareCommand("bench:serve")
  .addOptions([
    option(
      "--requests <n>",
      "requests per way at concurrency 1; five times as many at 16",
      wholeNumber(4, 100_000),
      100,
    ),
    option("--quick", "few requests, for a rough result"),
    option("--litellm <file>", "LiteLLM's proxy, to compare with (pip install litellm[proxy])", pathValue),
    option(
      "--soak <n>",
      "only send this many short requests, and record the gateway's memory",
      wholeNumber(1000),
    ),
    option(
      "--hostile <n>",
      "only measure an honest client among this many misbehaving ones",
      wholeNumber(1, 1000),
    ),
    option("--inputs", "only measure what costly requests cost, at growing sizes"),
    ...shared("json"),
  ]);

await runTask(command, async (settings: ServeBenchSettings) => {
  const { measureServe, soakServe, tables } = await import("./gateway_measure.ts");
  const { hostileServe } = await import("./gateway_hostile.ts");
  const { inputCosts } = await import("./gateway_inputs.ts");
  const result = settings.inputs
    ? await inputCosts()
    : settings.hostile !== undefined
    ? await hostileServe(settings.hostile, settings.quick ? 300 : 3000)
    : settings.soak === undefined
    ? await measureServe(settings)
    : await soakServe(settings.soak);
  if (settings.json) printJson(result);
  else console.log(tables(result));
  return 0;
});
