/** How far two models' predictions of one next token are apart, from the logits of the whole vocabulary. */

/** Two predictions of the token that follows, compared. Logarithms are natural. */
export interface LogitDifference {
  /** Kullback-Leibler divergence of the second prediction from the first, in nats. */
  readonly kl: number;
  /** Minus the logarithm of the probability that each gave to the token that really follows. */
  readonly surprise: readonly [first: number, second: number];
  /** The most likely token of each; of equals the smaller. */
  readonly top: readonly [first: number, second: number];
}

/**
 * Compares two predictions by the definitions of llama.cpp's perplexity tool:
 *
 *     KL = Σ p₁ (ln p₁ − ln p₂) over the vocabulary, with p = softmax(logits)
 *
 * Unlike that tool, which stores p₁ in 16 bits and leaves out whatever is below e⁻¹⁶,
 * the sum is over all tokens.
 *
 * @param next the token that follows in the text
 *
 * ```ts
 * const { kl, top, surprise } = logitDifference(Float32Array.of(0, 0), Float32Array.of(0, Math.log(3)), 0);
 * if (Math.abs(kl - 0.5 * Math.log(4 / 3)) > 1e-7 || top.join() !== "0,1") throw new Error(`${kl} ${top}`);
 * if (Math.abs(surprise[1] - Math.log(4)) > 1e-7) throw new Error(`${surprise}`);
 * ```
 */
export function logitDifference(first: Float32Array, second: Float32Array, next: number): LogitDifference {
  const [topFirst, topSecond] = [likeliestToken(first), likeliestToken(second)];
  const [maxFirst, maxSecond] = [first[topFirst] ?? 0, second[topSecond] ?? 0];
  let [sumFirst, sumSecond, gap] = [0, 0, 0];
  for (let token = 0; token < first.length; token++) {
    const [a, b] = [(first[token] ?? 0) - maxFirst, (second[token] ?? 0) - maxSecond];
    const weight = Math.exp(a);
    sumFirst += weight;
    sumSecond += Math.exp(b);
    // A token that was ruled out adds nothing to the sum, and its difference may be NaN.
    if (weight > 0) gap += weight * (a - b);
  }
  const [logFirst, logSecond] = [Math.log(sumFirst), Math.log(sumSecond)];
  return {
    kl: gap / sumFirst + logSecond - logFirst,
    surprise: [logFirst + maxFirst - (first[next] ?? 0), logSecond + maxSecond - (second[next] ?? 0)],
    top: [topFirst, topSecond],
  };
}

/** The token with the largest logit, the first of equals. */
export function likeliestToken(logits: Float32Array): number {
  let best = 0;
  let highest = -Infinity;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token] ?? -Infinity;
    if (logit > highest) {
      highest = logit;
      best = token;
    }
  }
  return best;
}
