/** Reads the content of a fleet's live page from the fleet's folder while its hub runs. */
import { summarizeRun } from "../bench/summary.ts";
import { AWAY_MS } from "../fleet/device.ts";
import { compareOverFleet, type DeviceSummary, type FleetComparison } from "../fleet/fleet_evidence.ts";
import { type Fleet, type FleetDevice, type FleetPlanState, readFleet } from "../fleet/fleet_folder.ts";

/** A device as its own page and the teacher's screen show it. */
export interface DeviceView {
  readonly id: string;
  /** Its name, with the id where two devices have the same one. */
  readonly name: string;
  readonly machine: FleetDevice["statement"]["machine"];
  readonly status: "joined" | "waiting" | "running" | "sending" | "done" | "refused" | "failed" | "away";
  /** Requests of the plan; null where it has none. */
  readonly progress: { readonly done: number; readonly total: number } | null;
  /** Why it needs help, or another note. */
  readonly note: string | null;
  readonly needsHelp: boolean;
}

/** A fleet at one moment. */
export interface FleetView {
  readonly name: string;
  /** Those that need help first, then by name. */
  readonly devices: readonly DeviceView[];
  /** The latest plan; null before the first. */
  readonly plan: FleetPlanState | null;
  /** The complete runs of the latest plan that has any, one per device. The same array until one is added. */
  readonly results: readonly DeviceSummary[];
  readonly comparison: FleetComparison | null;
  /** Complete runs that are not yet in the results. */
  readonly unread: number;
}

/** Runs that are summarized per reading: the hub has other work to do in between. */
const MOST_NEW = 5;

/** Reads a fleet again and again; a complete run is summarized once. */
export class FleetReader {
  readonly #summaries = new Map<string, DeviceSummary>();
  #results: readonly DeviceSummary[] = [];
  #comparison: FleetComparison | null = null;

  constructor(private readonly folder: string) {}

  /** @throws {UserError} where a document of the folder is damaged */
  async read(now: Date): Promise<FleetView> {
    const fleet = await readFleet(this.folder);
    const unread = await this.#readResults(fleet);
    return {
      name: fleet.name,
      devices: deviceViews(fleet, now),
      plan: fleet.plans.at(-1) ?? null,
      results: this.#results,
      comparison: this.#comparison,
      unread,
    };
  }

  async #readResults({ plans, runs }: Fleet): Promise<number> {
    const complete = runs.filter(({ status }) => status === "complete");
    const plan = plans.findLast((one) => complete.some((run) => run.plan === one.plan.id))?.plan.id;
    const wanted = [
      ...new Map(complete.filter((run) => run.plan === plan).map((run) => [run.device.id, run])).values(),
    ];
    for (
      const { folder, device } of wanted.filter((run) => !this.#summaries.has(run.folder)).slice(0, MOST_NEW)
    ) {
      this.#summaries.set(folder, { device, summary: await summarizeRun(folder) });
    }
    const results = wanted.flatMap(({ folder }) => this.#summaries.get(folder) ?? []);
    if (results.length !== this.#results.length || results.some((one, at) => one !== this.#results[at])) {
      this.#results = results;
      this.#comparison = compareOverFleet(results, "latency_s").find(({ devices }) => devices.length > 0) ??
        null;
    }
    return wanted.length - results.length;
  }
}

function deviceViews({ devices, plans }: Fleet, now: Date): DeviceView[] {
  const latest = plans.at(-1);
  const names = Map.groupBy(devices, ({ statement }) => statement.name);
  const views = devices.map(({ statement: { id, name, machine }, state }): DeviceView => {
    const outcome = latest?.outcomes.find(({ device }) => device === id);
    const isAway = state !== null && now.getTime() - Date.parse(state.heard_at) > AWAY_MS;
    const status = isAway ? "away" : outcome === undefined ? state?.doing ?? "joined" : endOf(outcome.status);
    const note = state?.note ??
      (outcome === undefined || outcome.reasons.length === 0 ? null : outcome.reasons.join("; "));
    return {
      id,
      name: name === null ? id : names.get(name)?.length === 1 ? name : `${name} (${id})`,
      machine,
      status,
      progress: state === null || state.total === 0 ? null : { done: state.done, total: state.total },
      note: isAway ? `no message for ${sinceText(now.getTime() - Date.parse(state.heard_at))}` : note,
      needsHelp: status === "away" || status === "refused" || status === "failed" || note !== null,
    };
  });
  return views.sort((a, b) =>
    Number(b.needsHelp) - Number(a.needsHelp) || a.name.localeCompare(b.name, "en", { numeric: true })
  );
}

/** A run that was stopped is done as far as it went. */
const endOf = (status: "complete" | "refused" | "failed" | "stopped") =>
  status === "complete" || status === "stopped" ? "done" : status;

/** Rounded, so that the page changes once per minute and not every second. */
const sinceText = (ms: number) => ms < 60_000 ? "20 s" : `${Math.floor(ms / 60_000)} min`;
