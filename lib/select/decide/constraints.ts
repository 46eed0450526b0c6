/**
 * Constraints: which candidates may be chosen. Each exclusion says why, and the nearest change that would
 * admit the candidate. An unknown value excludes no candidate, except for quality: a floor needs evidence.
 */
import type { Fit } from "../../catalog/machine.ts";
import type { Exclusion } from "../../bench/records.ts";
import { isOpenLicense, licenseTerms } from "../../catalog/licenses.ts";

/** The quality of a candidate's answers, and the evidence behind it. */
export interface QualityFacts {
  /** Cases that passed, their number and the share with its 95 % interval; an unknown answer has not passed. */
  readonly passed: number;
  readonly prompts: number;
  readonly passRate: number | null;
  readonly passRateCi95: readonly [number, number] | null;
  /** Answers that were cut at the token limit, and that no check could judge: neither has passed. */
  readonly cut: number;
  readonly unsupported: number;
  /** The share of right answers if all of these, and all that failed, were right. */
  readonly rightAtMost: number | null;
  /** Mean check score, 0 to 1. */
  readonly score: number | null;
  readonly scoreCi95: readonly [number, number] | null;
  /** People's ratings, 1 to 5; null where there are none. */
  readonly rating: number | null;
  readonly ratingCi95: readonly [number, number] | null;
  /** The run that the figures come from. */
  readonly run: string;
}

/** The facts of a candidate; null where unknown. */
export interface CandidateFacts {
  readonly id: string;
  readonly license: string | null;
  /** Tags and tasks of the registry. */
  readonly capabilities: readonly string[];
  /** Tokens that fit into the context it runs with. */
  readonly contextTokens: number | null;
  readonly sizeMb: number | null;
  /** RAM that it needs while it runs, in GB: weights, context, engine. */
  readonly neededRamGb: number | null;
  /** Whether this machine can run it; null for what runs elsewhere. */
  readonly fit: Fit | null;
  /** Free megabytes where its file would be stored; null when it is there already, or runs elsewhere. */
  readonly freeDiskMb: number | null;
  readonly quality: QualityFacts | null;
  /** Measured means, in seconds, and the largest resident size. */
  readonly latencyS: number | null;
  readonly ttftS: number | null;
  readonly memoryMb: number | null;
}

const FLAGS: Readonly<Record<string, string>> = {
  maxRamGb: "max-ram",
  maxDiskMb: "max-disk",
  licenses: "licenses",
  capabilities: "capability",
  minContextTokens: "min-context",
  minPassRate: "min-pass",
  minScore: "min-score",
  minRating: "min-rating",
  maxLatencyS: "max-latency",
  maxTtftS: "max-ttft",
  maxMemoryMb: "max-memory",
} satisfies Record<keyof Constraints, string>;

/**
 * The flag of a constraint, without its dashes.
 *
 * ```ts
 * if (flagOf("maxRamGb") !== "max-ram") throw new Error("as select and race spell it");
 * ```
 */
export const flagOf = (constraint: string): string => FLAGS[constraint] ?? constraint;

/** What a candidate must meet; null, or an empty list, constrains nothing. */
export interface Constraints {
  /** The most RAM that it may need, in GB. */
  readonly maxRamGb: number | null;
  /** The largest file, in megabytes. */
  readonly maxDiskMb: number | null;
  /** Licence ids; `open` stands for every OSI-approved one, `commercial` for all that allow commercial use. */
  readonly licenses: readonly string[];
  /** All of them are needed. */
  readonly capabilities: readonly string[];
  /** The shortest context that it must hold, in tokens. */
  readonly minContextTokens: number | null;
  /** The least share of cases whose checks all pass, from 0 to 1; the interval's lower bound must reach it. */
  readonly minPassRate: number | null;
  /** The least mean check score, from 0 to 1; as `minPassRate`. */
  readonly minScore: number | null;
  /** The least mean rating, from 1 to 5; as `minPassRate`. */
  readonly minRating: number | null;
  /** The longest mean latency, in seconds. */
  readonly maxLatencyS: number | null;
  /** The longest mean time to first token, in seconds. */
  readonly maxTtftS: number | null;
  /** The most resident memory, in megabytes. */
  readonly maxMemoryMb: number | null;
}

export const NO_CONSTRAINTS: Constraints = {
  maxRamGb: null,
  maxDiskMb: null,
  licenses: [],
  capabilities: [],
  minContextTokens: null,
  minPassRate: null,
  minScore: null,
  minRating: null,
  maxLatencyS: null,
  maxTtftS: null,
  maxMemoryMb: null,
};

type ConstraintName = Exclusion["constraint"];

