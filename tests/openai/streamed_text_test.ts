/** Whole characters only, and nothing of a stop string, however the pieces fall. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { StopScanner, TokenDecoder } from "../../lib/openai/streamed_text.ts";

/** A tokenizer whose tokens are runs of bytes, cut anywhere. */
const decodeBytes = (tokens: readonly Uint8Array[]) =>
  new TextDecoder().decode(Uint8Array.from(tokens.flatMap((token) => [...token])));

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    pieces.push(bytes.slice(at, at + size));
    at += size;
  }
  return pieces;
}

const text = fc.string({ unit: "grapheme", maxLength: 60 }).filter((s) => !s.includes("\uFFFD"));
const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 7 });

Deno.test("tokens that cut characters anywhere still give the text, never half a character", () => {
  fc.assert(fc.property(text, sizes, (whole, lengths) => {
    const decoder = new TokenDecoder<Uint8Array>(decodeBytes, []);
    const parts = cut(new TextEncoder().encode(whole), lengths).map((token) => decoder.push(token));
    for (const part of parts) {
      assert.ok(!part.includes("\uFFFD"), `half a character in ${JSON.stringify(part)}`);
    }
    assert.equal(parts.join("") + decoder.flush(), whole);
  }));
});

Deno.test("an answer that ends inside a character loses that character only", () => {
  const decoder = new TokenDecoder<Uint8Array>(decodeBytes, []);
  const [lead, ...rest] = new TextEncoder().encode("😀");
  assert.equal(decoder.push(Uint8Array.from([0x61, lead ?? 0])), "a");
  assert.equal(decoder.push(Uint8Array.from(rest.slice(0, 1))), "");
  assert.equal(decoder.flush(), "");
});

Deno.test("a model that really writes U+FFFD, or broken bytes, does not stall the answer", () => {
  const decoder = new TokenDecoder<Uint8Array>(decodeBytes, []);
  const parts = Array.from({ length: 8 }, () => decoder.push(Uint8Array.from([0xff])));
  assert.equal(parts.join(""), "\uFFFD".repeat(8));
});

Deno.test("the tokens in front are handed to the tokenizer, three at most", () => {
  const seen: string[] = [];
  const decoder = new TokenDecoder<string>((tokens, before) => {
    seen.push(before.join(""));
    return tokens.join("");
  }, ["a", "b", "c", "d"]);
  decoder.push("e");
  decoder.push("f");
  assert.deepEqual(seen, ["bcd", "cde"]);
});

Deno.test("an answer is cut at the first stop string, wherever the pieces' borders lie", () => {
  const words = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 30 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "\n"), minLength: 1, maxLength: 4 }), {
    maxLength: 3,
  });
  fc.assert(fc.property(words, stops, sizes, (whole, ends, lengths) => {
    const scanner = new StopScanner(ends);
    let shown = "";
    let stopped = false;
    for (let at = 0, i = 0; at < whole.length && !stopped; i++) {
      const size = lengths[i % lengths.length] ?? 1;
      const scanned = scanner.push(whole.slice(at, at + size));
      shown += scanned.text;
      stopped = scanned.stopped;
      at += size;
    }
    if (!stopped) shown += scanner.flush();
    const places = ends.map((end) => whole.indexOf(end)).filter((at) => at >= 0);
    assert.equal(stopped, places.length > 0);
    assert.ok(whole.startsWith(shown), "what is shown is the answer's beginning");
    for (const end of ends) assert.ok(!shown.includes(end), `${JSON.stringify(end)} was shown`);
    if (!stopped) assert.equal(shown, whole);
  }));
});

Deno.test("text is held back only while it could begin a stop string", () => {
  const scanner = new StopScanner(["\n\nUser:"]);
  assert.equal(scanner.push("Hello.").text, "Hello.");
  assert.equal(scanner.push("\n").text, "");
  assert.equal(scanner.push("\nMore").text, "\n\nMore");
  assert.deepEqual(new StopScanner([""]).push("x"), { text: "x", stopped: false });
});
