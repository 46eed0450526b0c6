/**
 * Mirror of Workshop/samples/session06/models_router.py: an intent by pattern, then the model with that capability and
 * the lowest priority number; a JSON list of {intent, alias, output, tokens}. Same variable: FOUNDRY_LOCAL_ENDPOINT.
 *
 * What the original got wrong, and what changed:
 * - Its patterns match inside words: "decode" and "barcode" are code, "labelled" is classification only by luck. Here
 *   they begin at a word's beginning.
 * - A model that fails ends its prompt, and the table just lacks it. Here the next model answers, `failed` says who
 *   did not and why, and a prompt without an answer keeps its row, with `error`.
 * - `tokens` adds the prompt's tokens to the answer's. Here it is the answer's; `prompt_tokens` is separate.
 * - Which model has which capability was said, not measured; `reason` says so much. `deno task route audit` measures
 *   whether such a rule helps at all.
 *
 *   deno task workshop:models_router
 *   deno task workshop:models_router --models smollm2-135m,gemma-3-270m
 *   deno task workshop:models_router "Refactor this function" "Summarize the day"
 */
import { printJson, runTask } from "../cli.ts";
import { commaList, option } from "../options.ts";
import type { RoutedModel } from "../../lib/select/route/router.ts";
import { DEFAULT_INTENTS } from "../../lib/select/route/intent.ts";
import { type MeasuringOptions, mirrorCommand, SMALL_MODELS } from "./measuring.ts";
import { RoutedModels } from "./routing.ts";

/** The sample's catalogue, by its priority numbers. */
const CATALOG: readonly RoutedModel[] = [
  { id: "deepseek-coder-1.3b", capabilities: ["code", "refactor"] },
  { id: "phi-4-mini", capabilities: ["general", "summarize"] },
  { id: "qwen2.5-0.5b", capabilities: ["classification", "fast"] },
];

const PROMPTS = [
  "Refactor this Python snippet for readability",
  "Summarize the importance of small language models",
  "Classify this feedback: 'The UI is slow but pretty'",
];

interface Options extends MeasuringOptions {
  readonly models?: string[];
}

const command = mirrorCommand("models_router")
  .usage("[prompts...] [options]")
  .argument("[prompts...]", "prompts (default: the sample's three prompts)")
  .addOptions([
    option(
      "--models <names>",
      "models to route to, the preferred one first; models.json holds their tags (default: the sample's)",
      commaList,
    ),
  ]);

// In the sample a general request goes to the model that is tagged general.
const intents = [...DEFAULT_INTENTS, { name: "general", patterns: ["."], needs: ["general"] }];

await runTask(command, async (prompts: string[], options: Options) => {
  const { models: named, registry } = options;
  await using wanted = await RoutedModels.find(
    named === undefined ? CATALOG : await tagged(named, registry),
    options,
  );
  const instead = named === undefined && wanted.names.length === 0;
  if (instead) console.error(`[INFO] Routing between ${SMALL_MODELS.join(" and ")} instead`);
  await using small = await RoutedModels.find(instead ? await tagged(SMALL_MODELS, registry) : [], options);
  const models = instead ? small : wanted;
  if (models.names.length === 0) {
    console.error(
      "error: none of the models is available: start Foundry Local, or use two small ones: " +
        "deno task workshop:models_router --models smollm2-135m,gemma-3-270m",
    );
    return 1;
  }
  const rows = [];
  for (const prompt of prompts.length > 0 ? prompts : PROMPTS) {
    const { intent, order, reason } = models.choose(intents, prompt);
    console.error(`[INFO] Routing: '${prompt.slice(0, 50)}' -> intent='${intent}', model='${order[0]}'`);
    const { alias, trace, failed } = await models.ask(order, { prompt, maxTokens: 200, temperature: 0.5 });
    rows.push({
      prompt,
      intent,
      alias,
      output: trace?.content ?? null,
      tokens: trace?.usage?.outputTokens ?? null,
      prompt_tokens: trace?.usage?.promptTokens ?? null,
      reason,
      failed,
      ...(alias === null ? { error: "no model answered" } : {}),
    });
  }
  printJson(rows);
  return rows.some(({ alias }) => alias !== null) ? 0 : 1;
});

/** Models with the tags that the registry gives them. */
async function tagged(names: readonly string[], registry: string): Promise<RoutedModel[]> {
  const { loadRegistry } = await import("../../lib/catalog/registry.ts");
  const { findModel } = await import("../../lib/catalog/model.ts");
  const known = await loadRegistry(registry);
  return names.map((id) => {
    const model = findModel(known, id);
    return { id, capabilities: [...(model?.capabilities ?? []), ...(model?.task ?? [])] };
  });
}