type Judge = (facts: CandidateFacts, wanted: Constraints) => Omit<Exclusion, "id">[];

/**
 * Every reason why a candidate is excluded; none for one that may be chosen.
 *
 * ```ts
 * const facts = {
 *   id: "big", license: "gemma", capabilities: ["chat"], contextTokens: 4096, sizeMb: 5000, neededRamGb: 6,
 *   fit: null, freeDiskMb: null, quality: null, latencyS: null, ttftS: null, memoryMb: null,
 * };
 * const [first] = exclusionsOf(facts, { ...NO_CONSTRAINTS, maxDiskMb: 1000 });
 * if (first?.constraint !== "disk" || !first.admit.includes("5000")) throw new Error("5 GB do not go into 1");
 * ```
 */
export function exclusionsOf(facts: CandidateFacts, wanted: Constraints): Exclusion[] {
  const judges: readonly Judge[] = [ram, disk, license, capability, context, quality, limits];
  return judges.flatMap((judge) => judge(facts, wanted)).map((one) => ({ id: facts.id, ...one }));
}

const ram: Judge = ({ fit, neededRamGb: needed }, { maxRamGb: limit }) => [
  ...(fit === null || fit.ok ? [] : fit.reasons.map((reason) => ({
    constraint: reason.startsWith("its file") ? "disk" as const : "ram" as const,
    reason: `it doesn't fit this machine: ${reason}`,
    admit: "free what is missing, take a smaller variant, or a smaller context (context=TOKENS)",
  }))),
  ...(limit === null || needed === null || needed <= limit ? [] : [{
    constraint: "ram" as const,
    reason: `it needs ${gb(needed)} of RAM, ${gb(limit)} are allowed`,
    admit: `allow ${gb(Math.ceil(needed * 10) / 10)}`,
  }]),
];

const disk: Judge = ({ sizeMb, freeDiskMb: free }, { maxDiskMb: limit }) => {
  if (sizeMb === null) return [];
  const size = Math.ceil(sizeMb);
  return [
    ...(limit === null || sizeMb <= limit ? [] : [{
      constraint: "disk" as const,
      reason: `it takes ${size} MB of disk, ${limit} MB are allowed`,
      admit: `allow ${size} MB`,
    }]),
    ...(free === null || sizeMb <= free ? [] : [{
      constraint: "disk" as const,
      reason: `it takes ${size} MB of disk, ${Math.floor(free)} MB are free`,
      admit: `free ${Math.ceil(sizeMb - free)} MB`,
    }]),
  ];
};

const license: Judge = ({ license }, { licenses }) => {
  if (licenses.length === 0 || license !== null && licenses.some((wanted) => allows(wanted, license))) {
    return [];
  }
  const known = license === null ? null : licenseTerms(license);
  return [{
    constraint: "license",
    reason: license === null
      ? `its licence is not known; allowed: ${licenses.join(", ")}`
      : `its licence is ${license}${
        known === null ? ", which is not known here" : ` (${known.conditions})`
      }; allowed: ${licenses.join(", ")}`,
    admit: license === null ? "state its licence in models.json" : `read its terms, then allow ${license}`,
  }];
};

function allows(wanted: string, license: string): boolean {
  if (wanted === "open") return isOpenLicense(license);
  if (wanted === "commercial") return (licenseTerms(license)?.commercialUse ?? "no") !== "no";
  return wanted.toLowerCase() === license.toLowerCase();
}

const capability: Judge = (facts, { capabilities }) => {
  const missing = capabilities.filter((tag) => !facts.capabilities.includes(tag));
  if (missing.length === 0) return [];
  const has = facts.capabilities.length === 0 ? "none" : facts.capabilities.join(", ");
  return [{
    constraint: "capability",
    reason: `it is not tagged ${missing.join(", ")} (it has: ${has})`,
    admit: `if it can do that, add ${missing.join(", ")} to its capabilities in models.json`,
  }];
};

const context: Judge = ({ contextTokens: has }, { minContextTokens: needed }) =>
  needed === null || has === null || has >= needed ? [] : [{
    constraint: "context",
    reason: `its context holds ${has} tokens, ${needed} are needed`,
    admit:
      `ask for at most ${has} tokens, or give it more context (context=${needed}) if it was trained for it`,
  }];

