/** Turns the expected answer of a case into the check of its task. */
import { isObject, jsonOrText } from "../bounded_json.ts";
import { UserError } from "../errors.ts";
import type { AnswerCheck } from "./checks.ts";
import { shownValue } from "./issue_text.ts";
import type { ToolDefinition } from "./request_settings.ts";

/** The part of a case that states the right answer. */
export interface Expectation {
  readonly task?: string | undefined;
  readonly expected?: unknown;
  readonly labels?: readonly string[] | undefined;
  readonly schema?: Readonly<Record<string, unknown>> | undefined;
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly tools?: readonly ToolDefinition[] | undefined;
  readonly tests?: string | undefined;
}

/** Tasks whose `expected` becomes a check. */
export const COMPARED = ["classify", "extract", "tools", "answer"] as const;

/**
 * The check for `expected` (or `tests`), as `parseChecks` takes it; null where a case states neither.
 *
 * @throws {UserError} naming what the task takes
 *
 * ```ts
 * const check = taskCheck({ task: "classify", expected: "Bug ", labels: ["billing", "bug"] });
 * if (check?.expected !== "bug") throw new Error("spelled as the label is");
 * ```
 */
export function taskCheck(given: Expectation): Record<string, unknown> | null {
  const { task, expected, tests } = given;
  if (tests !== undefined) return { kind: "tests", name: "tests", tests };
  if (expected === undefined) return null;
  switch (task) {
    case "classify":
      return { kind: "label", name: "label", ...labelOf(given) };
    case "extract":
      return recordOf(given);
    case "tools":
      return { kind: "calls", name: "calls", expected: callsOf(given) };
    case "answer":
      return { kind: "answer", name: "answer", ...answerOf(given) };
    default:
      throw new UserError(
        `"expected" needs a "task" that says how it is compared (${COMPARED.join(", ")})` +
          (task === undefined ? "" : `, not ${JSON.stringify(task)}`) +
          ': for other tasks give "checks" or a "reference"',
      );
  }
}

/**
 * The stratum of a case in a draw: the label, or the tool to be called; null for other tasks.
 *
 * ```ts
 * if (stratumOf([]) !== null) throw new Error("no task, no stratum");
 * ```
 */
export function stratumOf(checks: readonly AnswerCheck[]): string | null {
  for (const check of checks) {
    if (check.kind === "label") return check.expected;
    if (check.kind === "calls") return check.expected.map(({ name }) => name).join(" + ") || "no call";
  }
  return null;
}

/**
 * The expected answer of a case, for people: a label, a text or number, calls, or the JSON of a record; null
 * where only other checks say what is right.
 *
 * ```ts
 * if (expectedText([]) !== null) throw new Error("nothing is expected");
 * ```
 */
export function expectedText(checks: readonly AnswerCheck[]): string | null {
  for (const check of checks) {
    switch (check.kind) {
      case "label":
        return check.expected;
      case "record":
        return JSON.stringify(check.expected, null, 2);
      case "calls":
        return check.expected.length === 0
          ? "no call"
          : check.expected.map(({ name, arguments: args }) => `${name}(${JSON.stringify(args)})`).join("\n");
      case "answer":
        return check.expected?.join(" or ") ?? String(check.number);
      case "exact":
        return check.answers.join(" or ");
      case "number":
        return String(check.value);
    }
  }
  return null;
}

/** As people compare labels: case and space at the ends aside. */
export const foldedLabel = (label: string): string => label.trim().toLowerCase();

function labelOf({ expected, labels = [] }: Expectation): { expected: string; labels: readonly string[] } {
  const given = typeof expected === "string" ? expected.trim() : JSON.stringify(expected);
  const found = labels.find((label) => foldedLabel(label) === foldedLabel(given));
  if (found !== undefined) return { expected: found, labels };
  throw new UserError(`${JSON.stringify(given)} is not one of the labels ${labels.join(", ")}`);
}

function recordOf({ expected, schema, fields }: Expectation): Record<string, unknown> {
  const record = typeof expected === "string" ? jsonOrText(expected) : expected;
  if (!isObject(record)) {
    throw new UserError(`"expected" is ${shownValue(expected)}, and extract takes an object of fields`);
  }
  const typed = Object.entries(record).map(([name, value]) => [name, typedValue(name, value, schema)]);
  return {
    kind: "record",
    name: "record",
    expected: Object.fromEntries(typed),
    ...(schema === undefined ? {} : { schema }),
    ...(fields === undefined ? {} : { fields }),
  };
}

/** A cell of a table is text: where the schema wants a number, a truth value or a list, it is read as one. */
function typedValue(name: string, value: unknown, schema: Expectation["schema"]): unknown {
  if (typeof value !== "string") return value;
  const properties = schema?.["properties"];
  const property = isObject(properties) ? properties[name] : undefined;
  const type = isObject(property) ? property["type"] : undefined;
  const types = Array.isArray(type) ? type : [type];
  if (types.includes("string") || type === undefined) return value;
  const read = jsonOrText(value.trim());
  const kind = Array.isArray(read) ? "array" : read === null ? "null" : typeof read;
  const fits = types.includes(kind) || Number.isInteger(read) && types.includes("integer");
  if (fits) return read;
  throw new UserError(
    `the field ${name} is ${shownValue(value)}, and its schema expects ${types.join(" or ")}`,
  );
}

function callsOf({ expected, tools = [] }: Expectation): unknown[] {
  const list = typeof expected === "string" ? jsonOrText(expected) : expected;
  if (!Array.isArray(list)) {
    throw new UserError(
      `"expected" is ${shownValue(expected)}, and tools takes a list of calls such as ` +
        '[{"name": "get_weather", "arguments": {"city": "Paris"}}], empty where no call is right',
    );
  }
  return list.map((one: unknown) => {
    const call = isObject(one) ? one["function"] ?? one : one;
    const { name, arguments: given }: Record<string, unknown> = isObject(call) ? call : {};
    const tool = tools.find((tool) => tool.name === name);
    if (tools.length > 0 && tool === undefined) {
      const names = tools.map((tool) => tool.name).join(", ");
      throw new UserError(`a call of ${shownValue(name)} is expected, and the tools are ${names}`);
    }
    const args = typeof given === "string" ? jsonOrText(given) : given;
    const properties = tool?.parameters?.["properties"];
    const strange = isObject(properties) && isObject(args)
      ? Object.keys(args).find((one) => !(one in properties))
      : undefined;
    if (strange !== undefined) {
      const names = Object.keys(properties ?? {}).join(", ") || "none";
      throw new UserError(
        `the argument ${shownValue(strange)} of ${shownValue(name)} is expected, ` +
          `and its parameters are ${names}`,
      );
    }
    return { name, ...(given === undefined ? {} : { arguments: args }) };
  });
}

function answerOf({ expected, labels }: Expectation): Record<string, unknown> {
  const chosen = labels !== undefined && labels.length > 0;
  const choices = chosen ? { choices: labels } : {};
  if (typeof expected === "number") return { number: expected };
  if (isObject(expected)) return { ...choices, ...expected };
  if (typeof expected !== "string") return { ...choices, expected };
  const value = expected.trim();
  if (value.startsWith("[")) {
    const list = jsonOrText(value);
    if (Array.isArray(list)) return { ...choices, expected: list };
  }
  // A cell that holds a number alone is compared by value: 1200 is also 1,200.
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(value) && !chosen
    ? { number: Number(value) }
    : { ...choices, expected: [value] };
}
