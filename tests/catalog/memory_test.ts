/** Memory of a running model: the shape from headers, the formulas, and what was measured of real files. */
import assert from "node:assert/strict";
import { type GgufLayout, layoutOf } from "../../lib/catalog/gguf_layout.ts";
import {
  ENGINE_USE,
  kvCacheBytes,
  largestContext,
  memoryParts,
  neededBytes,
  residentBytes,
} from "../../lib/catalog/memory.ts";

/** A header of `arch` with `layers` layers; `extra` are further keys, `tensors` further tensors. */
function header(
  arch: string,
  layers: number,
  extra: Record<string, unknown> = {},
  tensors: { name: string; shape: number[]; type: number }[] = [],
) {
  const own = {
    block_count: layers,
    context_length: 8192,
    embedding_length: 64,
    feed_forward_length: 256,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    ...extra,
  };
  const pairs = Object.entries(own).map(([key, value]) => [`${arch}.${key}`, value] as const);
  return {
    metadata: new Map<string, unknown>([["general.architecture", arch], ...pairs, [
      "tokenizer.ggml.tokens",
      Array.from({ length: 100 }, () => "a"),
    ]]),
    tensors,
    offset: 1000,
  };
}

const attention = (layer: number, kvRows = 32) => [
  { name: `blk.${layer}.attn_k.weight`, shape: [64, kvRows], type: 12 },
  { name: `blk.${layer}.attn_v.weight`, shape: [64, kvRows], type: 12 },
];

Deno.test("keys and values are counted per layer: grouped heads, layers without attention, a joined matrix", () => {
  const grouped = layoutOf([header("llama", 2, {}, [...attention(0), ...attention(1, 16)])]);
  assert.deepEqual(grouped.kvLayers.map(({ values }) => values), [64, 32]);
  const hybrid = layoutOf([
    header("qwen35", 4, {}, [...attention(3), { name: "blk.0.ssm_out.weight", shape: [64, 64], type: 8 }]),
  ]);
  assert.equal(hybrid.kvLayers.length, 1);
  assert.ok(hybrid.recurrent);
  const joined = layoutOf([
    header("phi3", 1, {}, [{ name: "blk.0.attn_qkv.weight", shape: [64, 128], type: 12 }]),
  ]);
  assert.deepEqual(joined.kvLayers.map(({ values }) => values), [2 * (16 + 16)]);
});

Deno.test("windowed layers keep the window alone unless the engine keeps the whole context", () => {
  const layers = Array.from({ length: 12 }, (_, layer) => attention(layer)).flat();
  const gemma = layoutOf([header("gemma3", 12, { "attention.sliding_window": 512 }, layers)]);
  assert.equal(gemma.kvLayers.filter(({ windowed }) => windowed).length, 10, "every sixth sees everything");
  const stated = layoutOf([
    header("gemma4", 4, {
      "attention.sliding_window": 512,
      "attention.sliding_window_pattern": [true, true, false, true],
      "attention.shared_kv_layers": 1,
    }, layers),
  ]);
  assert.deepEqual(stated.kvLayers.map(({ windowed }) => windowed), [true, true, false]);
  const use = { ...ENGINE_USE, contextTokens: 8192 };
  assert.equal(kvCacheBytes(gemma, use), 12 * 64 * 8192 * 2);
  assert.equal(kvCacheBytes(gemma, { ...use, fullWindows: false }), (2 * 8192 + 10 * 768) * 64 * 2);
  assert.equal(kvCacheBytes(gemma, { ...use, kvCache: "q8_0", users: 3 }), 3 * 12 * 64 * 8192 * 34 / 32);
});

Deno.test("a split file is one model, and of experts a token reads those that are chosen", () => {
  const experts = { name: "blk.0.ffn_up_exps.weight", shape: [256, 32, 8], type: 12 };
  const layout = layoutOf([
    header("qwen3moe", 1, { expert_count: 8, expert_used_count: 2, expert_feed_forward_length: 32 }, [
      experts,
    ]),
    { metadata: new Map(), tensors: [{ name: "output.weight", shape: [64, 100], type: 1 }], offset: 500 },
  ]);
  assert.equal(layout.fileBytes, 1500 + 256 * 32 * 8 / 256 * 144 + 64 * 100 * 2);
  assert.deepEqual(layout.experts, { count: 8, used: 2 });
  assert.equal(layout.feedForwardLength, 64);
});