const quality: Judge = ({ quality: scored }, { minPassRate, minScore, minRating }) => {
  if (minPassRate === null && minScore === null && minRating === null) return [];
  if (scored === null) {
    return [{
      constraint: "quality",
      reason: "there is a quality floor, and none of its answers was scored",
      admit: "score its answers: deno task quality capture, with a job that says what is right",
    }];
  }
  const { passRate, passRateCi95, score, scoreCi95, rating, ratingCi95, prompts, cut, run } = scored;
  const floors: Floor[] = [
    {
      what: "the share of prompts it passed",
      floor: minPassRate,
      value: passRate,
      ci95: passRateCi95,
      text: percent,
      shown: passedText(scored),
      remedy: cut === 0 ? "" : "a larger --max-tokens, since answers were cut; or ",
    },
    {
      what: "its mean check score",
      floor: minScore,
      value: score,
      ci95: scoreCi95,
      text: digits,
      shown: `a mean check score of ${digits(score)}${between(scoreCi95, digits)} over ${prompts} prompts`,
    },
    {
      what: "its mean rating",
      floor: minRating,
      value: rating,
      ci95: ratingCi95,
      text: digits,
      shown: `a mean rating of ${digits(rating)}${between(ratingCi95, digits)}`,
    },
  ];
  return floors.flatMap((one) => below(one, run));
};

/** `9 of 12 passed: 75 % (95 %: 47 % to 91 %)`, and the answers that count as wrong without being known to be. */
function passedText(
  { passed, prompts, passRate, passRateCi95, cut, unsupported, rightAtMost }: QualityFacts,
): string {
  const count = Number.isInteger(passed) ? passed : passed.toFixed(1);
  const share = `${count} of ${prompts} passed: ${percent(passRate)}${between(passRateCi95, percent)}`;
  const open = [
    ...(cut === 0 ? [] : [`${cut} answers were cut`]),
    ...(unsupported === 0 ? [] : [`${unsupported} could not be judged`]),
  ];
  return open.length === 0
    ? share
    : `${share}; ${open.join(" and ")} and count as wrong (if all were right: ${
      percent(rightAtMost)
    } of its answers)`;
}

/** A floor, and the figure that must meet it. */
interface Floor {
  readonly what: string;
  readonly floor: number | null;
  readonly value: number | null;
  readonly ci95: readonly [number, number] | null;
  readonly text: (value: number | null) => string;
  /** The figure and its interval in words. */
  readonly shown: string;
  /** The first of the ways to meet the floor. */
  readonly remedy?: string;
}

/** A floor is met when the lower bound of the interval meets it. */
function below(
  { what, floor, value, ci95, text, shown, remedy = "" }: Floor,
  run: string,
): Omit<Exclusion, "id">[] {
  if (floor === null || value !== null && ci95 !== null && ci95[0] >= floor) return [];
  const exclusion = (reason: string, admit: string) => [{ constraint: "quality" as const, reason, admit }];
  if (value === null) {
    return exclusion(
      `the floor asks for ${what}, which is not known (${run})`,
      "score its answers: deno task quality check, annotate or judge",
    );
  }
  if (ci95 === null) {
    const reason = `${shown}: too few cases for an interval, and a floor of ${
      text(floor)
    } needs one (${run})`;
    return exclusion(reason, "score more cases");
  }
  const ways = ci95[1] >= floor
    ? `more cases: its interval still reaches the floor; or a floor of ${text(ci95[0])}`
    : `a floor of ${text(ci95[0])}, or better answers (another prompt, a larger model)`;
  return exclusion(
    `${shown}, and the lower bound must reach the floor of ${text(floor)} (${run})`,
    `${remedy}${ways}`,
  );
}

const limits: Judge = (facts, wanted) => [
  ...over("latency", "mean latency", facts.latencyS, wanted.maxLatencyS, seconds),
  ...over("ttft", "mean time to first token", facts.ttftS, wanted.maxTtftS, seconds),
  ...over("memory", "resident memory", facts.memoryMb, wanted.maxMemoryMb, (mb) => `${Math.ceil(mb)} MB`),
];

function over(
  constraint: ConstraintName,
  what: string,
  value: number | null,
  limit: number | null,
  text: (value: number) => string,
): Omit<Exclusion, "id">[] {
  if (limit === null || value === null || value <= limit) return [];
  return [{
    constraint,
    reason: `its ${what} is ${text(value)}, ${text(limit)} are allowed`,
    admit: `allow ${text(value)}, or a faster variant (threads, a smaller quantisation, a GPU)`,
  }];
}

const gb = (value: number) => `${value.toFixed(1)} GB`;
const seconds = (value: number) => `${Number(value.toPrecision(3))} s`;
const percent = (value: number | null) => value === null ? "unknown" : `${Math.round(100 * value)} %`;
const digits = (value: number | null) => value === null ? "unknown" : value.toFixed(3);
const between = (
  interval: readonly [number, number] | null,
  text: (value: number) => string,
) => interval === null ? "" : ` (95 %: ${text(interval[0])} to ${text(interval[1])})`;
