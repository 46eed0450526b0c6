/** What a file says about itself fills in what the registry leaves open. */
import type { GgufFacts } from "./gguf.ts";
import type { Model, Variant } from "./types.ts";

/**
 * The entry with its gaps filled from the metadata of one variant's file: licence, context, size of the context
 * and quantisation. What models.json states stays.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const [entry] = parseRegistry('{"a": {"variants": [{"name": "q4"}]}}', "x").models;
 * const [variant] = entry?.variants ?? [];
 * if (entry === undefined || variant === undefined) throw new Error("not read");
 * const facts = { architecture: "llama", license: "mit", context_tokens: 2048, quantization: "Q4_1",
 *   chat_template: true, kv_bytes_per_token: 512 };
 * const full = fillIn(entry, variant, facts);
 * if (full.license.id !== "mit" || !full.license.open || full.contextTokens !== 2048) throw new Error("gaps stay");
 * ```
 */
export function fillIn(entry: Model, variant: Variant, facts: GgufFacts): Model {
  const license = facts.license === null || entry.license.id !== "unknown"
    ? entry.license
    : { ...entry.license, id: facts.license, open: isOpenLicense(facts.license) };
  return {
    ...entry,
    license,
    contextTokens: entry.contextTokens ?? facts.context_tokens,
    kvBytesPerToken: facts.kv_bytes_per_token ?? entry.kvBytesPerToken,
    variants: entry.variants.map((own) =>
      own === variant ? { ...own, quantization: own.quantization ?? facts.quantization } : own
    ),
  };
}

/** Licences that the Open Source Initiative approved, among those that models carry. */
const openLicenses = new Set(["apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "mpl-2.0", "gpl-3.0"]);

/**
 * Whether a licence is an open one, by its SPDX id.
 *
 * ```ts
 * if (!isOpenLicense("MIT") || isOpenLicense("gemma")) throw new Error("MIT is, Gemma's terms are not");
 * ```
 */
export function isOpenLicense(id: string): boolean {
  return openLicenses.has(id.toLowerCase());
}
