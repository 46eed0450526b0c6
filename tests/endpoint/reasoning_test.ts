/** Reasoning in the answer's own text, by the markers of many models. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { separateReasoning } from "../../lib/endpoint/reasoning.ts";
import { askFake } from "./helpers.ts";

const long = "Let me think about this. ".repeat(1200); // 30,000 characters

const separated: Record<string, [text: string, reasoning: string, answer: string]> = {
  "a <think> block": ["<think>hm</think>\n\nYes.", "hm", "Yes."],
  "blanks before it": ["\n <think>\nhm\n</think>Yes.", "hm", "Yes."],
  "DeepSeek-R1: a lone </think>": [
    "First, 2 + 2.\nThat is 4.\n</think>\n\nFour.",
    "First, 2 + 2.\nThat is 4.",
    "Four.",
  ],
  "a lone </think> in a line": ["hm</think>Yes.", "hm", "Yes."],
  "a block of 30,000 characters": [`<think>${long}</think>Yes.`, long.trim(), "Yes."],
  "a lone end after 30,000 characters": [`${long}</think>Yes.`, long.trim(), "Yes."],
  "an empty block, as Qwen3 writes": ["<think>\n\n</think>\n\nYes.", "", "Yes."],
  "a block without an end": ["<think>hm, and then", "hm, and then", ""],
  "two blocks": ["<think>a</think>\n<think>b</think>Yes.", "a\n\nb", "Yes."],
  "<thinking>": ["<thinking>hm</thinking>Yes.", "hm", "Yes."],
  "<thought>": ["<thought>hm</thought>Yes.", "hm", "Yes."],
  "<reasoning>": ["<reasoning>hm</reasoning>Yes.", "hm", "Yes."],
  "Seed": ["<seed:think>hm</seed:think>Yes.", "hm", "Yes."],
  "LongCat": ["hm\n</longcat_think>\nYes.", "hm", "Yes."],
  "Cohere": [
    "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>",
    "hm",
    "Yes.",
  ],
  "Magistral": ["[THINK]hm[/THINK]Yes.", "hm", "Yes."],
  "Kimi": ["◁think▷hm◁/think▷Yes.", "hm", "Yes."],
  "OpenThinker": [
    "<|begin_of_thought|>hm<|end_of_thought|>\n\n<|begin_of_solution|>\nYes.\n<|end_of_solution|>",
    "hm",
    "Yes.",
  ],
  "Solar": ["hm<|think:end|>Yes.", "hm", "Yes."],
  "Apertus": ["<|inner_prefix|>hm<|inner_suffix|>Yes.", "hm", "Yes."],
  "Gemma 4": ["<|channel>thought\nhm<channel|>Yes.", "hm", "Yes."],
  "Granite": ["Here is my thought process: hm Here is my response: Yes.", "hm", "Yes."],
  "Hunyuan": ["<think>\nhm\n</think>\n<answer>\nYes.\n</answer>", "hm", "Yes."],
  "Ernie": ["<think>hm</think>\n\n<response>\nYes.\n</response>\n", "hm", "Yes."],
  "Apriel": [
    "Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nYes.\n[END FINAL RESPONSE]\n<|end|>",
    "hm",
    "Yes.",
  ],
  "Apriel's template, which writes the first line": ["hm\n[BEGIN FINAL RESPONSE]\nYes. \n", "hm", "Yes. \n"],
  "Marco-o1": ["<Thought>\nhm\n</Thought>\n<Output>\nYes.\n</Output>", "hm", "Yes."],
  "Reflection": ["<thinking>hm</thinking>\n<output>\nYes.\n</output>", "hm", "Yes."],
  "K2": ["<think_faster>hm</think_faster>Yes.", "hm", "Yes."],
  "MiniCPM": ["<|thought_start|>\nhm\n<|thought_end|>\nYes.", "hm", "Yes."],
  "Unsloth's recipe": ["<start_working_out>hm<end_working_out><SOLUTION>Yes.</SOLUTION>", "hm", "Yes."],
  "Unsloth's recipe, its first tag in the prompt": ["hm<end_working_out>Yes.", "hm", "Yes."],
  "Gemma 4, another channel": ["<|channel>analysis\nhm<channel|>Yes.", "hm", "Yes."],
  "gpt-oss": [
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
    "hm",
    "Yes.",
  ],
  "gpt-oss, cut while it thinks": ["<|channel|>analysis<|message|>hm and", "hm and", ""],
  "gpt-oss with a tool's channel": [
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary to=f <|constrain|>json" +
    "<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>Yes.",
    "hm",
    "Yes.",
  ],
  "gpt-oss without its special tokens": ["analysisWe need hm.assistantfinalYes.", "We need hm.", "Yes."],
  "gpt-oss with a commentary, without its special tokens": [
    "analysisWe need hm.assistantcommentaryto=f {}assistantfinalYes.",
    "We need hm.",
    "Yes.",
  ],
};

for (const [name, [text, reasoning, answer]] of Object.entries(separated)) {
  Deno.test(`reasoning is separated: ${name}`, () => {
    const found = separateReasoning(text);
    assert.equal(found.answer, answer);
    if (name !== "gpt-oss with a tool's channel") assert.equal(found.reasoning, reasoning);
    else assert.ok(found.reasoning.startsWith(reasoning));
    assert.equal(text.slice(found.start, found.end), answer);
  });
}

Deno.test("an answer that only mentions a marker is left alone", () => {
  for (
    const text of [
      "Yes.",
      "",
      "The tag `</think>` closes the block.",
      'It writes "</think>" at the end.',
      "Use <think> for reasoning.",
      "```\n<think>\nhm\n</think>\n```\nThat is how it looks.",
      "Analysis of the final text: assistant and final are words.",
      "analysis of the market\n\nIt grows.",
      "Here is my response: Yes.",
      "[THINK different]",
      "Here are my reasons: it rains.",
      "<output>7</output> is what it prints. ",
    ]
  ) {
    assert.deepEqual(
      separateReasoning(text),
      { reasoning: "", answer: text, start: 0, end: text.length },
      text,
    );
  }
});

Deno.test("any text comes back in linear time, with its answer a part of it", () => {
  const marks = [
    "<think>",
    "</think>",
    "[/THINK]",
    "```",
    "`",
    " ",
    "\n",
    "<|channel|>final<|message|>",
    "a",
  ];
  fc.assert(fc.property(fc.array(fc.constantFrom(...marks), { maxLength: 40 }), (parts) => {
    const text = parts.join("");
    const { answer, start, end } = separateReasoning(text);
    assert.equal(text.slice(start, end), answer);
  }));
  for (
    const mark of [
      "`</think>",
      "<think></think>",
      "```</think>",
      "<|channel|>x",
      "Here is my thought process:",
    ]
  ) {
    inLinearTime(mark, mark.repeat(200_000));
  }
  inLinearTime("a channel's name without an end", `<|channel|>${"a".repeat(1_000_000)}`);
  inLinearTime("commentaries without a final answer", `analysis ${"assistantcommentary".repeat(50_000)}`);
  function inLinearTime(mark: string, text: string): void {
    const startMs = performance.now();
    separateReasoning(text);
    // In quadratic time it takes hours.
    assert.ok(performance.now() - startMs < 30_000, `${mark} took ${performance.now() - startMs} ms`);
  }
});

/** A text as tokens of a few characters. */
const tokensOf = (text: string) => text.match(/[\s\S]{1,7}/g) ?? [];

