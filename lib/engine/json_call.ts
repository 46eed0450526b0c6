/** One tool call in JSON, read while it is written: its name once known, its arguments as they come. */
import { isObject } from "../bounded_json.ts";
import type { CallDelta } from "../endpoint/answer_chunk.ts";

/** The state after more text. */
interface CallRead {
  readonly deltas: readonly CallDelta[];
  /** `no call`: it is text after all; `rest` holds all of it. */
  readonly state: "more" | "done" | "no call";
  /** What follows the call. */
  readonly rest: string;
}

interface CallStart {
  readonly index: number;
  readonly id: string;
  /** The name, where it comes before the JSON of the arguments; null where it is in the JSON. */
  readonly name: string | null;
  /** Whether a name makes the JSON a call. */
  readonly accepts: (name: string) => boolean;
}

const NAME = /^\s*\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*("(?:[^"\\]|\\.)*")/;
const ARGUMENTS = /^\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)/;
/** Keys with which a call may begin; any other makes it an answer in JSON. */
const KEYS = new Set(["name", "type", "function", "arguments", "parameters", "id", "tool_name"]);

/**
 * Reads `{"name": "f", "arguments": {…}}` while it arrives, and other orders of its keys when it is complete.
 *
 * ```ts
 * const call = new JsonCall({ index: 0, id: "a", name: null, accepts: () => true });
 * const first = call.push('{"name": "f", ');
 * const second = call.push('"arguments": {"x": 1}} bye');
 * if (first.deltas[0]?.name !== "f" || second.deltas[0]?.arguments !== '{"x": 1}') throw new Error("as it comes");
 * if (second.state !== "done" || second.rest !== " bye") throw new Error(second.rest);
 * ```
 */
export class JsonCall {
  #text = "";
  /** Where the arguments begin in the text; null before they do. */
  #from: number | null = null;
  /** How much of the arguments was emitted. */
  #given = 0;
  #named = false;

  constructor(private readonly start: CallStart) {}

  /** Whether a piece of it was emitted. */
  get isNamed(): boolean {
    return this.#named;
  }

  push(text: string): CallRead {
    this.#text += text;
    const deltas: CallDelta[] = [];
    if (this.start.name !== null && !this.#named) {
      this.#named = true;
      this.#from = 0;
      deltas.push(this.#delta({ id: this.start.id, name: this.start.name }));
    }
    if (!this.#named && !this.#readName(deltas)) return this.#noCall();
    this.#readArguments(deltas);
    const end = endOfValue(this.#text, 0);
    if (end === null) return { deltas, state: "more", rest: "" };
    if (end < 0 || !this.#named && !this.#readWhole(this.#text.slice(0, end), deltas)) return this.#noCall();
    if (this.#named && this.#from === null) {
      deltas.push(this.#delta({ arguments: argumentsIn(this.#text.slice(0, end)) }));
    }
    return { deltas, state: "done", rest: this.#text.slice(end) };
  }

  /** The text so far, where the answer ended before any piece of the call was emitted. */
  abandoned(): string {
    return this.#named ? "" : this.#text;
  }

  /** False where this can't become a call. */
  #readName(deltas: CallDelta[]): boolean {
    const [, key] = /^\s*\{\s*"((?:[^"\\]|\\.)*)"\s*:/.exec(this.#text) ?? [];
    if (key !== undefined && !KEYS.has(key)) return false;
    if (!/^\s*(?:\{|$)/.test(this.#text)) return false;
    const [, quoted] = NAME.exec(this.#text) ?? [];
    if (quoted === undefined) return true;
    const name = String(jsonOf(quoted) ?? "");
    if (!this.start.accepts(name)) return false;
    this.#named = true;
    deltas.push(this.#delta({ id: this.start.id, name }));
    return true;
  }

  #readArguments(deltas: CallDelta[]): void {
    if (!this.#named) return;
    if (this.#from === null) {
      const head = NAME.exec(this.#text)?.[0].length ?? 0;
      const key = ARGUMENTS.exec(this.#text.slice(head));
      if (key === null) return;
      this.#from = head + key[0].length;
    }
    const end = endOfValue(this.#text, this.#from);
    const text = this.#text.slice(this.#from + this.#given, end === null || end < 0 ? undefined : end);
    this.#given += text.length;
    if (text !== "") deltas.push(this.#delta({ arguments: text }));
  }

  #readWhole(text: string, deltas: CallDelta[]): boolean {
    const value = jsonOf(text);
    const inner: unknown = isObject(value) && isObject(value.function) ? value.function : value;
    if (!isObject(inner)) return false;
    const name = inner.name ?? inner.tool_name;
    if (typeof name !== "string" || !this.start.accepts(name)) return false;
    deltas.push(this.#delta({ id: this.start.id, name, arguments: argumentsIn(JSON.stringify(inner)) }));
    return true;
  }

  #noCall(): CallRead {
    return { deltas: [], state: "no call", rest: this.#text };
  }

  #delta(parts: Partial<Omit<CallDelta, "index">>): CallDelta {
    return { index: this.start.index, id: "", name: "", arguments: "", ...parts };
  }
}

/** The arguments in a call's JSON; some models write them as a string of JSON. */
function argumentsIn(text: string): string {
  const value = jsonOf(text);
  const given = isObject(value) ? value.arguments ?? value.parameters : undefined;
  return typeof given === "string" ? given : JSON.stringify(given ?? {});
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Where an object or a list ends that begins at `from`; null before it does, −1 where there is none. */
function endOfValue(text: string, from: number): number | null {
  let depth = 0;
  let inString = false;
  for (let at = from; at < text.length; at++) {
    const char = text[at];
    if (inString) {
      if (char === "\\") at++;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") {
      depth--;
      if (depth <= 0) return depth === 0 ? at + 1 : -1;
    }
  }
  return null;
}
