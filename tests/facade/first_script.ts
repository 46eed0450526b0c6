/** Measures two models and writes the distribution of their latencies as an SVG. */
import { bench } from "../../mod.ts";

const [first = "smollm2-135m", second = "gemma-3-270m"] = Deno.args;
const run = await bench([first, second], {
  prompt: "Explain in one sentence why the sky is blue.",
  rounds: 20,
  maxTokens: 32,
});
console.log(run.table());
console.log(run.noise());
const figure = run.ecdf("latency");
await figure.save("latency.svg");
console.log(figure);
