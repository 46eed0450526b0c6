/**
 * Compiling a Hugging Face model is one command here: an environment of its own, the conversion, a check that
 * the compiled model still answers as the original does, and only then a copy in the service's cache.
 */
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type ComparedAnswer,
  compareWithOriginal,
  compileModel,
  type CompilePrecision,
} from "../../lib/services/compile.ts";
import { addToFoundryCache, assertCanAdd, ownModelId } from "../../lib/services/foundry_layout.ts";
import { readGguf } from "../../lib/catalog/gguf.ts";
import { findModel, plainName } from "../../lib/catalog/model.ts";
import { locate } from "../../lib/catalog/store.ts";
import { findServices } from "../../lib/services/discovery.ts";
import { UserError } from "../../lib/errors.ts";
import { runProgram } from "../../lib/program.ts";
import { interruptSignal, printJson } from "../cli.ts";
import { openRegistryWithFiles, type Options, type RegistryWithFiles } from "./catalog.ts";
import { table } from "../terminal.ts";

export interface CompileSettings extends Options {
  name?: string;
  cacheFolder?: string;
  work?: string;
  precision: CompilePrecision;
  replace?: boolean;
  agreement: number;
}

/** The questions to both models: facts, a list, an instruction; enough to notice a failed quantisation. */
const QUESTIONS = [
  "What is the capital of France?",
  "List three benefits of local inference.",
  "Translate to German: good morning.",
  "What is 2 + 3?",
  "Explain in one sentence why model size impacts latency.",
];
const ANSWER_TOKENS = 32;

/**
 * The task may run Python's launchers and Foundry Local's command line alone; compiling runs a Python of its own.
 *
 * @throws {UserError} when that is not allowed
 */
async function askToRun(): Promise<void> {
  const { state } = await Deno.permissions.query({ name: "run" });
  if (state === "granted") return;
  console.error(
    "Compiling makes a Python environment and runs its programs, which this task may not do unasked.",
  );
  const { state: answer } = Deno.stdin.isTerminal()
    ? await Deno.permissions.request({ name: "run" })
    : { state: "denied" };
  if (answer === "granted") return;
  throw new UserError(
    "compiling needs permission to run programs: allow it when asked in a terminal, or start it with " +
      "deno run -A scripts/models.ts compile SOURCE",
  );
}

export async function compile(source: string, settings: CompileSettings): Promise<number> {
  await askToRun();
  const catalogue = await openRegistryWithFiles(settings);
  const { path, license } = await sourceOf(source, catalogue);
  const alias = settings.name ?? aliasOf(path);
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(alias)) {
    throw new UserError(`--name ${alias}: give lower-case letters, digits, . _ and -, as in smollm2-135m`);
  }
  const workDir = settings.work ?? join(dirname(catalogue.store.dir), "compile");
  const scriptsDir = fileURLToPath(new URL("../compile", import.meta.url));
  const shared = {
    workDir,
    scriptsDir,
    run: runProgram,
    signal: interruptSignal(),
    onStep: (step: string, state: string) =>
      console.error(`${alias}: ${STEPS[step] ?? step}${state === "running" ? " …" : ": done before"}`),
    onLine: (line: string) =>
      Deno.stderr.isTerminal() && line.trim() !== "" && console.error(`  ${line.slice(0, 110)}`),
  };
  const folder = await cacheFolder(settings, catalogue);
  await assertCanAdd(folder, alias, { replace: settings.replace === true });
  const compiled = await compileModel({ ...shared, source: path, precision: settings.precision });
  const rows = await compareWithOriginal(compiled, QUESTIONS, ANSWER_TOKENS, shared);
  const mean = rows.reduce((sum, { agreement }) => sum + agreement, 0) / rows.length;
  const good = mean >= settings.agreement;
  const placed = good
    ? await addToFoundryCache(folder, {
      alias,
      displayName: alias,
      dir: compiled.compiledDir,
      sizeMb: compiled.sizeMb,
      contextTokens: compiled.contextTokens,
      quantization: settings.precision,
      license,
      createdAt: new Date(),
    }, { replace: settings.replace === true })
    : null;
  if (settings.json) {
    printJson({
      alias,
      id: ownModelId(alias),
      size_mb: compiled.sizeMb,
      agreement: mean,
      ok: good,
      folder: placed,
      answers: rows,
    });
  } else showComparison(rows, mean, settings, { alias, placed, sizeMb: compiled.sizeMb });
  return good ? 0 : 1;
}

const STEPS: Record<string, string> = {
  environment: "making the build environment (some GB, once)",
  weights: "writing the weights in 32 bits",
  onnx: "compiling for ONNX Runtime",
  check: "asking the original and the compiled model the same questions",
};

/** A path, or the name of a model whose GGUF file is here. */
async function sourceOf(
  source: string,
  { registry, store }: RegistryWithFiles,
): Promise<{ path: string; license: string | null }> {
  const model = findModel(registry, source);
  if (model === undefined) {
    const license = source.endsWith(".gguf")
      ? (await readGguf(source).catch(() => null))?.license ?? null
      : null;
    return { path: source, license };
  }
  for (const variant of model.variants) {
    const path = await locate(store, model, variant);
    if (path !== null) return { path, license: model.license.id };
  }
  throw new UserError(`${model.alias} is not downloaded: deno task models pull ${model.alias}`);
}

/** The file's name without its quantisation: Foundry Local's aliases have none. */
function aliasOf(path: string): string {
  const stem = basename(path).replace(/\.gguf$/i, "").replace(/[.-](?:I?Q\d\w*|F16|F32|BF16)$/i, "");
  return plainName(stem).replaceAll(/[^a-z0-9._-]/g, "-");
}

/** The folder that was named, else that of a service on this machine, else a folder next to the store. */
async function cacheFolder({ cacheFolder }: CompileSettings, { store }: RegistryWithFiles): Promise<string> {
  if (cacheFolder !== undefined) return cacheFolder;
  const services = await findServices({ fetch, env: Deno.env, run: runProgram, signal: interruptSignal() });
  const dir = services.find(({ foundry }) => foundry !== null)?.foundry?.cacheDir;
  return dir ?? join(dirname(store.dir), "foundry");
}

function showComparison(
  rows: readonly ComparedAnswer[],
  mean: number,
  { agreement, precision }: CompileSettings,
  { alias, placed, sizeMb }: { alias: string; placed: string | null; sizeMb: number },
): void {
  const short = (text: string) => {
    const line = text.replaceAll(/\s+/g, " ").trim();
    return line.length > 38 ? `${line.slice(0, 37)}…` : line;
  };
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  console.log(table(
    ["question", "original", "compiled", "agree", "original tok/s", "compiled tok/s"],
    rows.map((row) => [
      short(row.prompt),
      short(row.original),
      short(row.compiled),
      percent(row.agreement),
      row.original_tokens_per_s.toFixed(0),
      row.compiled_tokens_per_s.toFixed(0),
    ]),
  ));
  console.log(
    `\n${precision}, ${sizeMb} MB: it would choose ${percent(mean)} of the original's tokens (required: ${
      percent(agreement)
    }).`,
  );
  if (placed === null) {
    console.log(
      "The compiled model's answers differ from the original's, so it was not put into the cache. Try --precision int4-mixed or fp32.",
    );
    return;
  }
  console.log(
    `${ownModelId(alias)} is in ${placed}.\nNext: restart the service, then deno task chat ${alias}`,
  );
}
