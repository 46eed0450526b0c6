/**
 * Mirror of Module08/samples/06/router.py: a tool (general, reasoning, code, creative) by keyword, and the tool's model
 * answers: {tool, model, tool_description, temperature, answer}. Same variables: GENERAL_MODEL, REASONING_MODEL,
 * CODE_MODEL, CREATIVE_MODEL, TOOL_REGISTRY, BASE_URL, API_KEY; FOUNDRY_LOCAL_ENDPOINT works too.
 *
 * What the original got wrong, and what changed:
 * - Its keywords match inside words: "history" is a story, "show" asks how, "classic" is a class. Here whole words count.
 * - A model that fails is an "answer" that begins with "Error generating response", with exit code 0. Here the next
 *   tool's model answers and `failed` says why; if none does, `error` replaces the answer and the exit code is 1.
 * - TOOL_REGISTRY with a typo is replaced by the defaults. Here it is one line that says what is wrong with it.
 * - BASE_URL with /v1 became /v1/v1. Here both spellings work.
 * - Which tool is good at what was said, not measured: `deno task route audit` measures it.
 *
 *   deno task workshop:router
 *   deno task workshop:router "Explain step-by-step why the sky is blue"
 *   GENERAL_MODEL=smollm2-135m REASONING_MODEL=smollm2-135m CODE_MODEL=gemma-3-270m CREATIVE_MODEL=smollm2-135m \
 *     deno task workshop:router
 */
import { z } from "zod";
import { reasonOf, UserError } from "../../lib/errors.ts";
import type { RoutedModel } from "../../lib/select/route/router.ts";
import { type Intent, intentName } from "../../lib/select/route/intent.ts";
import { printJson, runTask } from "../cli.ts";
import { option } from "../options.ts";
import { isDefault, type MeasuringOptions, mirrorCommand, SMALL_MODELS } from "./measuring.ts";
import { RoutedModels } from "./routing.ts";

const toolSchema = z.strictObject({
  model: z.string().min(1),
  notes: z.string().default(""),
  temperature: z.number().min(0).max(2).default(0.7),
});
const toolsSchema = z.record(intentName, toolSchema).refine(
  (tools) => Object.keys(tools).length > 0,
  "give at least one tool",
);
type Tools = Readonly<Record<string, z.infer<typeof toolSchema>>>;

/** The sample's keywords, in the order in which it looks for them. */
const KEYWORDS: readonly (readonly [string, readonly string[]])[] = [
  ["code", [
    ..."code coding python function class classes method bug debug programming script algorithm".split(" "),
    ..."implementation refactor".split(" "),
  ]],
  ["reasoning", [
    ..."why how explain reason reasoning analyze think logic because cause compare evaluate".split(" "),
    "step[- ]by[- ]step",
  ]],
  ["creative", "story stories poem creative imagine write tale narrative fiction character plot".split(" ")],
];

interface Options extends MeasuringOptions {
  readonly general: string;
  readonly reasoning: string;
  readonly code: string;
  readonly creative: string;
  readonly tools?: string;
  readonly tool?: string;
}

const model = (tool: string, variable: string, name: string) =>
  option(`--${tool} <model>`, `model for the tool ${tool}`).env(variable).default(name);
const command = mirrorCommand("router")
  .usage("[prompt] [options]")
  .argument("[prompt...]", "prompt")
  .addOptions([
    model("general", "GENERAL_MODEL", "phi-4-mini"),
    model("reasoning", "REASONING_MODEL", "deepseek-r1-7b"),
    model("code", "CODE_MODEL", "qwen2.5-7b"),
    model("creative", "CREATIVE_MODEL", "phi-4-mini"),
    option("--tools <json>", 'tools to use instead: {"tool": {"model", "notes", "temperature"}}').env(
      "TOOL_REGISTRY",
    ),
    option("--tool <name>", "use this tool, whatever the prompt says"),
  ]);

