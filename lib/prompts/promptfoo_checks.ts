/** promptfoo's assertions as checks. Those that run code, or ask a model or a service, have no check here. */
import { RE2JS } from "re2js";
import type { Note } from "./rows.ts";
import { type RowValues, textOf, valueOf } from "./template.ts";

/** An assertion as a promptfoo file holds it. */
export interface Assertion {
  readonly type: string;
  readonly value?: unknown;
  readonly weight?: unknown;
}

/** What a case's assertions became. */
export interface ReadAssertions {
  readonly checks: readonly Record<string, unknown>[];
  /** Questions for a judge: `llm-rubric`. */
  readonly aspects: readonly string[];
}

/** Whether a column of a promptfoo CSV file holds an assertion: `__expected`, `__expected1` … */
export const isExpectedColumn = (name: string): boolean => /^__expected\d*$/.test(name);

/** Assertions of rows whose check cells are texts such as `contains:Paris`. */
export function expectedCells(
  values: RowValues,
  columns: readonly string[],
  leftOut: Set<string>,
): ReadAssertions {
  const texts = columns.map((name) => valueOf(values, name)).filter((one) => typeof one === "string");
  return readAssertions(texts.map(assertionOf), leftOut);
}

/**
 * An assertion from a cell: `type:value` or `not-type:value`, with a threshold in brackets; any other text is
 * what the answer must equal.
 *
 * ```ts
 * if (assertionOf("not-icontains: sorry").type !== "not-icontains") throw new Error("a type and a value");
 * if (assertionOf("Paris").type !== "equals") throw new Error("a text alone");
 * ```
 */
export function assertionOf(cell: string): Assertion {
  const text = cell.trim();
  const legacy = /^(?:fn|eval|grade|python|file):/.exec(text)?.[0].slice(0, -1);
  if (legacy !== undefined) {
    return {
      type: legacy === "grade" ? "llm-rubric" : "javascript",
      value: text.slice(legacy.length + 1).trim(),
    };
  }
  const [, type, value] = /^((?:not-)?[a-z][a-z-]+)(?:\(\d+(?:\.\d+)?\))?(?::([\s\S]*))?$/.exec(text) ?? [];
  if (type === undefined || !KNOWN.has(type.replace(/^not-/, ""))) return { type: "equals", value: text };
  return { type, ...(value === undefined ? {} : { value: value.trim() }) };
}

/** Types that are known as such, whether or not they have a check here. */
const KNOWN = new Set([
  ..."equals contains icontains contains-all contains-any icontains-all icontains-any starts-with regex"
    .split(" "),
  ..."is-json contains-json javascript python llm-rubric similar cost latency rouge-n levenshtein".split(" "),
  ..."factuality answer-relevance context-recall context-relevance context-faithfulness model-graded-closedqa"
    .split(" "),
  ..."webhook perplexity perplexity-score bleu word-count is-sql contains-sql is-xml contains-xml is-html"
    .split(" "),
  ..."is-valid-openai-tools-call is-refusal moderation classifier select-best g-eval".split(" "),
]);

/**
 * A case's assertions as checks that all must pass, as promptfoo has it. A type without a
 * check is added to `leftOut`.
 *
 * ```ts
 * const leftOut = new Set<string>();
 * const { checks } = readAssertions([{ type: "contains", value: "Paris" }, { type: "latency" }], leftOut);
 * if (checks[0]?.kind !== "contains" || !leftOut.has("latency")) throw new Error(JSON.stringify(checks));
 * ```
 */
export function readAssertions(assertions: readonly Assertion[], leftOut: Set<string>): ReadAssertions {
  const checks: Record<string, unknown>[] = [];
  const aspects: string[] = [];
  for (const assertion of assertions) {
    const check = checkOf(assertion);
    if (assertion.type === "llm-rubric" && typeof assertion.value === "string") aspects.push(assertion.value);
    else if (check === null) leftOut.add(assertion.type);
    if (check === null || assertion.weight === 0) continue;
    const { weight } = assertion;
    const name = nameOf(assertion);
    const same = checks.filter((one) => String(one["name"]).startsWith(name)).length;
    checks.push({
      ...check,
      name: same === 0 ? name : `${name} (${same + 1})`,
      required: true,
      ...(typeof weight === "number" ? { weight } : {}),
    });
  }
  return { checks, aspects };
}

/** Says which types of assertions have no check here. */
export function noteLeftOut(leftOut: ReadonlySet<string>, source: string, note: Note | undefined): void {
  if (leftOut.size === 0) return;
  const types = [...leftOut].join(", ");
  note?.(`${source}: assertions of these types have no check here and are left out: ${types}.`);
}

function nameOf({ type, value }: Assertion): string {
  const text = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
  const short = text.replaceAll(/\s+/g, " ");
  return `${type} ${short.length > 40 ? `${short.slice(0, 39)}…` : short}`.trim();
}

function checkOf({ type, value }: Assertion): Record<string, unknown> | null {
  const absent = type.startsWith("not-");
  const kind = absent ? type.slice(4) : type;
  const texts = textsOf(value, kind);
  switch (kind) {
    case "equals":
      return typeof value === "object" || texts.length === 0
        ? null
        : { kind: "regex", pattern: `\\A${RE2JS.quote(texts.join(","))}\\z`, match_case: true, absent };
    case "starts-with":
      return texts.length === 0
        ? null
        : { kind: "regex", pattern: `\\A${RE2JS.quote(textOf(value))}`, match_case: true, absent };
    case "regex":
      return texts.length === 0 ? null : { kind: "regex", pattern: textOf(value), match_case: true, absent };
    case "contains":
    case "contains-any":
    case "icontains":
    case "icontains-any":
      return contained(texts, { absent, need: "any", match_case: !kind.startsWith("i") });
    case "contains-all":
    case "icontains-all":
      // "Not all of them" has no check.
      return absent ? null : contained(texts, { absent, need: "all", match_case: !kind.startsWith("i") });
    case "is-json":
    case "contains-json":
      return absent ? null : {
        kind: "json",
        fenced: kind === "contains-json",
        ...(typeof value === "object" && value !== null ? { schema: value } : {}),
      };
    default:
      return null;
  }
}

function contained(
  texts: readonly string[],
  { absent, need, match_case }: { absent: boolean; need: "any" | "all"; match_case: boolean },
): Record<string, unknown> | null {
  if (texts.length === 0) return null;
  return absent ? { kind: "not_contains", texts, match_case } : { kind: "contains", texts, need, match_case };
}

/** One text, or several: a list, or for the kinds that take several a text with commas. */
function textsOf(value: unknown, kind: string): string[] {
  if (Array.isArray(value)) return value.map(textOf);
  if (value === undefined || value === null || value === "") return [];
  const text = textOf(value);
  return /-(?:all|any)$/.test(kind)
    ? text.split(",").map((one) => one.trim()).filter((one) => one !== "")
    : [text];
}
