/** Single timed requests with their views: what a served model's `ask` and `askEach` return. */
import { gapsMs, latencyS, outputTokensPerS, prefillTokensPerS, tpotS, ttftS } from "../bench/metrics.ts";
import type { RequestRecord } from "../bench/records.ts";
import { timelinePlot } from "../plot/timeline.ts";
import { quantile } from "../stats/quantile.ts";
import { FigureView, Result, TableView, TextView, type View } from "./view.ts";

/** One request: its record, and the text of the answer. */
export interface TimedRequest {
  /** Its name in tables and figures. */
  readonly label: string;
  /** When its tokens arrived, in ms since it was due, and how many there were. */
  readonly record: RequestRecord;
  /** The text of the answer. */
  readonly answer: string;
}

const ms = (seconds: number | null) => seconds === null ? null : (1000 * seconds).toFixed(1);

/**
 * Timed requests to one model. They show their answers; `table`, `times` and
 * `timeline` show when the tokens came.
 *
 * ```ts ignore
 * const model = await serve("smollm2-135m");
 * const requests = await model.ask("Why is the sky blue?", { maxTokens: 40 });
 * console.log(requests.times());
 * ```
 */
export class TimedRequests extends Result {
  /** Made by `ask` and `askEach`. */
  constructor(readonly requests: readonly TimedRequest[]) {
    super();
  }

  /** These requests and others, in this order. */
  and(others: TimedRequests): TimedRequests {
    return new TimedRequests([...this.requests, ...others.requests]);
  }

  /** What it shows: the text of the answers. */
  override main(): View {
    const texts = this.requests.map(({ record, answer }) =>
      record.status === "ok" ? answer : `The request failed: ${record.reason}`
    );
    return new TextView(texts.join("\n\n"));
  }

  /** The durations of the first request in ms: TTFT, ITL, TPOT and E2E latency, and how each is computed. */
  times(): TableView {
    const record = this.first;
    const gaps = gapsMs(record);
    const row = (time: string, value: string | null, how: string) => ({
      time,
      "value (ms)": value,
      "how it is computed": how,
    });
    return new TableView(
      [
        row("TTFT", ms(ttftS(record)), "first token − sent"),
        row(
          "ITL, median",
          gaps.length === 0 ? null : quantile(gaps, 0.5).toFixed(1),
          `the median of ${gaps.length} gaps between chunks`,
        ),
        row(
          "ITL, longest",
          gaps.length === 0 ? null : Math.max(...gaps).toFixed(1),
          "a stall would show here, and in no mean",
        ),
        row("TPOT", ms(tpotS(record)), "(last − first) / (tokens − 1)"),
        row("E2E latency", ms(latencyS(record)), "last token − sent"),
      ],
      `One request: ${record.prompt_tokens ?? "?"} prompt tokens, ${record.output_tokens} output tokens.`,
    );
  }

  /** One row per request: tokens, tokens from the prompt cache, TTFT, reading speed and TPOT. */
  table(): TableView {
    return new TableView(
      this.requests.map(({ label, record }) => ({
        prompt: label,
        "prompt tokens": record.prompt_tokens,
        "of these from the cache": record.cached_tokens ?? record.server?.cached_tokens ?? null,
        "TTFT (ms)": ms(ttftS(record)),
        "prefill tokens/s": prefillTokensPerS(record)?.toFixed(0) ?? null,
        "TPOT (ms)": ms(tpotS(record)),
      })),
      "One request per row. A dash: the service does not report it, or the prompt was not sent cold.",
    );
  }

  /** Output tokens/s, and the figure that results where prompt tokens are counted too. */
  rates(): TableView {
    return new TableView(
      this.requests.map(({ label, record }) => {
        const all = (record.prompt_tokens ?? 0) + record.output_tokens;
        return {
          prompt: label,
          "tokens/s with the prompt's": (all / (latencyS(record) ?? NaN)).toFixed(0),
          "output tokens/s": outputTokensPerS(record)?.toFixed(0) ?? null,
        };
      }),
      `The same requests, counted twice. Output tokens come from: ${this.first.token_source}.`,
    );
  }

  /** The tokens as they arrived, one line per request. */
  timeline(title = "Tokens as they arrived"): FigureView {
    const chunks = this.requests.reduce((sum, { record }) => sum + record.chunk_ms.length, 0);
    return new FigureView(timelinePlot(
      this.requests.map(({ label, record }) => ({
        series: "",
        group: label,
        chunks: record.chunk_ms.map((at) => at / 1000),
      })),
      {
        title,
        selection: `${this.requests.length} request${
          this.requests.length === 1 ? "" : "s"
        }, ${chunks} chunks`,
      },
    ));
  }

  /** The first request's record, as a run would keep it. */
  get first(): RequestRecord {
    const [first] = this.requests;
    if (first === undefined) throw new RangeError("There is no request to show");
    return first.record;
  }

  /** E2E latency of the first request in seconds; null where it failed. */
  get latencyS(): number | null {
    return latencyS(this.first);
  }

  /**
   * How long an answer of `tokens` tokens takes by TTFT + (tokens − 1) × TPOT of the first request, in
   * seconds; null where either is unknown.
   */
  predictLatencyS(tokens: number): number | null {
    const [ttft, tpot] = [ttftS(this.first), tpotS(this.first)];
    return ttft === null || tpot === null ? null : ttft + (tokens - 1) * tpot;
  }
}
