/** Zod's findings in words: the place, the value, and what is expected. */
import type { z } from "zod";

/**
 * Every fault with its place below `base`.
 *
 * @param json the value that was checked
 */
export function issueTexts(
  json: unknown,
  issues: readonly z.core.$ZodIssue[],
  base: readonly PropertyKey[],
): string[] {
  return issues.flatMap((issue) => {
    const place = placeText([...base, ...issue.path]);
    if (issue.code === "unrecognized_keys") {
      const keys = issue.keys.map((key) => JSON.stringify(key)).join(", ");
      return [`${place} has the unknown key ${keys}`];
    }
    return [`${place} is ${shownValue(valueAt(json, issue.path))}, expected ${issue.message}`];
  });
}

const placeText = (path: readonly PropertyKey[]) =>
  path.length === 0
    ? "the document"
    : path.map((step, at) => typeof step === "number" ? `[${step}]` : `${at === 0 ? "" : "."}${String(step)}`)
      .join("");

/** The value at a path in JSON; undefined where there is none. */
export function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined,
    json,
  );
}

/** A value as a message shows it, shortened. */
export function shownValue(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
