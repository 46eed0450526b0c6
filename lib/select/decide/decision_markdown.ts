/** decision.md: the decision for people, everything in it from decision.json. */
import type { Decision } from "./decision_schema.ts";

/**
 * @param figures the file names of the plots beside it
 *
 * @example
 * ```ts ignore
 * await Deno.writeTextFile("decision.md", decisionMarkdown(decision, { pareto: "pareto.svg" }));
 * ```
 */
export function decisionMarkdown(
  decision: Decision,
  figures: { readonly pareto?: string; readonly evidence?: string } = {},
): string {
  return [
    `# ${headline(decision)}`,
    sentence(decision),
    facts(decision),
    candidateTable(decision),
    figures.pareto === undefined ? "" : `![Quality, latency and memory of the candidates](${figures.pareto})`,
    figures.evidence === undefined
      ? ""
      : `![The evidence against each candidate, block by block](${figures.evidence})`,
    eliminated(decision),
    excluded(decision),
    section("What would change it", decision.what_would_change_it.map((line) => `- ${line}`)),
    sensitivity(decision),
    energy(decision),
    course(decision),
    section("Mind", decision.warnings.map((line) => `- ${line}`)),
  ].filter((part) => part !== "").join("\n\n") + "\n";
}

function headline({ verdict, choice, leader, best_of_the_rest }: Decision): string {
  switch (verdict) {
    case "winner":
      return `Choice: ${choice}`;
    case "only":
      return `Choice: ${choice}, the only one left`;
    case "tie":
      return `Choice: ${choice}, of those as good as equal`;
    case "undecided":
    case "left":
      return "Undecided";
    case "fastest":
      return `Fastest: ${leader}. Nothing is chosen`;
    case "none":
      return best_of_the_rest === null ? "None" : `None; the best of the rest is ${best_of_the_rest}`;
  }
}

const sentence = ({ reason }: Decision) => `Because: ${reason}.`;

function facts({ machine, runs, quality_run, quality_source, requests, blocks, ...rest }: Decision): string {
  const source = { checks: "deterministic checks", people: "people's ratings", judge: "a judge model" };
  const lines = [
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.ram_gb} GB RAM, ${
      machine.gpu.join(", ") || "no GPU"
    }, ${machine.os}`,
    runs.length === 0 ? null : `Runs: ${runs.join(", ")}`,
    runs.length === 0 ? null : `Requests: ${requests} in ${blocks} blocks, delta ${rest.delta}`,
    runs.length === 0
      ? null
      : quality_source === null
      ? "Quality: nothing was scored"
      : `Quality: ${source[quality_source]} (${quality_run}), 0 to 1`,
    rest.runner_up === null ? null : `Runner-up: ${rest.runner_up}`,
    rest.lead_ci95 === null
      ? null
      : `Lead of the first over the second: ${rest.lead_ci95.map((x) => x.toFixed(3)).join(" to ")} (95 %)`,
    Object.keys(rest.weights).length === 0
      ? null
      : `Weights: ${
        Object.entries(rest.weights).map(([part, weight]) => `${part} ${weight}`).join(", ")
      } (worth of a quality of 1, and of each halving of a time or of memory)`,
  ];
  return lines.filter((line) => line !== null).map((line) => `- ${line}`).join("\n");
}

function candidateTable({ candidates }: Decision): string {
  if (candidates.length === 0) return "";
  const number = (value: number | null, digits: number) =>
    value === null ? "—" : Number(value.toPrecision(digits)).toString();
  const ranked = candidates.toSorted((a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity));
  return table(
    [
      "#",
      "candidate",
      "quality",
      "latency s",
      "first token s",
      "tokens/s",
      "memory MB",
      "P(best)",
      "front",
      "requests",
    ],
    ranked.map((one) => [
      one.rank === null ? "—" : String(one.rank),
      one.id,
      one.quality === null ? "—" : one.quality.toFixed(2),
      number(one.latency_s, 3),
      number(one.ttft_s, 3),
      number(one.output_tokens_per_s, 3),
      number(one.memory_mb, 3),
      one.probability_best === null ? "—" : `${(100 * one.probability_best).toFixed(1)} %`,
      one.on_front ? "yes" : "",
      String(one.requests.ok) + (one.requests.failed > 0 ? ` (${one.requests.failed} failed)` : ""),
    ]),
  );
}

function eliminated({ eliminated }: Decision): string {
  return section(
    "Lost the race",
    eliminated.map(({ id, by, wins, untied, block, evidence, threshold }) =>
      `- ${id}, in block ${block}: ${by} won ${wins} of ${untied} (evidence ${
        Number(evidence.toPrecision(3))
      } of ${Number(threshold.toPrecision(3))})`
    ),
  );
}

function excluded({ excluded }: Decision): string {
  return section(
    "Excluded",
    excluded.map(({ id, constraint, reason, admit }) =>
      `- **${id}** (${constraint}): ${reason}. To admit it: ${admit}.`
    ),
  );
}

function sensitivity({ sensitivity }: Decision): string {
  if (sensitivity.length === 0) return "";
  const digits = (value: number) => Number(value.toPrecision(2)).toString();
  return "## How far the weights can move\n\n" + table(
    ["weight", "is", "holds from", "to", "below leads", "above leads"],
    sensitivity.map(({ part, weight, from, to, below, above }) => [
      part,
      digits(weight),
      digits(Math.max(0, from)),
      to === null ? "any" : digits(to),
      below ?? "—",
      above ?? "—",
    ]),
  );
}

function energy({ candidates }: Decision): string {
  const known = candidates.flatMap(({ id, energy }) => energy === null ? [] : [{ id, ...energy }]);
  if (known.length === 0) return "";
  const rows = known.map((one) => [
    one.id,
    one.source === "measured" ? "measured" : `estimate, ${one.watts} W stated`,
    Number(one.joules_per_request.toPrecision(3)).toString(),
    Number(one.watt_hours_per_1000.toPrecision(3)).toString(),
    one.cost_per_1000 === null ? "—" : Number(one.cost_per_1000.toPrecision(3)).toString(),
  ]);
  const bases = [...new Set(known.map(({ source, basis }) => `${source}: ${basis}`))];
  const price = known[0]?.price_per_kwh ?? null;
  return "## Energy\n\n" +
    table(["candidate", "source", "J a request", "Wh per 1,000", "cost per 1,000"], rows) +
    `\n\n${bases.join("; ")}${price === null ? "" : `; price ${price} a kWh`}.` +
    " The course multiplies tokens/s by tokens instead, which makes a faster model dearer.";
}

function course({ course, policy }: Decision): string {
  if (course === null || policy === "course") return "";
  return `## Without evidence\n\nThe course's rule for the task ${course.task}: ${course.note}.`;
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `## ${title}\n\n${lines.join("\n")}`;
}

const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ");

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
