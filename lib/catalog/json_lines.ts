/** Where in a JSON text a value stands: so that a fault in models.json can be named by its line. */

/** A step into a JSON value: a key of an object or an index of an array. */
export type PathStep = string | number;

export interface JsonLines {
  /** The line (from 1) on which the value at `path` begins; of its nearest ancestor where it is missing. */
  lineOf(path: readonly PathStep[]): number;
  /** Keys that one object holds twice: JSON.parse keeps the last and says nothing. */
  readonly duplicates: readonly { readonly path: readonly PathStep[]; readonly line: number }[];
}

const keyOf = (path: readonly PathStep[]) => JSON.stringify(path);

/**
 * Walks a text that JSON.parse has already accepted and notes the line of every value.
 *
 * ```ts
 * const lines = jsonLines('{\n  "models": [\n    {"alias": "a", "alias": "b"}\n  ]\n}');
 * if (lines.lineOf(["models", 0, "alias"]) !== 3) throw new Error("the alias stands on line 3");
 * if (lines.duplicates.length !== 1) throw new Error("the alias is given twice");
 * ```
 */
export function jsonLines(text: string): JsonLines {
  const lines = new Map<string, number>();
  const duplicates: { path: PathStep[]; line: number }[] = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+|\n/gu;
  const open: { kind: "object" | "array"; path: PathStep[]; next: PathStep; seen: Set<string> }[] = [];
  let line = 1;
  let expectKey = false;

  const begin = () => {
    const top = open.at(-1);
    const path = top === undefined ? [] : [...top.path, top.next];
    lines.set(keyOf(path), line);
    return path;
  };
  const noteKey = (text: string) => {
    const top = open.at(-1);
    if (top === undefined) return;
    const key: string = JSON.parse(text);
    if (top.seen.has(key)) duplicates.push({ path: [...top.path, key], line });
    top.seen.add(key);
    top.next = key;
  };
  for (const [part] of text.matchAll(token)) {
    const top = open.at(-1);
    if (part === "\n") line++;
    else if (part === "{" || part === "[") {
      const kind = part === "{" ? "object" : "array";
      open.push({ kind, path: begin(), next: 0, seen: new Set() });
      expectKey = kind === "object";
    } else if (part === "}" || part === "]") {
      open.pop();
      expectKey = false;
    } else if (part === ",") {
      if (top?.kind === "array" && typeof top.next === "number") top.next++;
      expectKey = top?.kind === "object";
    } else if (part === ":") expectKey = false;
    else if (expectKey) noteKey(part);
    else begin();
  }
  return {
    duplicates,
    lineOf(path) {
      for (let length = path.length; length > 0; length--) {
        const found = lines.get(keyOf(path.slice(0, length)));
        if (found !== undefined) return found;
      }
      return lines.get(keyOf([])) ?? 1;
    },
  };
}
