/** Finds tool calls in what a model writes, piece by piece, in the forms that chat templates teach. */
import type { CallDelta } from "../endpoint/answer_chunk.ts";
import { JsonCall } from "./json_call.ts";

/**
 * How a model writes calls.
 *
 * - `hermes`: `<tool_call>{"name": …, "arguments": …}</tool_call>` (Qwen, Hermes, SmolLM3)
 * - `mistral`: `[TOOL_CALLS][{"name": …, "arguments": …}]`, or `[TOOL_CALLS]name[ARGS]{…}`
 * - `gemma`: `<start_function_call>call:name{key:<escape>value<escape>}<end_function_call>`
 * - `json`: an answer that begins with `{"name": …, "parameters": …}` or `… "arguments": …}`,
 *   with `<|python_tag|>` before it or not (Llama 3), or a block of it, or of
 *   `name(key=value)`, between fences (Gemma 3)
 */
export type CallForm = "hermes" | "mistral" | "gemma" | "json";

/** A piece of what a model wrote: text, or a part of a call. */
export type WrittenPiece = { readonly text: string } | { readonly call: CallDelta };

/** The mark that opens a call, and what follows it. */
interface Opening {
  readonly start: string;
  readonly end: string;
  /** `whole` is read when it is complete, everything else while it arrives. */
  readonly holds: "json" | "list" | "whole";
}

const OPENINGS: Readonly<Record<CallForm, readonly Opening[]>> = {
  hermes: [{ start: "<tool_call>", end: "</tool_call>", holds: "json" }],
  mistral: [{ start: "[TOOL_CALLS]", end: "]", holds: "list" }],
  gemma: [{ start: "<start_function_call>", end: "<end_function_call>", holds: "whole" }],
  json: [
    { start: "<|python_tag|>", end: "", holds: "json" },
    { start: "```json", end: "```", holds: "json" },
    { start: "```tool_code", end: "```", holds: "whole" },
    { start: "```tool_call", end: "```", holds: "json" },
  ],
};

/** An answer that is nothing but calls, one after the other. */
const BARE: Opening = { start: "", end: "", holds: "json" };

/**
 * Reads an answer as it is written. Text that only looked like a call stays text.
 *
 * ```ts
 * const reader = new CallReader("hermes", ["get_time"], () => "id1");
 * const written = ["It is ", '<tool_call>{"name": "get_time", "arg', 'uments": {"zone": "UTC"}}</tool_call>'];
 * const pieces = [...written.flatMap((text) => reader.push(text)), ...reader.end()];
 * const texts = pieces.flatMap((piece) => "text" in piece ? piece.text : []).join("");
 * const calls = pieces.flatMap((piece) => "call" in piece ? piece.call.name + piece.call.arguments : []).join("");
 * if (texts !== "It is " || calls !== 'get_time{"zone": "UTC"}') throw new Error(texts + calls);
 * ```
 */
export class CallReader {
  readonly #openings: readonly Opening[];
  #state: "text" | "opened" | "call" | "after" = "text";
  /** Text that was read and not yet emitted. */
  #held = "";
  #opening: Opening = BARE;
  #call: JsonCall | null = null;
  /** The calls so far, the open one included. */
  #count = 0;
  /** Whether text was emitted: a call in bare JSON must open the answer. */
  #hasText = false;

  /**
   * @param names the tools of the request: bare JSON is a call only where it names one of them
   * @param newId makes a call's id
   */
  constructor(
    readonly form: CallForm,
    private readonly names: readonly string[],
    private readonly newId: () => string,
  ) {
    this.#openings = OPENINGS[form];
  }

  /** How many calls the answer holds so far. */
  get calls(): number {
    return this.#count + (this.#call?.isNamed ? 1 : 0);
  }

