/** Compares the tool calls of an answer with those expected: as calls, not as text. */
import { isObject, jsonOrText } from "../bounded_json.ts";
import type { CheckByKind } from "../prompts/checks.ts";
import type { ExpectedCall } from "../prompts/task_checks.ts";
import { fencedBlock } from "./answer_text.ts";
import type { CheckVerdict } from "./outcomes.ts";

/** A call as the model made it. */
export interface GivenCall {
  readonly name: string;
  /** JSON as the model wrote it. */
  readonly arguments: string;
}

type Arguments = Readonly<Record<string, unknown>>;

/**
 * Scores the calls of an answer. Each expected call is matched with one call of the answer, and further calls
 * are wrong. Where no call is expected, the right answer is one without a call.
 *
 * ```ts
 * const expected = [{ name: "get_weather", arguments: { city: ["Paris", "Paris, France"], unit: ["C", null] } }];
 * const check = { expected, any_order: true };
 * const made = [{ name: "get_weather", arguments: '{"city": "paris"}' }];
 * if (!scoreCalls("", made, check).passed) throw new Error("letter case is ignored, the unit may be left out");
 * ```
 */
export function scoreCalls(
  answer: string,
  calls: readonly GivenCall[],
  { expected, any_order }: Pick<CheckByKind["calls"], "expected" | "any_order">,
): CheckVerdict {
  const namesOf = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);
  const [wanted, made] = [namesOf(expected), namesOf(calls)];
  const inOrder = (names: readonly string[]) => (any_order ? names.toSorted() : names).join("\n");
  const selection = inOrder(wanted) === inOrder(made);
  const fits = selection && wanted.length > 0 ? allMatched(expected, calls, any_order) : null;
  const outcome = { kind: "calls" as const, expected: wanted, made, selection, arguments: fits };
  if (selection && fits !== false) {
    const detail = made.length === 0 ? "no call, as expected" : `called ${made.join(", ")}`;
    return { passed: true, outcome, detail };
  }
  if (made.length === 0) {
    const written = isWrittenCall(answer, expected);
    const detail = written ? "a call written as text" : `no call, expected ${wanted.join(", ")}`;
    return { passed: false, outcome, offFormat: written, detail };
  }
  const broken = calls.find((call) => argumentsOf(call) === null);
  return {
    passed: false,
    outcome,
    offFormat: broken !== undefined,
    final: wanted.length === 0,
    detail: broken !== undefined
      ? `the arguments of ${broken.name} are not a JSON object`
      : selection
      ? argumentFault(expected, calls)
      : `called ${made.join(", ")}, expected ${wanted.join(", ") || "no call"}`,
  };
}

/** Whether every expected call can be matched with a fitting call of its own. */
function allMatched(
  expected: readonly ExpectedCall[],
  calls: readonly GivenCall[],
  anyOrder: boolean,
): boolean {
  if (!anyOrder) return expected.every((one, at) => wrongArguments(one, calls[at]).length === 0);
  const [first, ...rest] = expected;
  if (first === undefined) return calls.length === 0;
  return calls.some((call, at) =>
    wrongArguments(first, call).length === 0 && allMatched(rest, calls.toSpliced(at, 1), true)
  );
}

/** Which arguments of a call differ from the expected ones. */
function wrongArguments({ name, arguments: expected }: ExpectedCall, call: GivenCall | undefined): string[] {
  if (call === undefined || call.name !== name) return ["name"];
  const given = argumentsOf(call);
  if (given === null) return ["arguments"];
  const names = new Set([...Object.keys(expected), ...Object.keys(given)]);
  return [...names].filter((argument) => !isAllowed(expected[argument], given[argument]));
}

/** Allows whatever value an argument has. */
const anyValue = "*";

/** Null for an argument that is left out; one that is not expected must be left out. */
function isAllowed(expected: unknown, given: unknown): boolean {
  const values = expected === undefined ? [null] : Array.isArray(expected) ? expected : [expected];
  return values.some((value) =>
    value === anyValue ? given !== undefined && given !== null : sameArgument(value, given ?? null)
  );
}

/** By value: texts without regard to letter case and white space at their ends, objects whatever the order of keys. */
function sameArgument(wanted: unknown, given: unknown): boolean {
  if (typeof wanted === "string" && typeof given === "string") return folded(wanted) === folded(given);
  if (typeof wanted !== "object" || typeof given !== "object" || wanted === null || given === null) {
    return wanted === given;
  }
  if (Array.isArray(wanted) !== Array.isArray(given)) return false;
  const keys = new Set([...Object.keys(wanted), ...Object.keys(given)]);
  return [...keys].every((key) => sameArgument(Reflect.get(wanted, key), Reflect.get(given, key)));
}

const folded = (text: string) => text.normalize("NFKC").trim().replaceAll(/\s+/g, " ").toLowerCase();

function argumentsOf({ arguments: text }: GivenCall): Arguments | null {
  const value = jsonOrText(text === "" ? "{}" : text);
  return isObject(value) ? value : null;
}

/** Among calls with the right names, the first that fits no expected call, with the arguments that differ. */
function argumentFault(expected: readonly ExpectedCall[], calls: readonly GivenCall[]): string {
  for (const call of calls) {
    const faults = expected.filter(({ name }) => name === call.name).map((one) => wrongArguments(one, call));
    const [nearest] = faults.toSorted((a, b) => a.length - b.length);
    if (nearest !== undefined && nearest.length > 0) return `${call.name}: wrong ${nearest.join(", ")}`;
  }
  return "two calls are alike where different ones were expected";
}

/**
 * Whether an answer without calls holds a call as JSON text, as models write it that were not trained on the
 * protocol.
 */
function isWrittenCall(answer: string, expected: readonly ExpectedCall[]): boolean {
  const text = (fencedBlock(answer) ?? answer).replaceAll(/<\/?tool_call>/g, "").trim();
  return expected.some(({ name }) => text.includes(`"${name}"`)) && /^[[{]/.test(text);
}
