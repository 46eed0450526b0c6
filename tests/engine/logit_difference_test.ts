/** Two predictions are compared by the definitions of llama.cpp's perplexity tool. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { logitDifference } from "../../lib/engine/logit_difference.ts";
import { TokenBatch } from "../../lib/engine/direct/token_batch.ts";

const logits = fc.array(fc.float({ min: -30, max: 30, noNaN: true }), { minLength: 2, maxLength: 40 });

/** The formulas in their textbook form. */
function byDefinition(a: readonly number[], b: readonly number[], next: number) {
  const softmax = (of: readonly number[]) => {
    const weights = of.map((logit) => Math.exp(logit - Math.max(...of)));
    const sum = weights.reduce((total, one) => total + one, 0);
    return weights.map((weight) => weight / sum);
  };
  const [p, q] = [softmax(a), softmax(b)];
  const kl = p.reduce((sum, one, at) => sum + (one === 0 ? 0 : one * Math.log(one / (q[at] ?? 0))), 0);
  return { kl, surprise: [-Math.log(p[next] ?? 0), -Math.log(q[next] ?? 0)] };
}

Deno.test("divergence and surprise are those of the definition, for any logits", () => {
  fc.assert(fc.property(logits, logits, fc.nat(), (first, second, any) => {
    const size = Math.min(first.length, second.length);
    const [a, b] = [first.slice(0, size), second.slice(0, size)];
    const next = any % size;
    const found = logitDifference(Float32Array.from(a), Float32Array.from(b), next);
    const wanted = byDefinition(a, b, next);
    assert.ok(Math.abs(found.kl - wanted.kl) < 1e-6 * (1 + wanted.kl), `${found.kl} is not ${wanted.kl}`);
    assert.ok(found.kl > -1e-9, "a divergence is not negative");
    for (const at of [0, 1] as const) {
      assert.ok(Math.abs(found.surprise[at] - (wanted.surprise[at] ?? 0)) < 1e-6);
    }
    assert.equal(a[found.top[0]], Math.max(...a));
    assert.equal(b[found.top[1]], Math.max(...b));
  }));
});

Deno.test("a prediction does not differ from itself, nor from itself moved by a constant", () => {
  const one = Float32Array.of(1, 5, -3, 2);
  assert.equal(logitDifference(one, one, 1).kl, 0);
  assert.ok(Math.abs(logitDifference(one, one.map((logit) => logit + 4), 1).kl) < 1e-7);
});

Deno.test("a token that both rule out does not turn the sum into no number", () => {
  const { kl } = logitDifference(Float32Array.of(0, 0, -Infinity), Float32Array.of(0, 1, -Infinity), 0);
  assert.ok(Number.isFinite(kl) && kl > 0);
});

Deno.test("a batch that is full refuses a further token, and is empty after clear", () => {
  const batch = new TokenBatch(2);
  assert.deepEqual([batch.add(7, 0, 0, false), batch.add(8, 1, 0, true)], [0, 1]);
  assert.equal(new DataView(batch.struct.buffer).getInt32(0, true), 2);
  assert.throws(() => batch.add(9, 2, 0, true), RangeError);
  batch.clear();
  assert.equal(new DataView(batch.struct.buffer).getInt32(0, true), 0);
});
