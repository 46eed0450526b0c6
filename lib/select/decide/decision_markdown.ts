/** decision.md: the decision for people, everything in it from decision.json. */
import { flagOf } from "./constraints.ts";
import type { Decision } from "./decision_schema.ts";

/**
 * @param figures the file names of the plots next to it
 *
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
    `Because: ${decision.reason}.`,
    facts(decision),
    candidateTable(decision),
    modelTable(decision),
    qualityTable(decision),
    notChosen(decision),
    figures.pareto === undefined ? "" : `![Quality, latency and memory of the candidates](${figures.pareto})`,
    figures.evidence === undefined
      ? ""
      : `![The evidence against each candidate, block by block](${figures.evidence})`,
    raceLosers(decision),
    exclusions(decision),
    section("What would change it", decision.what_would_change_it.map((line) => `- ${line}`)),
    weightRanges(decision),
    energyTable(decision),
    courseRule(decision),
    section("Mind", decision.warnings.map((line) => `- ${line}`)),
  ].filter((part) => part !== "").join("\n\n") + "\n";
}

function headline({ verdict, choice, fastest, best_of_the_rest }: Decision): string {
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
      return `Fastest: ${fastest}. Nothing is chosen`;
    case "none":
      return best_of_the_rest === null ? "None" : `None; the best of the rest is ${best_of_the_rest}`;
  }
}

function facts(decision: Decision): string {
  const { machine, runs, blocks, baseline, command, runner_up, lead_ci95, versions, weights } = decision;
  const { cpu, cores, ram_gb, gpu, os } = machine;
  const { claim, cases, scored_cases } = decision.scope;
  const isMeasured = runs.length > 0;
  const lines: readonly (readonly [what: string, text: string | null])[] = [
    ["Machine", `${cpu}, ${cores} cores, ${ram_gb} GB RAM, ${gpu.join(", ") || "no GPU"}, ${os}`],
    ...(isMeasured
      ? [
        ["Runs", runs.join(", ")],
        ["Requests", `${decision.requests} in ${blocks} blocks; delta ${decision.delta}`],
        [
          "Noise",
          `other programs or the hypervisor disturbed ${decision.disturbed_blocks} of ${blocks} blocks`,
        ],
        ["Scope", `${claim}; ${cases} timed, ${scored_cases} with scored answers of all candidates`],
        ["Limits", limitsText(decision)],
      ] as const
      : []),
    [
      "Baseline",
      baseline && `${baseline}. Without a quality floor a choice must beat it, ` +
        `and be at most ${decision.max_drop} below the best`,
    ],
    ...promptSets(decision),
    ["Versions", Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")],
    ["Decided by", command && `\`${command}\``],
    ["Quality", isMeasured ? qualitySource(decision) : null],
    ["Runner-up", runner_up],
    [
      "Lead of the first over the second",
      lead_ci95 && `${lead_ci95.map((x) => x.toFixed(3).replace("-", "−")).join(" to ")} (95 %)`,
    ],
    ["Weights", weightsText(weights)],
  ];
  return lines.flatMap(([what, text]) => text ? [`- ${what}: ${text}`] : []).join("\n");
}

const limitsText = ({ limits }: Decision) =>
  Object.entries(limits).map(([name, limit]) =>
    `${flagOf(name)} ${Array.isArray(limit) ? limit.join(", ") : limit}`
  ).join("; ") || "none";

function qualitySource({ quality_source, quality_run }: Decision): string {
  if (quality_source === null) return "nothing was scored";
  const source = {
    checks: "deterministic checks",
    people: "people's ratings",
    votes: "people's votes on pairs",
    judge: "a judge model",
  };
  return `${source[quality_source]} (${quality_run}), 0 to 1`;
}

function weightsText(weights: Decision["weights"]): string | null {
  const all = Object.entries(weights).map(([part, weight]) => `${part} ${weight}`).join(", ");
  return all === ""
    ? null
    : `${all} (per point of quality, and per halving of a time or of memory, of which at most three count)`;
}

/** Two lines where the answers that were scored had a prompt set of their own. */
function promptSets({ prompt_set: timed, quality_prompt_set: scored }: Decision): [string, string][] {
  const shown = ({ name, sha256 }: { name: string; sha256: string }) => `${name}, sha256 ${sha256}`;
  return [
    ...(timed === null ? [] : [["Prompt set", shown(timed)] satisfies [string, string]]),
    ...(scored === null || scored.sha256 === timed?.sha256
      ? []
      : [["Prompt set of the answers", shown(scored)] satisfies [string, string]]),
  ];
}

