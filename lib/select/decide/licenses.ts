/**
 * What the licences of the registry's models permit, in a line each. A reading aid, no legal advice: the
 * licence's own text counts, and models.json names where it stands.
 */

/** Whether something is allowed: as one likes, under conditions that `conditions` names, or not at all. */
export type Permission = "yes" | "conditions" | "no";

export interface LicenseTerms {
  readonly id: string;
  readonly commercialUse: Permission;
  /** Passing the weights on, with a product for instance. */
  readonly redistribution: Permission;
  readonly conditions: string;
}

const terms: readonly LicenseTerms[] = [
  {
    id: "Apache-2.0",
    commercialUse: "yes",
    redistribution: "yes",
    conditions: "keep licence and notices, state changes; ends for whoever sues over patents in it",
  },
  {
    id: "MIT",
    commercialUse: "yes",
    redistribution: "yes",
    conditions: "keep the copyright notice and the licence",
  },
  {
    id: "BSD-3-Clause",
    commercialUse: "yes",
    redistribution: "yes",
    conditions: "keep the copyright notice and the licence; no endorsement in the authors' names",
  },
  {
    id: "gemma",
    commercialUse: "conditions",
    redistribution: "conditions",
    conditions:
      "Google's prohibited-use policy binds you and must be passed on with the terms and a notice; " +
      "Google may restrict use that violates it",
  },
  {
    id: "llama3.2",
    commercialUse: "conditions",
    redistribution: "conditions",
    conditions: 'acceptable-use policy; "Built with Llama" must be shown and derived models named Llama-…; ' +
      "above 700 million monthly users a licence of Meta's own is needed",
  },
  {
    id: "deepseek",
    commercialUse: "conditions",
    redistribution: "conditions",
    conditions: "use restrictions (attachment A) bind you and must be passed on with the weights",
  },
  {
    id: "qwen-research",
    commercialUse: "no",
    redistribution: "conditions",
    conditions:
      "research and evaluation only, a commercial licence must be asked for; pass on licence and notices",
  },
];

/**
 * What a licence permits; null for one that is not known here.
 *
 * @param id as models.json has it, in any case
 *
 * @example
 * ```ts
 * if (licenseTerms("apache-2.0")?.commercialUse !== "yes") throw new Error("Apache allows it");
 * if (licenseTerms("qwen-research")?.commercialUse !== "no") throw new Error("it is for research");
 * ```
 */
export function licenseTerms(id: string): LicenseTerms | null {
  return terms.find((one) => one.id.toLowerCase() === id.toLowerCase()) ?? null;
}

/** The licences that are known here. */
export const knownLicenses: readonly string[] = terms.map(({ id }) => id);
