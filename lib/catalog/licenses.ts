/**
 * The licences of models: whether each is open, and what it permits. A summary, not legal advice: the
 * licence's own text counts, and models.json says where to find it.
 */

/** Whether something is allowed: freely, under the conditions in `conditions`, or not at all. */
export type Permission = "yes" | "conditions" | "no";

/** What one licence permits. */
export interface LicenseTerms {
  /** SPDX id, or the name that model pages use. */
  readonly id: string;
  /** Whether the Open Source Initiative approved it. */
  readonly open: boolean;
  readonly commercialUse: Permission;
  /** Passing the weights on, with a product for example. */
  readonly redistribution: Permission;
  readonly conditions: string;
}

const open = (id: string, conditions: string): LicenseTerms => ({
  id,
  open: true,
  commercialUse: "yes",
  redistribution: "yes",
  conditions,
});

const licenses: readonly LicenseTerms[] = [
  open("Apache-2.0", "keep licence and notices, state changes; ends for anyone who sues over patents in it"),
  open("MIT", "keep the copyright notice and the licence"),
  open("BSD-2-Clause", "keep the copyright notice and the licence"),
  open(
    "BSD-3-Clause",
    "keep the copyright notice and the licence; no endorsement in the authors' names",
  ),
  open("MPL-2.0", "keep licence and notices; publish changes to its files under the same licence"),
  open("GPL-3.0", "whatever contains it is passed on under the same licence, with its source"),
  {
    id: "gemma",
    open: false,
    commercialUse: "conditions",
    redistribution: "conditions",
    conditions:
      "Google's prohibited-use policy binds you and must be passed on with the terms and a notice; " +
      "Google may restrict use that violates it",
  },
  {
    id: "llama3.2",
    open: false,
    commercialUse: "conditions",
    redistribution: "conditions",
    conditions: 'acceptable-use policy; "Built with Llama" must be shown and derived models named Llama-…; ' +
      "above 700 million monthly users a licence from Meta is needed",
  },
  {
    id: "deepseek",
    open: false,
    commercialUse: "conditions",
    redistribution: "conditions",
    conditions: "use restrictions (attachment A) bind you and must be passed on with the weights",
  },
  {
    id: "lfm1.0",
    open: false,
    commercialUse: "conditions",
    redistribution: "conditions",
    conditions:
      "LFM Open License 1.0: free for companies with less than 10 million dollars of revenue per year; keep " +
      "licence and notices, state changes",
  },
  {
    id: "qwen-research",
    open: false,
    commercialUse: "no",
    redistribution: "conditions",
    conditions:
      "research and evaluation only, a commercial licence must be requested; pass on licence and notices",
  },
];

/**
 * The permissions of a licence; null for one that is not in the table.
 *
 * @param id as in models.json, in any letter case
 *
 * ```ts
 * if (licenseTerms("apache-2.0")?.commercialUse !== "yes") throw new Error("Apache allows it");
 * if (licenseTerms("qwen-research")?.commercialUse !== "no") throw new Error("it is for research");
 * ```
 */
export function licenseTerms(id: string): LicenseTerms | null {
  return licenses.find((one) => one.id.toLowerCase() === id.toLowerCase()) ?? null;
}

/**
 * Whether a licence is an open one, by its SPDX id.
 *
 * ```ts
 * if (!isOpenLicense("MIT") || isOpenLicense("gemma")) throw new Error("MIT is open, Gemma's terms are not");
 * ```
 */
export function isOpenLicense(id: string): boolean {
  return licenseTerms(id)?.open ?? false;
}
