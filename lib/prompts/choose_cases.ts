/** Some of a job's cases: the first, a stratified draw, or the shortest. */
import { UserError } from "../errors.ts";
import { jsonHash, type Prompt } from "./prompt.ts";
import type { Note } from "./rows.ts";

/** Which cases of a job are taken; all of them where nothing is given. One of the three at a time. */
export interface CaseChoice {
  /** This many from the start. */
  readonly limit?: number | undefined;
  /** This many by chance, each label in its share; in the order of the file. */
  readonly draw?: number | undefined;
  /** This many of the shortest ones. */
  readonly shortest?: number | undefined;
  /** Seed of a draw. @default 1 */
  readonly seed?: number | undefined;
}

/**
 * The cases that are chosen, in their order.
 *
 * A draw gives every stratum (label) its share of the places, by the largest remainders, and at least one
 * place where there are enough of them: a rare label must not vanish.
 *
 * @param note takes one line where fewer cases are there than were asked for
 * @throws {UserError} for more than one kind of choice
 *
 * ```ts
 * import { parsePromptSet } from "./prompts.ts";
 * const { prompts } = parsePromptSet(["a", "bbbb", "cc"], "x");
 * const ids = chooseCases(prompts, { shortest: 2 }).map(({ id }) => id);
 * if (ids.join() !== "p1,p3") throw new Error(ids.join());
 * ```
 */
export function chooseCases(prompts: readonly Prompt[], choice: CaseChoice, note?: Note): readonly Prompt[] {
  const { limit, draw, shortest, seed = 1 } = choice;
  const given = Object.entries({ limit, draw, shortest }).filter(([, count]) => count !== undefined);
  if (given.length > 1) {
    throw new UserError(
      `${given.map(([name]) => `--${name}`).join(" and ")} exclude each other: give one of them`,
    );
  }
  const count = limit ?? draw ?? shortest ?? Infinity;
  const [[name] = []] = given;
  if (name !== undefined && count > prompts.length) {
    note?.(`--${name} ${count}: there are ${prompts.length} cases, and all of them are taken.`);
  }
  if (count >= prompts.length) return prompts;
  if (limit !== undefined) return prompts.slice(0, limit);
  const chosen = shortest !== undefined ? shortestOf(prompts, shortest) : drawn(prompts, count, seed);
  return prompts.filter((one) => chosen.has(one));
}

function shortestOf(prompts: readonly Prompt[], count: number): Set<Prompt> {
  const length = ({ messages, turns }: Prompt) =>
    messages.reduce((sum, { content }) => sum + content.length, 0) + turns.join("").length;
  return new Set(prompts.toSorted((one, other) => length(one) - length(other)).slice(0, count));
}

function drawn(prompts: readonly Prompt[], count: number, seed: number): Set<Prompt> {
  const strata = [...Map.groupBy(prompts, ({ label }) => label).values()];
  const places = shares(strata.map((cases) => cases.length), count);
  const chosen = strata.flatMap((cases, at) => {
    // In the order of a seeded hash of the case itself: a few more rows in the file
    // change little in the draw.
    const keyed = cases.map((one) => ({ one, key: jsonHash([seed, one.id, one.sha256]) }));
    keyed.sort((a, b) => a.key < b.key ? -1 : 1);
    return keyed.slice(0, places[at]).map(({ one }) => one);
  });
  return new Set(chosen);
}

/**
 * Divides places among groups in proportion to their sizes, by the largest remainders; each group gets one
 * first where there are places enough.
 *
 * ```ts
 * if (shares([90, 9, 1], 10).join() !== "8,1,1") throw new Error(shares([90, 9, 1], 10).join());
 * ```
 */
export function shares(sizes: readonly number[], places: number): number[] {
  const least = places >= sizes.length ? 1 : 0;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const exact = sizes.map((size) => Math.max(least, places * size / total));
  const given = exact.map(Math.floor);
  const order = exact.map((share, at) => ({ at, rest: share - Math.floor(share) }))
    .sort((one, other) => other.rest - one.rest);
  let left = places - given.reduce((sum, one) => sum + one, 0);
  for (const { at } of order) {
    if (left <= 0) break;
    given[at] = (given[at] ?? 0) + 1;
    left--;
  }
  // What was raised to one is taken from the largest.
  while (left < 0) {
    const largest = given.indexOf(Math.max(...given));
    given[largest] = (given[largest] ?? 0) - 1;
    left++;
  }
  return given;
}
