/** Finding a model by any of its names. */
import { plainName } from "../model_name.ts";
import type { Model, Registry, Variant } from "./types.ts";

export { plainName };

const namesOf = (entry: Model) => [
  entry.alias,
  ...entry.otherNames,
  ...(entry.foundryAlias === null ? [] : [entry.foundryAlias]),
];

/**
 * The model that bears this name: its alias, one of its other names, its Foundry Local alias, or a name that
 * a service made from one of them. Case does not matter. Undefined where nobody bears it.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry('[{"name": "phi-4-mini", "task": "chat", "min_ram_gb": 8, "notes": ""}]', "x");
 * if (findModel(registry, "Phi-4-Mini-generic-cpu:5")?.alias !== "phi-4-mini") throw new Error("not found");
 * ```
 */
export function findModel(registry: Registry, name: string): Model | undefined {
  const wanted = name.trim().toLowerCase();
  const exact = registry.models.find((entry) => namesOf(entry).some((own) => own.toLowerCase() === wanted));
  if (exact !== undefined) return exact;
  const plain = plainName(name);
  return registry.models.find((entry) => namesOf(entry).some((own) => plainName(own) === plain));
}

/**
 * The variant of this name, without regard to case; the first one where no name is given.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry('{"a": {"variants": [{"name": "q4"}, {"name": "q8"}]}}', "x");
 * const entry = findModel(registry, "a");
 * if (entry === undefined || findVariant(entry, "Q8")?.name !== "q8") throw new Error("q8 is there");
 * ```
 */
export function findVariant(entry: Model, name?: string): Variant | undefined {
  if (name === undefined) return entry.variants[0];
  return entry.variants.find((variant) => variant.name.toLowerCase() === name.toLowerCase());
}

/** Levenshtein's edit distance (1966), by one row. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/**
 * Up to `limit` of the given words that `word` may be a slip of: part of them, or few letters away.
 *
 * ```ts
 * if (nearest("min_ram_bg", ["min_ram_gb", "notes"])[0] !== "min_ram_gb") throw new Error("a slip");
 * ```
 */
export function nearest(word: string, words: readonly string[], limit = 3): string[] {
  const wanted = word.toLowerCase();
  const scored = words.map((candidate) => {
    const own = candidate.toLowerCase();
    const within = wanted.length >= 3 && (own.includes(wanted) || wanted.includes(own));
    return { candidate, score: within ? 0.5 : distance(wanted, own) };
  });
  const near = scored.filter(({ candidate, score }) =>
    score <= Math.max(1, Math.min(3, Math.floor(candidate.length / 3)))
  );
  return near.sort((a, b) => a.score - b.score).slice(0, limit).map(({ candidate }) => candidate);
}

/**
 * Aliases that an unknown name may stand for, the likeliest first; empty where nothing is near.
 *
 * ```ts
 * import { parseRegistry } from "./registry.ts";
 * const registry = parseRegistry('[{"name": "phi-4-mini", "task": "chat", "min_ram_gb": 8}]', "x");
 * if (suggestNames(registry, "phi4-mini")[0] !== "phi-4-mini") throw new Error("one letter away");
 * ```
 */
export function suggestNames(registry: Registry, name: string): string[] {
  const owners = new Map(
    registry.models.flatMap((entry) => namesOf(entry).map((own) => [own, entry.alias] as const)),
  );
  const near = nearest(plainName(name), [...owners.keys()], 9).map((own) => owners.get(own) ?? own);
  return [...new Set(near)].slice(0, 3);
}