await runTask(command, async (words: string[], options: Options) => {
  const prompt = words.join(" ") || "Write three benefits of on-device AI in JSON format.";
  const wanted = toolsOf(options);
  if (options.tool !== undefined && wanted[options.tool] === undefined) {
    throw new UserError(
      `--tool ${options.tool}: there is no such tool: give ${Object.keys(wanted).join(", ")}`,
    );
  }
  await using wantedModels = await RoutedModels.find(modelsOf(wanted), options);
  const named = ["general", "reasoning", "code", "creative", "tools"].some((one) => !isDefault(command, one));
  const instead = wantedModels.names.length === 0 && !named;
  const [general = "", other = ""] = SMALL_MODELS;
  if (instead) console.error(`[INFO] Using ${general} and ${other} instead`);
  const small = toolsOf({ ...options, general, reasoning: other, code: general, creative: other });
  await using smallModels = await RoutedModels.find(instead ? modelsOf(small) : [], options);
  const [tools, models] = instead ? [small, smallModels] : [wanted, wantedModels];
  const names = Object.keys(tools).join(", ");
  console.error(`[INFO] Available models: ${models.names.join(", ") || "none"}; tools: ${names}`);
  if (models.names.length === 0) {
    console.error(
      "error: none of the models is available: start Foundry Local, or set GENERAL_MODEL and the others to models that " +
        "are small: smollm2-135m, gemma-3-270m",
    );
    return 1;
  }
  const { intent, order, reason } = models.choose(intentsOf(tools), prompt, options.tool);
  const [tool, { temperature, notes }] = toolNamed(intent, tools);
  console.error(`[INFO] Selected tool: ${tool} (model: ${order[0]})`);
  const { alias, trace, failed } = await models.ask(order, { prompt, maxTokens: 400, temperature });
  printJson({
    tool,
    model: alias,
    tool_description: notes,
    temperature,
    answer: trace?.content ?? null,
    reason,
    failed,
    ...(alias === null ? { error: "no model answered" } : {}),
  });
  return alias === null ? 1 : 0;
});

function toolsOf({ tools, general, reasoning, code, creative }: Options): Tools {
  if (tools === undefined || tools.trim() === "") {
    return {
      general: { model: general, notes: "Fast general-purpose chat and Q&A", temperature: 0.7 },
      reasoning: { model: reasoning, notes: "Step-by-step analysis and logical reasoning", temperature: 0.3 },
      code: { model: code, notes: "Code generation, debugging, and technical tasks", temperature: 0.2 },
      creative: { model: creative, notes: "Creative writing and storytelling", temperature: 0.9 },
    };
  }
  try {
    return toolsSchema.parse(JSON.parse(tools));
  } catch (error) {
    const reason = error instanceof z.ZodError ? reasonOf(z.prettifyError(error)) : reasonOf(error);
    throw new UserError(
      `TOOL_REGISTRY can't be used: ${reason}; it takes {"tool": {"model": "…", "notes": "…", "temperature": 0.7}}`,
    );
  }
}

/** One entry per model, tagged with its tools; the general one first. */
function modelsOf(tools: Tools): RoutedModel[] {
  const byModel = Map.groupBy(Object.entries(tools), ([, { model }]) => model);
  return [...byModel].map(([id, same]) => ({ id, capabilities: same.map(([tool]) => tool) }));
}

/** Tools without keywords of their own are taken when named. What no keyword finds is general. */
function intentsOf(tools: Tools): Intent[] {
  const patterns = new Map(
    KEYWORDS.map(([tool, words]) => [tool, [String.raw`\b(?:${words.join("|")})(?:s|d|ed|ing)?\b`]]),
  );
  const order = [...KEYWORDS.map(([tool]) => tool), ...Object.keys(tools)];
  return [...new Set(order)].filter((tool) => tools[tool] !== undefined)
    .map((tool) => ({ name: tool, patterns: patterns.get(tool) ?? [], needs: [tool] }));
}

function toolNamed(intent: string, tools: Tools): readonly [string, Tools[string]] {
  const found = Object.entries(tools).find(([name]) => name === intent) ?? Object.entries(tools)[0];
  if (found === undefined) throw new Error("there is no tool");
  return found;
}
