/** Which of several labels an answer names. */
import type { CheckByKind } from "../prompts/checks.ts";
import { bare, boxed, fencedBlock } from "./answer_text.ts";
import type { CheckVerdict } from "./outcomes.ts";
import { fold, plainText } from "./text.ts";

/** Scripts that put no spaces between words, so that a label may stand inside a run of letters. */
const unspacedEdge = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{sc=Thai}\p{sc=Laoo}\p{sc=Khmr}\p{sc=Mymr}]/u;

/** `feature_request`, `Feature-Request` and `feature request` are one label. */
const spaced = (text: string) => text.replaceAll(/[\s_-]+/g, " ").trim();

/**
 * The labels that an answer names, in the order of `labels`: the label that it consists of (a JSON text, or
 * the only text of a JSON object that is a label, included), else all that occur in it as whole words. Letter
 * case is ignored, except for labels of one letter.
 *
 * ```ts
 * const labels = ["bug", "feature request", "billing"];
 * const named = namedLabels("**Category:** Feature_Request, not a bugfix.", labels);
 * if (named.join() !== "feature request") throw new Error(named.join());
 * ```
 */
export function namedLabels(answer: string, labels: readonly string[], alone = false): string[] {
  const given = boxed(answer) ?? answer;
  const whole = wholeLabel(given, labels);
  if (whole !== null) return [whole];
  return alone ? [] : labelsWithin(given, labels);
}

/** The label that an answer consists of; `Label: bug` and `{"label": "bug"}` are bug. */
function wholeLabel(answer: string, labels: readonly string[]): string | null {
  const texts = jsonTexts(answer) ?? [answer, answer.replace(/^\W*[\p{L} ]{1,20}:\s*/u, "")];
  const found = labels.filter((label) => texts.some((text) => same(text, label)));
  return found.length === 1 ? found[0] ?? null : null;
}

function same(text: string, label: string): boolean {
  const [given, wanted] = [bare(spaced(text)), bare(spaced(label))];
  return wanted === "" ? text.trim() === label : given === wanted;
}

/** The texts of a JSON text or object; null where the answer is neither. */
function jsonTexts(answer: string): string[] | null {
  let value: unknown;
  try {
    value = JSON.parse(fencedBlock(answer) ?? answer);
  } catch {
    return null;
  }
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return Object.values(value).filter((one) => typeof one === "string");
}

function labelsWithin(answer: string, labels: readonly string[]): string[] {
  const plain = spaced(plainText(answer));
  const found = new Set<string>();
  let rest = { plain, folded: fold(plain) };
  // Longest first: in "bug report" the label "bug" is not named where "bug report" is one too.
  for (const label of labels.toSorted((a, b) => b.length - a.length)) {
    const wanted = spaced(plainText(label));
    const single = [...wanted].length === 1;
    const pattern = wholeWords(single ? wanted : fold(wanted));
    if (wanted === "" || !new RegExp(pattern, "u").test(single ? rest.plain : rest.folded)) continue;
    found.add(label);
    const without = (text: string, flags: string) => text.replaceAll(new RegExp(pattern, flags), " ");
    rest = { plain: without(rest.plain, "giu"), folded: without(rest.folded, "gu") };
  }
  return labels.filter((label) => found.has(label));
}

/** A pattern for a text as whole words. */
function wholeWords(text: string): string {
  const edge = (char: string | undefined) =>
    char !== undefined && /[\p{L}\p{N}]/u.test(char) && !unspacedEdge.test(char);
  const chars = [...text];
  const escaped = text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  const before = edge(chars[0]) ? "(?<![\\p{L}\\p{N}])" : "";
  return before + escaped + (edge(chars.at(-1)) ? "(?![\\p{L}\\p{N}])" : "");
}

/** Scores an answer by the label that it names. */
export function scoreLabel(
  answer: string,
  { expected, labels, alone }: CheckByKind["label"],
): CheckVerdict {
  const named = namedLabels(answer, labels, alone);
  const [only] = named;
  const given = named.length === 1 ? only ?? null : null;
  const outcome = { kind: "label" as const, expected, given };
  if (given !== null) {
    const passed = given === expected;
    return { passed, final: !passed, outcome, detail: passed ? given : `${given}, expected ${expected}` };
  }
  return {
    passed: false,
    offFormat: true,
    final: named.length > 1,
    outcome,
    detail: named.length === 0
      ? alone ? "it is not a label alone" : "names no label"
      : `names ${named.length} labels: ${named.slice(0, 4).join(", ")}`,
  };
}
