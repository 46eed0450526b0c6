/**
 * A model that is listed may not answer. Each target is loaded, answers one short question and is unloaded.
 */
import { EMBEDDED } from "../../lib/bench/candidate_name.ts";
import type { LiveCandidate } from "../../lib/bench/live_candidate.ts";
import { findCandidates, type SessionResources } from "../../lib/bench/session.ts";
import { listStored } from "../../lib/catalog/cache.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import type { FoundService } from "../../lib/services/discovery.ts";
import { cliCommand, type FoundryCli } from "../../lib/services/foundry_cli.ts";
import type { Check } from "./checks.ts";

/** What probes need besides their targets. */
export interface ProbeOptions {
  readonly resources: SessionResources;
  readonly services: readonly FoundService[];
  readonly timeoutS: number;
  readonly cli: FoundryCli | null;
  readonly onProbe: (id: string) => void;
}

/** Models per service that are probed without being named. */
const MOST_UNASKED = 6;

/** Names of the models that can be probed: those that services have ready, then the downloaded files. */
export async function targetsHere(
  services: readonly FoundService[],
  { store, registry }: Pick<SessionResources, "store" | "registry">,
): Promise<string[]> {
  const served = services.flatMap(({ endpoint, models }) =>
    models.filter(({ ready }) => ready !== false).slice(0, MOST_UNASKED).map(({ id }) =>
      `${id}@${endpoint.name}`
    )
  );
  const files = await listStored(store, registry);
  const own = files.flatMap(({ state, named }) =>
    state === "ready" && named !== null ? [`${named.model.alias}:${named.variant.name}@${EMBEDDED}`] : []
  );
  return [...served, ...own];
}

/**
 * One row per target, one after the other: two engines at once would slow each other down.
 *
 * @param targets names as `bench --models` takes them
 */
export async function probeChecks(
  targets: readonly string[],
  options: ProbeOptions,
): Promise<Check[]> {
  if (targets.length === 0) {
    return [{
      id: "probe",
      row: "every target answers a probe chat",
      status: "failed",
      found: "there is no model to ask",
      next: "deno task models pull",
    }];
  }
  const checks: Check[] = [];
  for (const target of targets) {
    options.resources.signal.throwIfAborted();
    checks.push(await probeTarget(target, options));
  }
  return checks;
}

async function probeTarget(target: string, options: ProbeOptions): Promise<Check> {
  const { resources, services, timeoutS, cli } = options;
  const row = `a probe chat with ${target.replace(/@embedded$/, "")}`;
  let alias = target;
  try {
    const found = await findCandidates({ names: [target], services, plan: { timeoutS }, downloads: "none" }, {
      ...resources,
      note: () => {},
    });
    try {
      const [candidate] = found.candidates;
      if (candidate === undefined) throw new UserError(`there is no model called ${target}`);
      alias = candidate.info.alias;
      options.onProbe(candidate.info.id);
      const answered = await answer(candidate, options);
      return { id: `probe-${candidate.info.id}`, row, status: "ok", found: answered, next: null };
    } finally {
      found.close();
    }
  } catch (error) {
    resources.signal.throwIfAborted();
    const reason = reasonOf(error);
    const next = /deno task models pull \S+/.exec(reason)?.[0] ??
      (/not downloaded/.test(reason) ? cliCommand(cli?.words ?? null, "download", alias) : null);
    return { id: `probe-${target}`, row, status: "failed", found: reason, next };
  }
}

async function answer(
  candidate: LiveCandidate,
  { resources: { signal }, timeoutS }: ProbeOptions,
): Promise<string> {
  const open = await candidate.open(signal);
  try {
    const trace = await open.request({
      model: candidate.info.model_id,
      messages: [{ role: "user", content: "Say hello in one short sentence." }],
      maxTokens: 16,
      temperature: 0,
    }, { timeoutMs: timeoutS * 1000, signal });
    const silent = trace.httpStatus === 200 && trace.reason === "empty answer";
    if (trace.status !== "ok" && !silent) throw new Error(trace.reason ?? "it did not answer");
    const text = trace.content.replaceAll(/\s+/g, " ").trim();
    return [
      text === "" ? "an empty answer" : `"${text.length > 40 ? `${text.slice(0, 39)}…` : text}"`,
      `in ${((trace.endMs - trace.dueMs) / 1000).toFixed(2)} s`,
      ...(open.loadMs === null ? [] : [`loaded in ${(open.loadMs / 1000).toFixed(2)} s`]),
      ...(open.device === null ? [] : [`on ${open.device}`]),
      ...(open.notes ?? []),
    ].join(", ");
  } finally {
    await open.close();
  }
}
