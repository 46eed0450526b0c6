/** Scored answers as evidence for a router, with its views. */
import { defaultPassMark } from "../quality/pass_rate.ts";
import { type Audit, audit, type ScoredCase } from "../select/route/audit.ts";
import { DEFAULT_INTENTS, intentFinder } from "../select/route/intent.ts";
import { seededRandom } from "../stats/random.ts";
import { interval } from "./run.ts";
import { Result, TableView, type View } from "./view.ts";

/** The worth of each model's answer to each case, from 0 to 1, as a router sees it. */
export class RoutingEvidence extends Result {
  /** Share of the checks' weight from which an answer is a success. */
  readonly passMark: number = defaultPassMark;

  /** Made by `ScoredRun.routing`. */
  constructor(readonly cases: readonly ScoredCase[], readonly models: readonly string[]) {
    super();
  }

  /** What it shows: `byIntent()`. */
  override main(): View {
    return this.byIntent();
  }

  /** Cases passed per model and intent; the intent is found by the router's patterns. */
  byIntent(): TableView {
    const find = intentFinder(DEFAULT_INTENTS);
    const byIntent = Map.groupBy(this.cases, ({ text }) => find(text, null).name);
    const passed = (model: string, same: readonly ScoredCase[]) =>
      `${same.filter(({ worth }) => (worth[model] ?? 0) >= this.passMark).length} of ${same.length}`;
    return new TableView(
      this.models.map((model) => ({
        model,
        ...Object.fromEntries([...byIntent].map(([intent, same]) => [intent, passed(model, same)])),
      })),
      `Cases passed per intent, as the patterns find it. Recorded answers, n = ${this.cases.length} cases per model.`,
    );
  }

  /** Whether choosing a model per request beats the best single model, tried on held-out cases. */
  audit(): TableView {
    const audited: Audit = audit(this.cases, this.models, {
      intents: DEFAULT_INTENTS,
      random: seededRandom("audit"),
    });
    const row = (
      rule: string,
      worth: number,
      more: { gain?: string; range?: string | null; verdict?: string },
    ) => ({
      rule,
      worth: worth.toFixed(3),
      gain: more.gain ?? null,
      "interval of the gain": more.range ?? null,
      verdict: more.verdict ?? null,
    });
    const { best_single, oracle, chosen, why } = audited;
    return new TableView([
      row(
        `best single model (${best_single.arm})`,
        best_single.mean,
        chosen === null ? { verdict: "this is auto" } : {},
      ),
      ...audited.rules.map(({ rule, mean, gain, gain_ci, on }) =>
        row(rule === "intent" ? "map by intent" : "nearest neighbours", mean, {
          gain: gain.toFixed(3),
          range: interval(gain_ci),
          verdict: on ? "on" : "off",
        })
      ),
      row("oracle", oracle.mean, {}),
    ], `Mean worth of the answers to held-out cases, n = ${audited.prompts}. auto: ${why}.`);
  }
}
