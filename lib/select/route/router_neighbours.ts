/**
 * What did best on the recorded prompts that are most like this one. Likeness is the cosine between TF-IDF
 * weights of words and of runs of three characters: no embedding model is needed, and none is claimed.
 */
import { z } from "zod";

export const neighboursSchema = z.strictObject({
  /** How many of the nearest count. */
  k: z.number().int().positive(),
  examples: z.array(z.strictObject({
    text: z.string(),
    /** Worth of each model's answer to it, 0 to 1. */
    worth: z.record(z.string(), z.number().min(0).max(1)),
  })).min(1),
});

/** A recorded prompt, and the worth of each model's answer to it. */
export interface Example {
  readonly text: string;
  readonly worth: Readonly<Record<string, number>>;
}

type Weights = ReadonlyMap<string, number>;

/** How much the mean over all examples counts beside the neighbours, in examples. */
const SHRINKAGE = 1;

/** Words, and runs of three characters inside them: the latter carry endings and misspellings. */
function termsOf(text: string): string[] {
  const words = text.slice(0, 10_000).toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.flatMap((word) => {
    const padded = ` ${word} `;
    const runs = Array.from({ length: padded.length - 2 }, (_, at) => padded.slice(at, at + 3));
    return [`=${word}`, ...runs];
  });
}

/**
 * Makes the estimator: the worth of each model on a text, as the mean over its k nearest examples weighted by
 * likeness, drawn towards the model's mean over all of them.
 *
 * @throws {RangeError} without an example
 *
 * ```ts
 * const estimate = neighbourEstimator({
 *   k: 1,
 *   examples: [
 *     { text: "sort a list in Python", worth: { coder: 1, writer: 0 } },
 *     { text: "a poem about autumn", worth: { coder: 0, writer: 1 } },
 *   ],
 * });
 * const worth = estimate("sort this list");
 * console.assert((worth.get("coder") ?? 0) > (worth.get("writer") ?? 0));
 * ```
 */
export function neighbourEstimator(
  { k, examples }: { readonly k: number; readonly examples: readonly Example[] },
): (text: string) => Map<string, number> {
  const models = [...new Set(examples.flatMap(({ worth }) => Object.keys(worth)))];
  const overall = new Map(models.map((model) => [model, meanWorth(examples, model)]));
  const nearest = nearestTexts(examples.map(({ text }) => text), k);
  return (text) => {
    const found = nearest(text);
    return new Map(
      models.map((model) =>
        [model, neighbourMean(found, (at) => examples[at]?.worth[model], overall.get(model) ?? 0)] as const
      ),
    );
  };
}

/** One of the nearest texts: which one, and how alike it is. */
export interface Neighbour {
  readonly at: number;
  readonly likeness: number;
}

/** Mean over the neighbours, weighted by likeness and drawn towards the mean over all examples. */
export function neighbourMean(
  nearest: readonly Neighbour[],
  worthOf: (at: number) => number | undefined,
  overall: number,
): number {
  let [sum, weight] = [SHRINKAGE * overall, SHRINKAGE];
  for (const { at, likeness } of nearest) {
    const worth = worthOf(at);
    if (worth === undefined) continue;
    sum += likeness * worth;
    weight += likeness;
  }
  return sum / weight;
}

/**
 * Finds the k texts that are most like another one.
 *
 * @throws {RangeError} without a text
 *
 * ```ts
 * const [first] = nearestTexts(["a poem about autumn", "sort a list"], 1)("sort this list");
 * console.assert(first?.at === 1);
 * ```
 */
export function nearestTexts(texts: readonly string[], k: number): (text: string) => Neighbour[] {
  if (texts.length === 0) throw new RangeError("Cannot look for neighbours without examples");
  const documents = texts.map(termsOf);
  const containing = new Map<string, number>();
  for (const terms of documents) {
    for (const term of new Set(terms)) containing.set(term, (containing.get(term) ?? 0) + 1);
  }
  const weightsOf = (terms: readonly string[]): Weights => {
    const counts = new Map<string, number>();
    for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1);
    const weights = [...counts].map(([term, count]): [string, number] => {
      const rarity = Math.log((1 + texts.length) / (1 + (containing.get(term) ?? 0))) + 1;
      return [term, (1 + Math.log(count)) * rarity];
    });
    const length = Math.hypot(...weights.map(([, weight]) => weight)) || 1;
    return new Map(weights.map(([term, weight]) => [term, weight / length]));
  };
  const indexed = documents.map(weightsOf);
  return (text) => {
    const own = weightsOf(termsOf(text));
    return indexed.map((weights, at) => ({ at, likeness: cosine(own, weights) }))
      .sort((a, b) => b.likeness - a.likeness || a.at - b.at).slice(0, k);
  };
}

function meanWorth(examples: readonly Example[], model: string): number {
  const known = examples.flatMap(({ worth }) => worth[model] === undefined ? [] : [worth[model]]);
  return known.reduce((sum, worth) => sum + worth, 0) / Math.max(1, known.length);
}

function cosine(a: Weights, b: Weights): number {
  const [few, many] = a.size <= b.size ? [a, b] : [b, a];
  let sum = 0;
  for (const [term, weight] of few) sum += weight * (many.get(term) ?? 0);
  return sum;
}