/** Most rows that a reader can take in. */
const MOST_CHECKS = 40;

/** Quality with its interval, and every check by itself. */
function qualityTable({ candidates }: Decision): string {
  const scored = candidates.filter(({ quality }) => quality !== null);
  const names = [...new Set(scored.flatMap(({ checks }) => checks.map(({ name }) => name)))];
  if (scored.length === 0 || names.length === 0) return "";
  if (names.length > MOST_CHECKS) {
    return `## Quality\n\nquality.json has the ${names.length} checks one by one.`;
  }
  const count = (value: number) => Number.isInteger(value) ? String(value) : value.toFixed(1);
  return "## Quality\n\n" + table(
    ["check", ...scored.map(({ id }) => id)],
    [
      ["mean score (95 %)", ...scored.map(qualityText)],
      ...names.map((name) => [
        name,
        ...scored.map(({ checks }) => {
          const found = checks.find((check) => check.name === name);
          return found === undefined ? "—" : `${count(found.passed)} of ${found.cases}`;
        }),
      ]),
    ],
  );
}

function qualityText({ quality, quality_ci95: interval }: Decision["candidates"][number]): string {
  if (quality === null) return "—";
  const limits = interval === null ? "" : ` (${interval.map((limit) => limit.toFixed(2)).join("–")})`;
  return quality.toFixed(2) + limits;
}

/** The model's file, and what its licence permits. */
function modelTable({ candidates }: Decision): string {
  if (candidates.length === 0) return "";
  return "## Models\n\n" + table(
    ["candidate", "file's sha256", "licence", "terms"],
    candidates.map(({ id, sha256, license, license_terms }) => [
      id,
      sha256 ?? "not known",
      license ?? "not known",
      license_terms ?? "not known",
    ]),
  );
}

function notChosen({ candidates }: Decision): string {
  const not = candidates.filter(({ may_be_chosen }) => may_be_chosen === false);
  return section("Not a choice", not.map(({ id, why_or_why_not }) => `- **${id}**: ${why_or_why_not}.`));
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
      "p95 s",
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
      qualityText(one),
      number(one.latency_s, 3),
      number(one.latency_p95_s, 3),
      number(one.ttft_s, 3),
      number(one.output_tokens_per_s, 3),
      number(one.memory_mb, 3),
      one.probability_best === null ? "—" : `${(100 * one.probability_best).toFixed(1)} %`,
      one.on_front ? "yes" : "",
      String(one.requests.ok) + (one.requests.failed > 0 ? ` (${one.requests.failed} failed)` : ""),
    ]),
  );
}

function raceLosers({ eliminated, left }: Decision): string {
  const failed = left.map(({ id, block, reason }) =>
    `- ${id} left after block ${block}: failures (${reason})`
  );
  return section(
    "Lost the race",
    failed.concat(
      eliminated.map(({ id, by, wins, untied, block, evidence, threshold }) =>
        `- ${id}, in block ${block}: ${by} won ${wins} of ${untied} (evidence ${
          Number(evidence.toPrecision(3))
        } of ${Number(threshold.toPrecision(3))})`
      ),
    ),
  );
}

function exclusions({ excluded }: Decision): string {
  return section(
    "Excluded",
    excluded.map(({ id, constraint, reason, admit }) =>
      `- **${id}** (${constraint}): ${reason}. To admit it: ${admit}.`
    ),
  );
}

function weightRanges({ sensitivity }: Decision): string {
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

function energyTable({ candidates }: Decision): string {
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
    " The course multiplies tokens/s by tokens instead, which makes a faster model more expensive.";
}

function courseRule({ course, policy }: Decision): string {
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
