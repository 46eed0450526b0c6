/**
 * The name of a candidate: `NAME[:PARTS][@ENDPOINT]`.
 *
 * - `NAME` is an alias or another name of a model in models.json, an id that a service lists, a `.gguf` file,
 *   or a repository of Hugging Face (`hf:OWNER/REPO:Q4_K_M`), whose variants are named by their quantisation.
 * - `PARTS`, joined by `+`, are each the name of a variant (`q4_1`, `cuda-gpu`), an engine setting
 *   (`threads=1`) or a request setting (`format=schema`, `thinking=off`, `wording=short`).
 * - `ENDPOINT` is the name of a service, or `embedded` for the engine that Podium runs itself.
 *
 * A name that holds `:`, `@`, `+`, a comma or a path may stand in double quotes:
 * `"C:\models\x.gguf":threads=2`.
 */
import type { EngineSettings } from "../catalog/model.ts";
import type { RequestSettings } from "../prompts/request_settings.ts";
import { UserError } from "../errors.ts";

/** The endpoint name of the embedded engine. */
export const EMBEDDED = "embedded";

/** The settings in which a candidate's requests differ from those of the job. */
export interface RequestVariation extends Pick<RequestSettings, "format" | "thinking"> {
  /** The name of alternative messages that the job holds for every case. */
  readonly wording?: string;
}

/** The parts of a candidate's name. */
export interface CandidateName {
  /** The name as written, for messages. */
  readonly text: string;
  /** Everything before `@ENDPOINT`, without quotes and request settings: a service's own id may hold a colon. */
  readonly whole: string;
  readonly name: string;
  /** Variants and engine settings. */
  readonly parts: readonly string[];
  /** Request settings, as they were written. */
  readonly requestParts: readonly string[];
  /** Null where none is named. */
  readonly endpoint: string | null;
  /** The name is the path of a GGUF file. */
  readonly isFile: boolean;
  /** The name is `hf:OWNER/REPO`. */
  readonly isHub: boolean;
}

