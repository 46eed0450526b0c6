/** Scores an extracted record: field by field, by value, with tolerances for numbers and dates. */
import { z } from "zod";
import { isObject, jsonOrText } from "../bounded_json.ts";
import type { CheckByKind } from "../prompts/checks.ts";
import type { FieldRule } from "../prompts/task_checks.ts";
import { asciiDigits, fencedBlock } from "./answer_text.ts";
import { datesIn } from "./dates.ts";
import { digitNumbers } from "./numbers.ts";
import type { CheckVerdict, FieldState } from "./outcomes.ts";
import { fold, plainText } from "./text.ts";

/** A JSON object. */
type Fields = Readonly<Record<string, unknown>>;
type Rules = Readonly<Record<string, FieldRule>>;

const isBlank = (value: unknown) =>
  value === undefined || value === null || (typeof value === "string" && value.trim() === "");

/** Zod schemas by JSON schema: made once, not per answer. */
const parsers = new WeakMap<object, z.ZodType>();

/** The first place where a value doesn't fit a JSON schema; null where it fits. */
export function schemaFault(schema: Readonly<Record<string, unknown>>, value: unknown): string | null {
  let parser = parsers.get(schema);
  if (parser === undefined) parsers.set(schema, parser = z.fromJSONSchema(schema));
  const parsed = parser.safeParse(value);
  if (parsed.success) return null;
  const [fault] = parsed.error.issues;
  return `${fault?.path.join(".") || "the document"}: ${fault?.message ?? "doesn't fit the schema"}`;
}

/** Scores an answer by the JSON object that it consists of, or that its one code fence holds. */
export function scoreRecord(
  answer: string,
  { schema, expected, fields }: CheckByKind["record"],
): CheckVerdict {
  const given = jsonOrText(fencedBlock(answer) ?? answer);
  if (!isObject(given)) {
    const paths = Object.keys(compareFields(expected, {}, fields));
    const missing = Object.fromEntries(paths.map((path) => [path, "missing" as const]));
    const fits = schema === undefined ? null : false;
    return {
      passed: false,
      offFormat: true,
      outcome: { kind: "record", json: false, fits, fields: missing },
      detail: "not a JSON object",
    };
  }
  const states = compareFields(expected, given, fields);
  const fault = schema === undefined ? null : schemaFault(schema, given);
  const fits = schema === undefined ? null : fault === null;
  const faults = [
    ...Object.entries(states).flatMap(([path, state]) => state === "right" ? [] : [`${path} ${state}`]),
    ...(fault === null ? [] : [`doesn't fit the schema: ${fault}`]),
  ];
  const count = Object.keys(states).length;
  return {
    passed: faults.length === 0,
    final: faults.length > 0,
    outcome: { kind: "record", json: true, fits, fields: states },
    detail: faults.length > 0
      ? faults.slice(0, 6).join(", ") + (faults.length > 6 ? ` and ${faults.length - 6} more` : "")
      : count === 1
      ? "the field is right"
      : `all ${count} fields right`,
  };
}

const SEVERITY: Readonly<Record<FieldState, number>> = { right: 0, missing: 1, wrong: 2 };

/**
 * The state of every field of `expected`, by its path: `total`, `supplier.name`, `items.*.price` for one
 * field of all items of a list, and `items.length` for their number. What is expected to be null must be
 * null, empty or left out. Fields that are not expected are not looked at.
 *
 * ```ts
 * const states = compareFields(
 *   { total: 1250, due: "2026-04-03", note: null },
 *   { total: "1,250.00", due: "3 April 2026" },
 *   { due: { as: "date" } },
 * );
 * if (Object.values(states).join() !== "right,right,right") throw new Error(JSON.stringify(states));
 * ```
 */
