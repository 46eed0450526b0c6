/**
 * Counters, gauges and one histogram in Prometheus' text format (version 0.0.4). The format is a few lines;
 * a library for it would take longer to load than all of the gateway.
 */

type Labels = Readonly<Record<string, string>>;

/** A figure as it stands when somebody looks. */
export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly values: readonly { readonly labels: Labels; readonly value: number }[];
}

/** Upper bounds of the TTFT histogram, in seconds. */
const BOUNDS_S = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const COUNTERS = {
  podium_requests_total: "Requests by model and HTTP status; status 499: the client went away.",
  podium_broken_streams_total: "Streams that ended in an error after their beginning.",
  podium_prompt_tokens_total: "Prompt tokens, as reported by the models.",
  podium_output_tokens_total: "Output tokens, as reported by the models.",
  podium_choices_total: "Requests for auto by intent and chosen model.",
  podium_retries_total: "Attempts after the first one.",
  podium_refusals_total: "Requests that were turned away before any model saw them, by code.",
  podium_keep_warm_total: "Prompts that kept a model warm, by outcome.",
  podium_loads_total: "Models loaded on demand, by outcome.",
  podium_evictions_total: "Models unloaded to make room.",
} as const;

export type CounterName = keyof typeof COUNTERS;

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

/**
 * Everything that `/metrics` shows.
 *
 * ```ts
 * const metrics = new Metrics();
 * metrics.count("podium_requests_total", { model: "m", status: "200" });
 * metrics.ttft("m", 0.2);
 * const text = metrics.render([]);
 * if (!text.includes('podium_requests_total{model="m",status="200"} 1')) throw new Error(text);
 * if (!text.includes('podium_ttft_seconds_bucket{model="m",le="0.25"} 1')) throw new Error(text);
 * ```
 */
export class Metrics {
  readonly #counters = new Map<CounterName, Map<string, number>>();
  readonly #ttft = new Map<string, Histogram>();

  count(name: CounterName, labels: Labels = {}, by = 1): void {
    let values = this.#counters.get(name);
    if (values === undefined) this.#counters.set(name, values = new Map());
    const key = labelText(labels);
    values.set(key, (values.get(key) ?? 0) + by);
  }

  /** From the request's last byte to the first text of its answer, in seconds. */
  ttft(model: string, seconds: number): void {
    let known = this.#ttft.get(model);
    if (known === undefined) {
      this.#ttft.set(
        model,
        known = { counts: BOUNDS_S.map(() => 0), sum: 0, count: 0 },
      );
    }
    const bucket = BOUNDS_S.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) known.counts[bucket] = (known.counts[bucket] ?? 0) + 1;
    known.sum += seconds;
    known.count++;
  }

  render(gauges: readonly Gauge[]): string {
    const lines: string[] = [];
    for (const [name, values] of this.#counters) {
      lines.push(`# HELP ${name} ${COUNTERS[name]}`, `# TYPE ${name} counter`);
      for (const [labels, value] of values) lines.push(`${name}${labels} ${value}`);
    }
    lines.push(
      "# HELP podium_ttft_seconds From a request's last byte to the first text of its answer.",
      "# TYPE podium_ttft_seconds histogram",
    );
    for (const [model, histogram] of this.#ttft) lines.push(...histogramLines(model, histogram));
    for (const { name, help, values } of gauges) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`);
      for (const { labels, value } of values) lines.push(`${name}${labelText(labels)} ${value}`);
    }
    return lines.join("\n") + "\n";
  }
}

function histogramLines(model: string, { counts, sum, count }: Histogram): string[] {
  let below = 0;
  const buckets = BOUNDS_S.map((bound, i) => {
    below += counts[i] ?? 0;
    return `podium_ttft_seconds_bucket${labelText({ model, le: String(bound) })} ${below}`;
  });
  return [
    ...buckets,
    `podium_ttft_seconds_bucket${labelText({ model, le: "+Inf" })} ${count}`,
    `podium_ttft_seconds_sum${labelText({ model })} ${sum}`,
    `podium_ttft_seconds_count${labelText({ model })} ${count}`,
  ];
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) =>
    `${name}="${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`
  );
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}
