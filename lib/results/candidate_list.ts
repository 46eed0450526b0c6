/** Named candidates before anything is measured, with their views: what `candidates` returns. */
import type { Exclusion } from "../bench/records.ts";
import { EMBEDDED } from "../bench/candidate_name.ts";
import type { NamedCandidate } from "../bench/named_candidate.ts";
import { chooseCandidates, type SessionResources } from "../bench/session.ts";
import type { Registry } from "../catalog/model.ts";
import { type Constraints, NO_CONSTRAINTS } from "../select/decide/constraints.ts";
import { excludedFrom } from "../select/decide/race_and_decide.ts";
import type { FoundService } from "../services/discovery.ts";
import { Result, TableView, TextView, type View } from "./view.ts";

/**
 * Candidates by name: models with their variants, settings and endpoints.
 *
 * ```ts ignore
 * const found = await candidates(["smollm2-135m", "gemma-3-270m"]);
 * console.log(await found.constrain({ licenses: ["commercial"], maxRamGb: 8 }));
 * ```
 */
export class CandidateList extends Result {
  readonly #named: readonly NamedCandidate[];

  /**
   * Made by `candidates`.
   *
   * @param names as the user or the session gave them; `bench`, `race` and `quality` take them
   */
  constructor(
    readonly names: readonly string[],
    named: readonly NamedCandidate[],
    readonly services: readonly FoundService[],
    readonly registry: Registry,
  ) {
    super();
    this.#named = named;
  }

  /** The ids, in the same order as `names`. */
  get ids(): string[] {
    return this.#named.map(({ info }) => info.id);
  }

  /** What it shows: a sentence. */
  override main(): View {
    return new TextView(this.#words);
  }

  get #words(): string {
    return `Candidates: **${this.ids.join("**, **")}**.`;
  }

  /** The services that answered on this machine or were named, and how many models each lists. */
  serviceTable(): TableView {
    return new TableView(
      this.services.length === 0
        ? [{
          service: "none found",
          address: "",
          "models listed": 0,
          problem: "Podium runs the models itself",
        }]
        : this.services.map(({ kind, endpoint, models, problem }) => ({
          service: kind,
          address: endpoint.baseUrl,
          "models listed": models.length,
          problem: problem ?? "",
        })),
      "Services that answered /v1/models. To start Foundry Local: foundry server start (up to 0.8: foundry service start); to get a model: foundry model download phi-4-mini.",
    );
  }

  /**
   * Checks the candidates against constraints before anything is measured. A constraint that
   * is left out doesn't apply.
   *
   * @param wanted for example `{ licenses: ["commercial"], maxRamGb: 8 }`; memory in GB, disk in MB
   */
  async constrain(wanted: Partial<Constraints>): Promise<ConstrainedCandidates> {
    const excluded = await excludedFrom({ named: this.#named }, { ...NO_CONSTRAINTS, ...wanted }, {
      registry: this.registry,
      quality: null,
    });
    return new ConstrainedCandidates(this, this.#named, excluded);
  }
}

/** Candidates, and the reasons that exclude some; it shows a table with what would admit each. */
export class ConstrainedCandidates extends Result {
  readonly #named: readonly NamedCandidate[];

  /** Made by `CandidateList.constrain`. */
  constructor(
    readonly list: CandidateList,
    named: readonly NamedCandidate[],
    readonly excluded: readonly Exclusion[],
  ) {
    super();
    this.#named = named;
  }

  /** The names of those that may be measured. */
  get allowed(): string[] {
    const out = new Set(this.excluded.map(({ id }) => id));
    return this.list.names.filter((_, at) => !out.has(this.list.ids[at] ?? ""));
  }

  /** What it shows: `table()`. */
  override main(): View {
    return this.table();
  }

  /** One row per candidate: its licence and size, whether it may race, and what would admit it. */
  table(): TableView {
    return new TableView(
      this.#named.map(({ info: { id, license, size_mb } }) => {
        const out = this.excluded.find((one) => one.id === id);
        return {
          candidate: id,
          licence: license,
          "file (MB)": size_mb === null ? null : Math.round(size_mb),
          verdict: out === undefined ? "may race" : `excluded: ${out.reason}`,
          "to admit it": out?.admit ?? null,
        };
      }),
      "What can't be used need not be measured.",
    );
  }
}

/**
 * Which candidates: a name, several, a list that `candidates` returned, or null for the defaults (the models
 * of a service that is named or found, else those that the registry marks as default).
 */
export type Names = string | readonly string[] | CandidateList | ConstrainedCandidates | null;

/** The names that may be measured; null for the defaults. */
export function namesOf(names: Names): readonly string[] | null {
  if (names instanceof CandidateList) return names.names;
  if (names instanceof ConstrainedCandidates) return names.allowed;
  return typeof names === "string" ? [names] : names;
}

/** Candidates by name: `names[i]` finds `named[i]` again. */
export interface ChosenNames {
  readonly names: readonly string[];
  readonly named: readonly NamedCandidate[];
}

/**
 * Resolves names, or finds the defaults and their names. Nothing is downloaded or loaded.
 *
 * @throws {UserError} as `chooseCandidates`
 */
export async function chooseNames(
  names: readonly string[] | null,
  most: number | undefined,
  resources: SessionResources,
): Promise<ChosenNames> {
  const { named, client } = await chooseCandidates(
    { names, ...(most === undefined ? {} : { most }) },
    resources,
  );
  client.close();
  return { named, names: names ?? named.map(({ info }) => `${info.model_id}@${info.endpoint}`) };
}

/**
 * The names with other numbers of threads: the first candidate once per number, the others with the first
 * number. Models of a service stay as they are, since the service decides on its threads.
 */
export function withThreads({ named, names }: ChosenNames, threads: readonly number[]): string[] {
  const [first, ...more] = threads;
  if (first === undefined) return [...names];
  return named.flatMap(({ info }, at) => {
    if (info.endpoint !== EMBEDDED) return [names[at] ?? info.id];
    const name = (count: number) => `${info.model_id}+threads=${count}@${EMBEDDED}`;
    return [name(first), ...(at === 0 ? more.map(name) : [])];
  });
}
