/**
 * Golden files: what a command gave is compared with what is written below expected/. PODIUM_GOLDEN=update writes
 * them again; `git diff` then shows what a change did to the product.
 */
import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const expected = fileURLToPath(new URL("expected", import.meta.url));
const updating = Deno.env.get("PODIUM_GOLDEN") === "update";
const compared = new Set<string>();

/** Holds a text or a JSON value against expected/NAME; the message names the first place where they part. */
export async function holds(name: string, actual: unknown): Promise<void> {
  assert.ok(!compared.has(name), `${name} is compared twice: the second would overwrite the first`);
  compared.add(name);
  const path = join(expected, name);
  const isText = typeof actual === "string";
  if (updating) {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, isText ? actual : JSON.stringify(actual, null, 2) + "\n");
    return;
  }
  const golden = await Deno.readTextFile(path).catch(() => {
    throw new Error(`there is no golden file ${name}: PODIUM_GOLDEN=update writes it`);
  });
  const parted = isText
    ? firstDifference(golden.split("\n"), actual.split("\n"), "line ")
    // Through JSON, so that an undefined field counts as the missing one that it becomes in a file.
    : firstDifference(JSON.parse(golden), JSON.parse(JSON.stringify(actual)), "");
  if (parted === null) return;
  throw new Error(
    `${name} is not what it was, at ${parted.path || "its top"}:\n  expected ${brief(parted.expected)}\n` +
      `  got      ${brief(parted.actual)}\nIf that is meant: PODIUM_GOLDEN=update, then look at git diff.`,
  );
}

/** Golden files that no test compared: left over from a test that is gone. Updating deletes them. */
export async function leftOver(folder = expected): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) found.push(...await leftOver(path));
    else if (!compared.has(relative(expected, path).replaceAll("\\", "/"))) {
      if (updating) await Deno.remove(path);
      else found.push(relative(expected, path));
    }
  }
  return found;
}

interface Difference {
  readonly path: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

function firstDifference(expected: unknown, actual: unknown, path: string): Difference | null {
  if (Object.is(expected, actual)) return null;
  const bothLists = Array.isArray(expected) && Array.isArray(actual);
  const bothRecords = isRecord(expected) && isRecord(actual);
  if (!bothLists && !bothRecords) return { path, expected, actual };
  const [before, after] = [Object.entries(expected as object), Object.entries(actual as object)];
  // In order, since the order of keys is what a reader of the file sees.
  for (let i = 0; i < Math.max(before.length, after.length); i++) {
    const [key, value] = before[i] ?? [];
    const [newKey, newValue] = after[i] ?? [];
    const at = `${path}${path === "" || path.endsWith(" ") ? "" : "."}${key ?? newKey}`;
    if (key !== newKey) {
      return {
        path: at,
        expected: key === undefined ? undefined : { [key]: value },
        actual: newKey === undefined ? undefined : { [newKey]: newValue },
      };
    }
    const inside = firstDifference(value, newValue, at);
    if (inside !== null) return inside;
  }
  return null;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Short enough for a message. */
function brief(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} characters)` : text;
}

/** Every key path with the types of its values: all that can be held of figures that a clock gave. */
export function shapeOf(json: unknown): Record<string, string> {
  const types = new Map<string, Set<string>>();
  const walk = (value: unknown, path: string): void => {
    const children: [string, unknown][] = Array.isArray(value)
      ? value.map((item) => [`${path}[]`, item])
      : isRecord(value)
      ? Object.entries(value).map(([key, item]) => [path === "" ? key : `${path}.${key}`, item])
      : [];
    for (const [childPath, child] of children) walk(child, childPath);
    if (children.length > 0) return;
    const empty = Array.isArray(value) ? "[]" : isRecord(value) ? "{}" : null;
    const type = empty ?? (value === null ? "null" : typeof value);
    types.set(path, (types.get(path) ?? new Set()).add(type));
  };
  walk(json, "");
  return Object.fromEntries(
    [...types].sort(([a], [b]) => a < b ? -1 : 1).map(([path, set]) => [path, [...set].sort().join(" | ")]),
  );
}

/** The same with the values of these keys veiled: those that differ from machine to machine or run to run. */
export function veil(json: unknown, keys: RegExp): unknown {
  return mapFields(json, (key, value) => keys.test(key) ? "<varies>" : value);
}

/** The same without the figures that a clock gave; what was not measured stays null. */
export function untimed(json: unknown): unknown {
  return mapFields(
    json,
    (key, value) => typeof value === "number" && /(_s|_sec|_avg|_p95)$/.test(key) ? "<number>" : value,
  );
}

function mapFields(json: unknown, change: (key: string, value: unknown) => unknown): unknown {
  if (Array.isArray(json)) return json.map((item) => mapFields(item, change));
  if (!isRecord(json)) return json;
  const fields = Object.entries(json).map(([key, value]) => [key, mapFields(change(key, value), change)]);
  return Object.fromEntries(fields);
}