/** Shapes of the two shipped models, as their headers state them. */
const smollm2: GgufLayout = {
  architecture: "llama",
  fileBytes: 98_362_432,
  contextTokens: 8192,
  weights: [
    { part: "output", format: "Q8_0", bytes: 30_081_024, values: 28_311_552 },
    { part: "layers", format: "Q4_1", bytes: 66_355_200, values: 106_168_320 },
  ],
  layers: 30,
  kvLayers: Array.from({ length: 30 }, () => ({ values: 384, windowed: false })),
  window: null,
  embeddingLength: 576,
  feedForwardLength: 1536,
  attentionWidth: 34_560,
  vocabulary: 49_152,
  experts: null,
  recurrent: false,
  license: null,
  chatTemplate: null,
};
const gemma: GgufLayout = {
  ...smollm2,
  weights: [
    { part: "output", format: "Q8_0", bytes: 178_257_920, values: 167_772_160 },
    { part: "layers", format: "Q5_0", bytes: 43_591_680, values: 63_406_080 },
    { part: "layers", format: "Q4_K", bytes: 13_271_040, values: 23_592_960 },
    { part: "layers", format: "Q6_K", bytes: 9_676_800, values: 11_796_480 },
  ],
  kvLayers: Array.from({ length: 18 }, () => ({ values: 512, windowed: true })),
  embeddingLength: 640,
  feedForwardLength: 2048,
  vocabulary: 262_144,
};

Deno.test("the resident size is what engines on this kind of machine were measured to have, within 5 %", () => {
  // Megabytes after a prompt of 600 tokens or of the whole context; Linux, x86_64, 2026-11-29.
  const measured = [
    { layout: smollm2, use: { contextTokens: 512 }, mb: 305 },
    { layout: smollm2, use: { contextTokens: 4096, kvCache: "q8_0" }, mb: 344 },
    { layout: smollm2, use: { contextTokens: 2048, batchTokens: 1024 }, mb: 349 },
    { layout: smollm2, use: { contextTokens: 2048, mmap: false }, mb: 337 },
    { layout: gemma, use: { contextTokens: 4096 }, mb: 650 },
    { layout: gemma, use: { contextTokens: 4096, kvCache: "q4_0" }, mb: 596 },
    { layout: gemma, use: { contextTokens: 2048, mmap: false }, mb: 598 },
  ] as const;
  for (const { layout, use, mb } of measured) {
    const full = { ...ENGINE_USE, ...use };
    const predicted = residentBytes(memoryParts(layout, full, "x86_64"), full) / 1e6;
    assert.ok(Math.abs(predicted / mb - 1) < 0.05, `${JSON.stringify(use)}: ${predicted} instead of ${mb}`);
  }
});

Deno.test("repacked weights count twice with a mapped file only, and an Arm processor repacks others", () => {
  const parts = memoryParts(gemma, ENGINE_USE, "x86_64");
  assert.equal(parts.repacked, 13_271_040);
  assert.equal(residentBytes(parts, { mmap: true }) - residentBytes(parts, { mmap: false }), 13_271_040);
  assert.ok(memoryParts(gemma, ENGINE_USE, "aarch64").repacked > parts.repacked);
  const tied = {
    ...smollm2,
    weights: [{ part: "output", format: "Q4_0", bytes: 1e6, values: 2e6 } as const],
  };
  assert.equal(memoryParts(tied, ENGINE_USE, "x86_64").lookup, 1e6);
});

Deno.test("the largest context is the last one that fits, and never more than the model's own", () => {
  const at = (bytes: number) => largestContext(gemma, ENGINE_USE, { bytes, arch: "x86_64" });
  const need = (contextTokens: number) =>
    neededBytes(memoryParts(gemma, { ...ENGINE_USE, contextTokens }, "x86_64"));
  assert.equal(at(1e12), 8192);
  assert.equal(at(need(256) - 1), null);
  assert.equal(at(need(4096)), 4096);
  assert.equal(at(need(4096) - 1), 4096 - 256);
});