Deno.test("the first visible text of a stream is the answer's, after the reasoning", async () => {
  for (const text of ["<think>hm, well</think>\n\nFour.", "hm, well, so\n</think>\n\nFour."]) {
    for (const stream of [true, false]) {
      const words = tokensOf(text);
      const trace = await askFake({ words }, "socket", { stream });
      assert.equal(trace.content, "Four.");
      assert.ok(trace.reasoning.startsWith("hm, well"));
      assert.equal(trace.chunks.length, stream ? words.length : 1);
      assert.equal(trace.chunks.reduce((sum, one) => sum + one.contentChars, 0), 5);
      const total = trace.chunks.reduce((sum, one) => sum + one.contentChars + one.reasoningChars, 0);
      assert.equal(total, text.length);
    }
  }
});

Deno.test("a reader who watches the answer grow sees no reasoning and no marker", async () => {
  const shown = async (text: string) => {
    let seen = "";
    const onText = (piece: string) => void (seen += piece);
    await askFake({ words: tokensOf(text) }, "socket", { onText, request: { maxTokens: 100_000 } });
    return seen;
  };
  assert.equal(await shown("<think>hm, well, so</think>\n\nFour and more."), "Four and more.");
  assert.equal(await shown("[THINK]hm[/THINK]Four."), "Four.");
  assert.equal(await shown("Four and more."), "Four and more.");
  assert.equal(await shown("Here"), "Here", "what might have become a marker is shown at the end");
  assert.equal(await shown("a < b, [1] and </b>"), "a < b, [1] and </b>");
  assert.equal(await shown("<think>never ends"), "");
  assert.ok(await shown(`<think>${long}</think> ${long}`) === long, "a long text is shown whole");
  // Without an opening marker the reasoning can't be recognised before it ends.
  assert.ok((await shown("hm, well, so</think>\n\nFour.")).endsWith("Four."));
});
