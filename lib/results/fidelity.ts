/** The difference between two variants or settings of a model: what `fidelity` returns. */
import { type FidelityReport, jobSentence } from "../quality/fidelity.ts";
import { ratio } from "../report/format.ts";
import type { BlockEstimate } from "../stats/blocks.ts";
import { Result, type TableRow, TableView, TextView, type View } from "./view.ts";

/**
 * How much the second candidate differs from the first over a text, and on a job where one was given; it
 * shows the figures of the text.
 *
 * ```ts ignore
 * const result = await fidelity("smollm2-135m", "smollm2-135m:kv=q4_0");
 * console.log(result.report.text.kl_mean.value, String(result));
 * ```
 */
export class Fidelity extends Result {
  /** Made by `fidelity`. */
  constructor(readonly report: FidelityReport) {
    super();
  }

  /** What it shows: the figures of the text. */
  override main(): View {
    return this.table();
  }

  /** Every figure of the text with its interval. */
  table(): TableView {
    const { candidates: [first, second], text } = this.report;
    const { kl_mean, kl_p99, perplexity, perplexity_ratio, same_top } = text;
    const row = (
      figure: string,
      estimate: BlockEstimate | null,
      show: (value: number) => string,
    ): TableRow => ({
      figure,
      value: estimate === null ? null : show(estimate.value),
      "95 % interval": estimate?.ci95 === null || estimate === null
        ? null
        : `${show(estimate.ci95[0])} to ${show(estimate.ci95[1])}`,
    });
    const nats = (value: number) => value.toFixed(4);
    const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
    return new TableView([
      row("KL divergence, mean (nats)", kl_mean, nats),
      row("KL divergence, 99th percentile", kl_p99, nats),
      row("perplexity ratio", perplexity_ratio, nats),
      row("same top token", same_top, percent),
      row(`perplexity of ${first}`, perplexity[0], ratio),
      row(`perplexity of ${second}`, perplexity[1], ratio),
    ], this.#caption());
  }

  #caption(): string {
    const { candidates: [first, second], text } = this.report;
    const { tokens, blocks, block_tokens, compared, file, seconds } = text;
    const read = blocks * block_tokens;
    const same = text.kl_mean.ci95 === null && text.kl_mean.value < 1e-9;
    return `${second} against ${first}, over ${file}: ${read.toLocaleString("en-GB")} of ` +
      `${tokens.toLocaleString("en-GB")} tokens in ${blocks} blocks of ${block_tokens}, ` +
      `n = ${compared.toLocaleString("en-GB")} predictions (the second half of each block). ` +
      `Intervals: over blocks, for texts like this one. ` +
      (same ? "The predictions are identical. " : "") + `Took ${seconds.toFixed(0)} s.`;
  }

  /** The tokens of the text with the largest differences, and each candidate's most likely token there. */
  furthest(): TableView {
    const { candidates: [first, second], text: { furthest } } = this.report;
    const shown = (text: string) => `"${text.replaceAll(/\s/g, " ")}"`;
    return new TableView(
      furthest.map(({ before, token, top, kl }) => ({
        "after the text": `…${before.replaceAll(/\s+/g, " ").slice(-38)}`,
        "comes": shown(token),
        [`${first} says`]: shown(top[0]),
        [second === first ? "and" : `${second} says`]: shown(top[1]),
        "KL (nats)": kl.toFixed(2),
      })),
      "The predictions that are furthest apart, one per block of text.",
    );
  }

  /** Whether the second candidate's answers to the job are as good as the first's, in a sentence. */
  verdict(): TextView {
    const { candidates, job } = this.report;
    if (job === null) return new TextView("No job was given, or fewer than two cases were answered by both.");
    return new TextView(jobSentence(job, candidates));
  }
}
