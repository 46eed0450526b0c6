/**
 * The checks a prompt may carry: the required content of a good answer, decided by a program. This module is
 * the shape of the data; what each check computes is in `lib/quality/check.ts`.
 */
import { RE2JS } from "re2js";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { jsonSchema, taskChecks, texts } from "./task_checks.ts";

const named = {
  /** Shown in every report: what the check is about, not how it works. */
  name: z.string().min(1),
  /** Its share in the answer's score, relative to the other checks of the prompt. */
  weight: z.number().positive().default(1),
  /** An answer that fails it does not pass, whatever its score. */
  required: z.boolean().default(false),
};
const count = z.number().int().nonnegative();

/** `min` and `max` of a count; at least one of them. */
function bounded<Kind extends string>(kind: Kind) {
  return z.strictObject({
    kind: z.literal(kind),
    ...named,
    min: count.optional(),
    max: count.optional(),
  }).superRefine(({ min, max }, context) => {
    if (min === undefined && max === undefined) {
      context.addIssue({ code: "custom", message: `needs min, max or both` });
    } else if (min !== undefined && max !== undefined && min > max) {
      context.addIssue({ code: "custom", message: `min ${min} is above max ${max}` });
    }
  });
}

/** What is wrong with a pattern in RE2's syntax, or null. Such patterns run in linear time on any input. */
function patternFault(pattern: string): string | null {
  try {
    RE2JS.compile(pattern);
    return null;
  } catch (fault) {
    return `pattern ${JSON.stringify(pattern)} is not valid: ${reasonOf(fault)} ` +
      "(RE2 syntax: no look-around, no back-references)";
  }
}

const pattern = z.string().min(1).superRefine((text, context) => {
  const fault = patternFault(text);
  if (fault) context.addIssue({ code: "custom", message: fault });
});

/** A phrase with `*` for any letters at a word's end, or `/pattern/` in RE2's syntax. */
const phrasing = z.string().min(1).superRefine((text, context) => {
  const fault = text.length > 2 && text.startsWith("/") && text.endsWith("/")
    ? patternFault(text.slice(1, -1))
    : null;
  if (fault) context.addIssue({ code: "custom", message: fault });
});

/** Languages that the language check knows, as ISO 639-1 codes. */
export const languageCode = z.enum(["de", "en", "es", "fr", "it", "nl", "pt"]);

/** One aspect that a good answer covers, and the phrasings that count as covering it. */
const aspectPhrasings = z.strictObject({ aspect: z.string().min(1), any: z.array(phrasing).min(1) });

/** Kinds of fact that must not be invented. */
const factKind = z.enum(["name", "date", "number"]);
export type FactKind = z.infer<typeof factKind>;

/**
 * One check of an answer, by `kind`:
 *
 * - `contains`: all (or any) of `texts` occur, letter case ignored unless `match_case`.
 * - `not_contains`: none of `texts` occurs.
 * - `regex`: `pattern` (RE2 syntax: linear time, no look-around) is found, or with `absent` is not.
 * - `items`, `sentences`, `words`: the number of list items, sentences or words is from `min` to `max`.
 * - `json`: the answer is JSON and, with `schema`, fits it. `fenced` also accepts one Markdown code fence,
 *   with prose around it.
 * - `language`: the answer is written in `language`.
 * - `exact`: the answer, or what it puts into `\boxed{…}`, is one of `answers`; case, width, space, quotes,
 *   brackets around the whole and closing punctuation are ignored.
 * - `number`: the last number in the answer, or in its `\boxed{…}`, is `value`,
 *   within `tolerance` (absolute).
 * - `aspects`: at least `min_share` of the aspects are covered; its credit is the share covered.
 * - `nothing_invented`: every name, date and number is in the prompt's messages or in `allow`.
 * - `repetition`: at most the share `max` of its sequences of four words are repeats: small models loop.
 * - `rouge_l`: ROUGE-L F1 against the prompt's reference is at least `min`.
 *
 * The kinds of `task_checks.ts` are tasks of their own: `label`, `record`, `calls`,
 * `answer`, `quote`, `tests`.
 */
const checkSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("contains"),
    ...named,
    texts,
    need: z.enum(["all", "any"]).default("all"),
    match_case: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal("not_contains"),
    ...named,
    texts,
    match_case: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal("regex"),
    ...named,
    pattern,
    absent: z.boolean().default(false),
    match_case: z.boolean().default(false),
  }),
  bounded("items"),
  bounded("sentences"),
  bounded("words"),
  z.strictObject({
    kind: z.literal("json"),
    ...named,
    schema: jsonSchema.optional(),
    fenced: z.boolean().default(true),
  }),
  z.strictObject({ kind: z.literal("language"), ...named, language: languageCode }),
  z.strictObject({ kind: z.literal("exact"), ...named, answers: texts }),
  z.strictObject({
    kind: z.literal("number"),
    ...named,
    value: z.number(),
    tolerance: z.number().nonnegative().default(0),
  }),
  z.strictObject({
    kind: z.literal("aspects"),
    ...named,
    aspects: z.array(aspectPhrasings).min(1, "a rubric without aspects: list at least one"),
    min_share: z.number().gt(0).max(1).default(1),
  }),
  z.strictObject({
    kind: z.literal("nothing_invented"),
    ...named,
    facts: z.array(factKind).min(1).default(["name", "date", "number"]),
    allow: z.array(z.string().min(1)).default([]),
  }),
  z.strictObject({
    kind: z.literal("repetition"),
    ...named,
    max: z.number().min(0).max(1).default(0.3),
  }),
  z.strictObject({ kind: z.literal("rouge_l"), ...named, min: z.number().gt(0).max(1) }),
  ...taskChecks,
]);
export type AnswerCheck = z.infer<typeof checkSchema>;
/** The checks of each kind. */
export type CheckByKind = { readonly [Kind in AnswerCheck["kind"]]: Extract<AnswerCheck, { kind: Kind }> };

/** An answer whose quality is known, on which a judge is tested before it may score. */
const anchorSchema = z.strictObject({
  label: z.enum(["good", "bad"]),
  answer: z.string().min(1),
  /** The fault of a bad one. */
  flaw: z.string().min(1).optional(),
});
export type Anchor = z.infer<typeof anchorSchema>;

/** The checks of one prompt: at least one, each name once. */
export const checksSchema = z.array(checkSchema).superRefine((checks, context) => {
  const seen = new Set<string>();
  for (const [index, { name }] of checks.entries()) {
    if (seen.has(name)) {
      context.addIssue({
        code: "custom",
        path: [index, "name"],
        message: `the name "${name}" is used twice`,
      });
    }
    seen.add(name);
  }
});

const anchorsSchema = z.array(anchorSchema);

/**
 * Reads the checks of one prompt from a prompt set's JSON.
 *
 * @param where names the prompt in messages
 * @throws {UserError} one message with every fault: the check, the field, and what it takes
 *
 * ```ts
 * const [check] = parseChecks([{ kind: "sentences", name: "two sentences", min: 2, max: 2 }], 'prompt "p1"');
 * if (check?.weight !== 1) throw new Error("the weight is 1 unless given");
 * ```
 */
export function parseChecks(json: readonly unknown[], where: string): AnswerCheck[] {
  return parseList(checksSchema, json, where, "check");
}

/**
 * Reads the anchored answers of one prompt from a prompt set's JSON.
 *
 * @throws {UserError} one message with every fault
 *
 * ```ts
 * const [anchor] = parseAnchors([{ label: "bad", answer: "Yes.", flaw: "says nothing" }], 'prompt "p1"');
 * if (anchor?.label !== "bad") throw new Error("it is the bad one");
 * ```
 */
export function parseAnchors(json: readonly unknown[], where: string): Anchor[] {
  return parseList(anchorsSchema, json, where, "anchor");
}

function parseList<T>(schema: z.ZodType<T[]>, json: readonly unknown[], where: string, what: string): T[] {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path: [at, ...field], message }) => {
    const item = typeof at === "number" ? json[at] : undefined;
    const name = typeof item === "object" && item !== null ? Reflect.get(item, "name") : undefined;
    const place = [
      typeof at === "number" ? `${what} ${at + 1}` : `its ${what}s`,
      typeof name === "string" ? ` ("${name}")` : "",
      field.length > 0 ? `, ${field.map(String).join(".")}` : "",
    ];
    return `${place.join("")}: ${message}`;
  });
  throw new UserError(`${where}: ${faults.join("; ")}`);
}