  /** Takes more of the answer; returns the pieces that are certain now. */
  push(text: string): WrittenPiece[] {
    this.#held += text;
    const pieces: WrittenPiece[] = [];
    while (this.#step(pieces));
    return pieces;
  }

  /** Ends the answer: text that was held back as a possible call is emitted as text. */
  end(): WrittenPiece[] {
    const pieces: WrittenPiece[] = [];
    if (this.#call !== null) {
      const text = this.#call.abandoned();
      if (text !== "") pieces.push({ text: this.#opening.start + text });
    } else if (this.#state === "opened") {
      pieces.push({ text: this.#opening.start + this.#held });
    } else if (this.#held.trim() !== "" || this.#count === 0 && this.#held !== "") {
      pieces.push({ text: this.#held });
    }
    this.#held = "";
    return pieces;
  }

  /** Reads what it can of the held text; false where it needs more. */
  #step(pieces: WrittenPiece[]): boolean {
    switch (this.#state) {
      case "text":
        return this.#readText(pieces);
      case "opened":
        return this.#open(pieces);
      case "call":
        return this.#readCall(pieces);
      case "after":
        return this.#close();
    }
  }

  #readText(pieces: WrittenPiece[]): boolean {
    const isStart = this.form === "json" && !this.#hasText;
    if (isStart && this.#held.trimStart() === "") return false;
    if (isStart && this.#held.trimStart().startsWith("{")) return this.#begin(BARE);
    const found = this.#openings
      .map((opening) => ({ opening, at: this.#held.indexOf(opening.start) }))
      .filter(({ at }) => at >= 0)
      .toSorted((a, b) => a.at - b.at)[0];
    if (found !== undefined) {
      this.#say(pieces, this.#held.slice(0, found.at));
      this.#held = this.#held.slice(found.at + found.opening.start.length);
      return this.#begin(found.opening);
    }
    const keep = Math.max(0, ...this.#openings.map(({ start }) => beginOf(this.#held, start)));
    const certain = this.#held.slice(0, this.#held.length - keep);
    // White space between two calls is left out.
    if (this.#count > 0 && certain.trim() === "") return false;
    this.#say(pieces, certain);
    this.#held = this.#held.slice(this.#held.length - keep);
    return false;
  }

  #say(pieces: WrittenPiece[], text: string): void {
    if (text === "" || this.#count > 0 && text.trim() === "") return;
    this.#hasText = true;
    pieces.push({ text });
  }

  #begin(opening: Opening): boolean {
    this.#opening = opening;
    this.#state = "opened";
    return true;
  }

  #open(pieces: WrittenPiece[]): boolean {
    const { holds, end } = this.#opening;
    if (holds === "whole") return this.#readWhole(pieces, end);
    const text = this.#held.trimStart();
    if (text === "") return false;
    if (holds === "json" || text.startsWith("{")) return this.#beginCall(this.#held, null);
    if (text.startsWith("[")) {
      const inside = text.slice(1).trimStart();
      return inside !== "" && this.#beginCall(inside, null);
    }
    const named = /^([\w.-]+)(?:\[CALL_ID\]\w*)?(?:\[ARGS\])?\s*(?=\{)/.exec(text);
    if (named !== null) return this.#beginCall(text.slice(named[0].length), named[1] ?? "");
    if (/^[\w.-]+(?:\[[\w[\]]*)?\s*$/.test(text)) return false;
    return this.#isNoCall(pieces, this.#held);
  }

  #beginCall(text: string, name: string | null): boolean {
    const accepts = this.#opening === BARE ? (one: string) => this.names.includes(one) : () => true;
    this.#call = new JsonCall({ index: this.#count, id: this.newId(), name, accepts });
    this.#held = text;
    this.#state = "call";
    return true;
  }

  #readCall(pieces: WrittenPiece[]): boolean {
    if (this.#call === null) return false;
    const { deltas, state, rest } = this.#call.push(this.#held);
    this.#held = "";
    pieces.push(...deltas.map((call) => ({ call })));
    if (state === "more") return false;
    this.#call = null;
    if (state === "no call") return this.#isNoCall(pieces, rest);
    this.#count++;
    this.#held = rest;
    this.#state = "after";
    return true;
  }

  #isNoCall(pieces: WrittenPiece[], text: string): boolean {
    this.#held = "";
    this.#hasText = true;
    this.#state = "text";
    pieces.push({ text: this.#opening.start + text });
    return false;
  }

  /** What follows a call: its end, or another call. */
  #close(): boolean {
    const { end, holds } = this.#opening;
    const text = this.#held.trimStart();
    if (text === "") return false;
    const next = /^[,;]?\s*(?=\{)/.exec(text);
    if (holds === "list" && next !== null) return this.#beginCall(text.slice(next[0].length), null);
    if (holds === "list" && /^,\s*$/.test(text)) return false;
    if (this.#opening === BARE || end === "") {
      if (next !== null) return this.#beginCall(text.slice(next[0].length), null);
      if (/^[,;]\s*$/.test(text)) return false;
    }
    if (end !== "" && end.startsWith(text) && text !== end) return false;
    this.#held = end !== "" && text.startsWith(end) ? text.slice(end.length) : this.#held;
    this.#state = "text";
    return true;
  }

  #readWhole(pieces: WrittenPiece[], end: string): boolean {
    const at = this.#held.indexOf(end);
    if (at < 0) return false;
    const body = this.#held.slice(0, at);
    const call = this.form === "gemma" ? gemmaCall(body) : pythonCall(body);
    const after = this.#held.slice(at + end.length);
    if (call === null) {
      this.#isNoCall(pieces, body + end);
    } else {
      pieces.push({ call: { index: this.#count++, id: this.newId(), ...call } });
    }
    this.#state = "text";
    this.#held = after;
    return true;
  }
}

/** The length of the longest end of `text` that `mark` begins with. */
function beginOf(text: string, mark: string): number {
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(mark.slice(0, length))) return length;
  }
  return 0;
}

type WholeCall = { readonly name: string; readonly arguments: string } | null;

/** `call:name{city:<escape>Paris<escape>,days:3}` */
function gemmaCall(body: string): WholeCall {
  const found = /^\s*call:([\w.-]+)\s*(\{.*\})\s*$/s.exec(body);
  if (found === null) return null;
  const [, name = "", text = ""] = found;
  const quoted = text.split("<escape>").map((part, at) =>
    at % 2 === 1 ? JSON.stringify(part) : part.replaceAll(/([{,]\s*)([\w.-]+)\s*:/g, '$1"$2":')
  );
  return withJson(name, quoted.join(""));
}

/** `name(city="Paris", days=3)`, in `print()` or not. */
function pythonCall(body: string): WholeCall {
  const found = /^\s*(?:print\()?\s*([\w.]+)\((.*?)\)\s*\)?\s*$/s.exec(body);
  if (found === null) return null;
  const [, name = "", text = ""] = found;
  const pair = /\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^,'"]+|\[[^\]]*\])\s*(?:,|$)/y;
  const pairs: string[] = [];
  for (let at = 0; at < text.length; at = pair.lastIndex) {
    pair.lastIndex = at;
    const [, key = "", value = ""] = pair.exec(text) ?? [];
    if (key === "") return null;
    pairs.push(`${JSON.stringify(key)}: ${jsonOfPython(value.trim())}`);
  }
  return withJson(name, `{${pairs.join(", ")}}`);
}

function jsonOfPython(value: string): string {
  if (value.startsWith("'")) return JSON.stringify(value.slice(1, -1).replaceAll("\\'", "'"));
  return { True: "true", False: "false", None: "null" }[value] ?? value;
}

function withJson(name: string, text: string): WholeCall {
  try {
    JSON.parse(text);
    return { name, arguments: text };
  } catch {
    return null;
  }
}