export function compareFields(expected: Fields, given: Fields, rules: Rules): Record<string, FieldState> {
  const states: Record<string, FieldState> = {};
  const note = (path: string, state: FieldState) => {
    // For a list, the worst item counts.
    if (SEVERITY[state] >= SEVERITY[states[path] ?? "right"]) states[path] = state;
  };
  const visit = (path: string, wanted: unknown, found: unknown) => {
    if (isObject(wanted)) {
      for (const [key, value] of Object.entries(wanted)) {
        visit(path === "" ? key : `${path}.${key}`, value, isObject(found) ? found[key] : undefined);
      }
    } else if (Array.isArray(wanted) && wanted.some(isObject)) {
      const items = Array.isArray(found) ? found : [];
      note(`${path}.length`, isBlank(found) ? "missing" : sameState(items.length === wanted.length));
      const ordered = rules[path]?.any_order === true ? paired(wanted, items, path, rules) : items;
      wanted.forEach((value, at) => visit(`${path}.*`, value, ordered[at]));
    } else note(path, stateOfField(wanted, found, rules[path] ?? {}));
  };
  visit("", expected, given);
  return states;
}

const sameState = (same: boolean): FieldState => same ? "right" : "wrong";

/** The items of a list in the order of the expected ones: each takes, of those left, the one with most fields right. */
function paired(
  wanted: readonly unknown[],
  items: readonly unknown[],
  path: string,
  rules: Rules,
): unknown[] {
  const left = new Set(items);
  return wanted.map((value) => {
    const rights = (item: unknown) =>
      Object.values(compareFields({ [path]: [value] }, { [path]: [item] }, { ...rules, [path]: {} }))
        .filter((state) => state === "right").length;
    const best = [...left].toSorted((a, b) => rights(b) - rights(a))[0];
    left.delete(best);
    return best;
  });
}

function stateOfField(wanted: unknown, found: unknown, rule: FieldRule): FieldState {
  if (isBlank(wanted)) return sameState(isBlank(found));
  if (isBlank(found)) return "missing";
  if (!Array.isArray(wanted)) return sameState(sameValue(wanted, found, rule));
  if (!Array.isArray(found) || found.length !== wanted.length) return "wrong";
  if (rule.any_order !== true) {
    return sameState(wanted.every((value, at) => sameValue(value, found[at], rule)));
  }
  const left: unknown[] = [...found];
  return sameState(wanted.every((value) => {
    const at = left.findIndex((one) => sameValue(value, one, rule));
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  }));
}

/** Numbers by value, dates with `as: "date"`, everything else as text without regard to the kind of white space. */
function sameValue(wanted: unknown, found: unknown, rule: FieldRule): boolean {
  if (isObject(found) || Array.isArray(found)) return false;
  const numeric = rule.as === "number" || rule.tolerance !== undefined ||
    (rule.as === undefined && (typeof wanted === "number" || typeof found === "number"));
  if (numeric) {
    const [values, own] = [numbersOf(wanted), numbersOf(found)];
    const off = (rule.tolerance ?? 0) + 1e-9;
    if (values.length > 0) {
      return values.some((a) => own.some((b) => Math.abs(a - b) <= off + 1e-9 * Math.abs(a)));
    }
  }
  if (rule.as === "date") {
    const [days, own] = [daysOf(wanted), daysOf(found)];
    if (days.length > 0) return days.some((day) => own.includes(day));
  }
  const [a, b] = [comparedText(wanted), comparedText(found)];
  return rule.ignore_case === true ? fold(a) === fold(b) : a === b;
}

/** Markdown's marks don't count, unless the value is nothing else. */
function comparedText(value: unknown): string {
  const text = String(value);
  return plainText(text).normalize("NFKC").replaceAll(/\s+/g, " ").trim() || text.trim();
}

/** What a value may mean as a number; for a text, the one number in it, in the format of any country. */
function numbersOf(value: unknown): number[] {
  if (typeof value === "number") return [value];
  if (typeof value !== "string") return [];
  const text = asciiDigits(plainText(value));
  const [only, more] = digitNumbers(text);
  if (only === undefined || more !== undefined) return [];
  const negative = /[-−－(]\s?$/.test(text.slice(0, only.index));
  return only.values.map((one) => negative ? -one : one);
}

/** The days that a text may mean where it names one date: `03/04/2026` has two readings. */
function daysOf(value: unknown): string[] {
  if (typeof value !== "string") return [];
  const [only, more] = datesIn(plainText(value));
  if (only === undefined || more !== undefined) return [];
  return only.readings.map(({ year, month, day }) => `${year}-${month}-${day}`);
}