const QUOTED = /^"([^"]+)"(?::([^"@]*))?(?:@([^"@]+))?$/;
/** A path that ends in .gguf, with or without a Windows drive. */
const FILE = /^((?:[A-Za-z]:[\\/])?[^":]*\.gguf)(?::([^@]*))?(?:@([^@]+))?$/i;
const HUB = /^(hf:[\w.-]+\/[\w.-]+)(?::([^@]*))?(?:@([^@]+))?$/i;

/**
 * Parses a candidate's name. Outside quotes `@` separates the endpoint only where `endpoints` holds that
 * endpoint, since the ids of some services hold an `@` themselves.
 *
 * @throws {UserError} for a name that is empty, has an unclosed quote, or has a form that Podium can't use
 * yet
 *
 * ```ts
 * const name = parseCandidateName("smollm2:q4_1+threads=2@embedded", ["embedded"]);
 * if (name.name !== "smollm2" || name.parts.join() !== "q4_1,threads=2" || name.endpoint !== "embedded") {
 *   throw new Error(JSON.stringify(name));
 * }
 * const file = parseCandidateName('"C:\\my models\\x.gguf":threads=2', []);
 * if (file.name !== "C:\\my models\\x.gguf" || !file.isFile) throw new Error(file.name);
 * ```
 */
export function parseCandidateName(text: string, endpoints: readonly string[]): CandidateName {
  const exact = QUOTED.exec(text) ?? HUB.exec(text) ?? FILE.exec(text);
  if (exact !== null) {
    const [, name = "", parts = "", endpoint = null] = exact;
    const isHub = /^hf:/i.test(name);
    if (isHub && HUB.exec(name)?.[1] !== name) throw noRepository(text);
    const isFile = !isHub && /\.gguf$/i.test(name);
    return { text, whole: name, name, ...partsOf(parts), endpoint, isFile, isHub };
  }
  if (text.includes('"')) {
    throw new UserError(
      `${text}: a quote is not closed, or text precedes it: write "NAME":PARTS@ENDPOINT`,
    );
  }
  if (/^hf:/i.test(text)) throw noRepository(text);
  const at = text.lastIndexOf("@");
  const known = at > 0 && endpoints.includes(text.slice(at + 1));
  const whole = known ? text.slice(0, at) : text;
  const colon = whole.indexOf(":");
  const name = colon <= 0 ? whole : whole.slice(0, colon);
  const { parts, requestParts } = partsOf(colon <= 0 ? "" : whole.slice(colon + 1));
  return {
    text,
    whole: requestParts.length === 0 ? whole : [name, parts.join("+")].filter((one) => one !== "").join(":"),
    name,
    parts,
    requestParts,
    endpoint: known ? text.slice(at + 1) : null,
    isFile: false,
    isHub: false,
  };
}

function partsOf(text: string): Pick<CandidateName, "parts" | "requestParts"> {
  const all = text.split("+").filter((part) => part !== "");
  const isRequest = (part: string) => /^(?:format|thinking|wording)=/.test(part);
  return { parts: all.filter((part) => !isRequest(part)), requestParts: all.filter(isRequest) };
}

/** The request settings that a candidate's parts may hold. */
export const REQUEST_SETTINGS = "format=free|json|schema, thinking=on|off|TOKENS, wording=NAME";

/**
 * The differences of requests that settings such as `format=schema` state.
 *
 * @throws {UserError} naming the setting and what is accepted
 *
 * ```ts
 * const { format, thinking } = requestVariationOf("smollm2", ["format=schema", "thinking=512"]);
 * if (format !== "schema" || thinking !== 512) throw new Error();
 * ```
 */
export function requestVariationOf(text: string, parts: readonly string[]): RequestVariation {
  return Object.assign({}, ...parts.map((part) => requestSettingOf(text, part)));
}

function requestSettingOf(text: string, part: string): RequestVariation {
  const [key = "", value = ""] = part.split("=");
  if (key === "format" && (value === "free" || value === "json" || value === "schema")) {
    return { format: value };
  }
  if (key === "thinking" && (value === "on" || value === "off")) return { thinking: value };
  if (key === "thinking" && /^\d{1,6}$/.test(value)) return { thinking: Number(value) };
  if (key === "wording" && value !== "") return { wording: value };
  throw new UserError(`${text}: unknown request setting "${part}": give ${REQUEST_SETTINGS}`);
}

const noRepository = (text: string) =>
  new UserError(
    `${text}: this is not a Hugging Face repository: write hf:OWNER/REPO or hf:OWNER/REPO:Q4_K_M`,
  );

/**
 * The names of a comma-separated list; commas between double quotes belong to the name.
 *
 * ```ts
 * const names = splitCandidateNames('smollm2, "a,b.gguf":threads=1');
 * if (names.join("|") !== 'smollm2|"a,b.gguf":threads=1') throw new Error(names.join("|"));
 * ```
 */
export function splitCandidateNames(text: string): string[] {
  const names = text.match(/(?:"[^"]*"?|[^,"])+/g) ?? [];
  return names.map((name) => name.trim()).filter((name) => name !== "");
}

/** The settings that a candidate's parts may hold. */
export const ENGINE_SETTINGS =
  "threads=N, context=TOKENS, flash=on|off, kv=f16|q8_0|q4_0, batch=32…8192, parallel=1…64, " +
  "mmap=on|off, gpu=auto|off|vulkan|cuda|metal";

/**
 * The engine options of settings such as `threads=2`.
 *
 * @throws {UserError} naming the setting and what is accepted
 *
 * ```ts
 * const { threads, contextTokens } = engineSettingsOf("smollm2", ["threads=2", "context=512"]);
 * if (threads !== 2 || contextTokens !== 512) throw new Error();
 * ```
 */
export function engineSettingsOf(text: string, settings: readonly string[]): EngineSettings {
  return Object.assign({}, ...settings.map((setting) => engineSettingOf(text, setting)));
}

function engineSettingOf(text: string, setting: string): EngineSettings {
  const [key = "", value = ""] = setting.split("=");
  const number = /^\d{1,7}$/.test(value) && Number(value) > 0 ? Number(value) : null;
  if (key === "threads" && number !== null) return { threads: number };
  if (key === "context" && number !== null) return { contextTokens: number };
  if (key === "batch" && number !== null && number >= 32 && number <= 8192) return { batchTokens: number };
  if (key === "parallel" && number !== null && number <= 64) return { parallel: number };
  if (key === "flash" && (value === "on" || value === "off")) return { flashAttention: value === "on" };
  if (key === "mmap" && (value === "on" || value === "off")) return { mmap: value === "on" };
  if (key === "kv" && (value === "f16" || value === "q8_0" || value === "q4_0")) return { kvCache: value };
  if (key === "gpu") {
    if (value === "auto" || value === "off" || value === "vulkan" || value === "cuda" || value === "metal") {
      return { gpu: value };
    }
  }
  throw new UserError(`${text}: invalid engine setting "${setting}": give ${ENGINE_SETTINGS}`);
}
