/** The gateway's metrics, in Prometheus' text format. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";

type Labels = Readonly<Record<string, string>>;

/** A figure of this moment. */
export interface GaugeReading {
  readonly name: string;
  readonly help: string;
  readonly values: readonly { readonly labels: Labels; readonly value: number }[];
}

const COUNTERS = {
  podium_requests_total: {
    help: "Requests by model and HTTP status; status 499: the client went away.",
    labels: ["model", "status"],
  },
  podium_broken_streams_total: {
    help: "Streams that ended in an error after their beginning.",
    labels: ["model"],
  },
  podium_prompt_tokens_total: { help: "Prompt tokens, as reported by the models.", labels: ["model"] },
  podium_output_tokens_total: { help: "Output tokens, as reported by the models.", labels: ["model"] },
  podium_choices_total: {
    help: "Requests for auto by intent and chosen model.",
    labels: ["intent", "model"],
  },
  podium_retries_total: { help: "Attempts after the first one.", labels: [] },
  podium_refusals_total: {
    help: "Requests that were refused before a model got them, by code.",
    labels: ["code"],
  },
  podium_keep_warm_total: {
    help: "Prompts that keep a model warm, by outcome.",
    labels: ["model", "outcome"],
  },
  podium_loads_total: { help: "Models loaded on demand, by outcome.", labels: ["model", "outcome"] },
  podium_evictions_total: { help: "Models unloaded to free memory.", labels: ["model"] },
} as const;

export type CounterName = keyof typeof COUNTERS;

/**
 * Everything that `/metrics` of one gateway shows.
 *
 * ```ts
 * const metrics = new GatewayMetrics();
 * metrics.count("podium_requests_total", { model: "m", status: "200" });
 * metrics.ttft("m", 0.2);
 * const text = await metrics.text();
 * if (!text.includes('podium_requests_total{model="m",status="200"} 1')) throw new Error(text);
 * if (!text.includes('podium_ttft_seconds_bucket{le="0.25",model="m"} 1')) throw new Error(text);
 * ```
 */
export class GatewayMetrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<CounterName, Counter>();
  readonly #ttft: Histogram;

  constructor() {
    this.#ttft = new Histogram({
      name: "podium_ttft_seconds",
      help: "From a request's last byte to the first text of its answer.",
      labelNames: ["model"],
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers: [this.#registry],
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  count(name: CounterName, labels: Labels = {}, by = 1): void {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      const { help, labels: labelNames } = COUNTERS[name];
      counter = new Counter({ name, help, labelNames, registers: [this.#registry] });
      this.#counters.set(name, counter);
    }
    counter.inc(labels, by);
  }

  ttft(model: string, seconds: number): void {
    this.#ttft.observe({ model }, seconds);
  }

  async text(gauges: readonly GaugeReading[] = []): Promise<string> {
    for (const { name, help, values } of gauges) {
      this.#registry.removeSingleMetric(name);
      const labelNames = Object.keys(values[0]?.labels ?? {});
      const gauge = new Gauge({ name, help, labelNames, registers: [this.#registry] });
      for (const { labels, value } of values) gauge.set(labels, value);
    }
    return await this.#registry.metrics();
  }
}
