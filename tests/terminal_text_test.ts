import assert from "node:assert/strict";
import fc from "fast-check";
import { terminalLine, terminalText } from "../lib/terminal_text.ts";

Deno.test("escape sequences and bidirectional controls are shown, not obeyed", () => {
  assert.equal(
    terminalText("\u001b]8;;http://evil\u0007click\u001b]8;;\u0007"),
    "␛]8;;http://evil␇click␛]8;;␇",
  );
  assert.equal(terminalText("\u009b2J\u009d0;title\u009c"), "\ufffd2J\ufffd0;title\ufffd");
  assert.equal(terminalText("user\u202egnp.exe"), "user\ufffdgnp.exe");
  assert.equal(terminalText("100 %\rfailed"), "100 %␍failed");
  assert.equal(terminalText("a\u007f\b"), "a␡␈");
});

Deno.test("text in any language keeps its words, tabs and lines", () => {
  const text = "naïve\tこんにちは\nשלום مرحبا 👩‍👧 x̂";
  assert.equal(terminalText(text), text);
  assert.equal(terminalText("one\r\ntwo"), "one\ntwo");
  assert.equal(terminalLine(" one\r\n\ttwo "), "one two");
});

Deno.test("no text gets a control character through, whole or in pieces", () => {
  // deno-lint-ignore no-control-regex -- what must not come out
  const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
  const text = fc.array(fc.integer({ min: 0, max: 0x2100 })).map((codes) => String.fromCharCode(...codes));
  fc.assert(fc.property(fc.array(text), (pieces) => {
    assert.doesNotMatch(pieces.map(terminalText).join(""), control);
    assert.doesNotMatch(terminalLine(pieces.join("")), control);
  }));
});
