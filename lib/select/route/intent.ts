/** What a request is about, by patterns in RE2's syntax: linear time on any text. */
import { RE2JS } from "re2js";
import { z } from "zod";
import { reasonOf, UserError } from "../../errors.ts";

/** Patterns look at no more than this many characters at either end: an intent is stated before or after the matter. */
const LOOKED_AT = { start: 4000, end: 1000 };

/** What no pattern matches. */
const GENERAL = "general";

/** All intents together, in tables of evidence: no intent may be called this. */
export const ANY = "any";

const pattern = z.string().min(1).superRefine((text, context) => {
  try {
    RE2JS.compile(text);
  } catch (fault) {
    const why = fault instanceof Error ? fault.message : String(fault);
    context.addIssue({
      code: "custom",
      message: `pattern ${JSON.stringify(text)} is not valid: ${why} ` +
        "(RE2 syntax: no look-around, no back-references)",
    });
  }
});

/** A name that may stand in a header. */
export const intentName = z.string().regex(/^[\w.-]{1,64}$/, "up to 64 letters, digits, _, - or .")
  .refine((name) => name !== ANY, `"${ANY}" stands for all intents together: take another name`);

export const intentSchema = z.strictObject({
  name: intentName,
  /** Any of them makes the intent; letter case is ignored. */
  patterns: z.array(pattern),
  /** Capabilities that a model should have for it; where none has them, any model will do. */
  needs: z.array(z.string().min(1)).default([]),
});
export type Intent = z.infer<typeof intentSchema>;

/**
 * Reads intents from JSON: an array of `{name, patterns, needs}`.
 *
 * @param name how messages name the file
 * @throws {UserError} one message with every fault
 *
 * ```ts
 * const [first] = parseIntents('[{"name": "code", "patterns": ["function"]}]', "intents.json");
 * console.assert(first?.needs.length === 0);
 * ```
 */
export function parseIntents(text: string, name: string): Intent[] {
  try {
    return z.array(intentSchema).parse(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? reasonOf(z.prettifyError(error)) : reasonOf(error);
    throw new UserError(
      `${name} can't be used: ${reason}; it takes an array of {"name", "patterns", "needs"}`,
      2,
      { cause: error },
    );
  }
}

/** How an intent was found. */
export interface FoundIntent {
  readonly name: string;
  readonly needs: readonly string[];
  readonly by: "hint" | "pattern" | "default";
}

/** The workshop's intents. Its patterns are held to word beginnings, so that "decode" is not code. */
export const DEFAULT_INTENTS: readonly Intent[] = [
  {
    name: "code",
    patterns: [String.raw`\b(code|coding|refactor|function|debug|unit test|stack trace|regex|sql)`],
    needs: ["code"],
  },
  {
    name: "summarize",
    patterns: [String.raw`\b(summar[iy]|abstract\b|tl;?dr|minutes of)`],
    needs: ["summarize"],
  },
  { name: "classification", patterns: [String.raw`\b(classif|categor|label)`], needs: ["classification"] },
];

/**
 * Makes the finder of intents: a hint that names an intent wins, then the first intent with a matching
 * pattern, else `general`.
 *
 * ```ts
 * const find = intentFinder(DEFAULT_INTENTS);
 * console.assert(find("Refactor this snippet", null).name === "code");
 * console.assert(find("Refactor this snippet", "summarize").name === "summarize");
 * console.assert(find("Good morning", null).name === "general");
 * ```
 */
export function intentFinder(
  intents: readonly Intent[],
): (text: string, hint: string | null) => FoundIntent {
  const compiled = intents.map(({ name, needs, patterns }) => ({
    name,
    needs,
    patterns: patterns.map((one) => RE2JS.compile(one, RE2JS.CASE_INSENSITIVE)),
  }));
  return (text, hint) => {
    if (hint !== null) {
      const named = compiled.find(({ name }) => name === hint);
      if (named !== undefined) return { name: named.name, needs: named.needs, by: "hint" };
      if (hint === GENERAL) return { name: GENERAL, needs: [], by: "hint" };
    }
    const looked = endsOf(text);
    const found = compiled.find(({ patterns }) => patterns.some((one) => one.test(looked)));
    return found === undefined
      ? { name: GENERAL, needs: [], by: "default" }
      : { name: found.name, needs: found.needs, by: "pattern" };
  };
}

function endsOf(text: string): string {
  if (text.length <= LOOKED_AT.start + LOOKED_AT.end) return text;
  return `${text.slice(0, LOOKED_AT.start)}\n${text.slice(-LOOKED_AT.end)}`;
}
