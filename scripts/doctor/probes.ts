/** WHY: a model that is listed need not answer. Each target is loaded, asked one short question, and let go. */
import type { LiveCandidate } from "../../lib/bench/candidate.ts";
import { type Choice, chooseCandidates, EMBEDDED, type Service } from "../../lib/bench/choose.ts";
import { embeddedCandidate, endpointCandidate, type World } from "../../lib/bench/live.ts";
import { listStored } from "../../lib/catalog/cache.ts";
import { locate } from "../../lib/catalog/store.ts";
import { cliCommand, type FoundryCli } from "../../lib/services/foundry_cli.ts";
import type { FoundService } from "../../lib/services/discovery.ts";
import { prepareEngine } from "../../lib/engine/supervisor.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import type { Check, Surroundings } from "./checks.ts";

/** What one target did. */
export interface ProbeOptions {
  readonly world: World;
  readonly around: Surroundings;
  readonly cli: FoundryCli | null;
  readonly onProbe: (id: string) => void;
}

/** So many models of a service that was found are asked without being named. */
const MOST_UNASKED = 6;

/** Names of what is here and can be asked: ready models of the services, then our own files. */
export async function targetsHere(
  services: readonly FoundService[],
  around: Surroundings,
): Promise<string[]> {
  const served = services.flatMap(({ endpoint, models }) =>
    models.filter(({ ready }) => ready !== false).slice(0, MOST_UNASKED).map(({ id }) =>
      `${id}@${endpoint.name}`
    )
  );
  const files = await listStored(around.store, around.registry);
  const own = files.flatMap(({ state, named }) =>
    state === "ready" && named !== null ? [`${named.entry.alias}:${named.variant.name}@${EMBEDDED}`] : []
  );
  return [...served, ...own];
}

/**
 * One row for each target, asked one after the other: two engines at once would slow each other down.
 *
 * @param targets names as `bench --models` takes them
 */
export async function probeChecks(
  targets: readonly string[],
  services: readonly FoundService[],
  options: ProbeOptions,
): Promise<Check[]> {
  const { around } = options;
  if (targets.length === 0) {
    return [{
      id: "probe",
      row: "every target answers a probe chat",
      status: "failed",
      found: "there is no model to ask",
      next: "deno task models pull",
    }];
  }
  const from = { registry: around.registry, services: services as readonly Service[], engine: {} };
  const checks: Check[] = [];
  for (const target of targets) {
    around.signal.throwIfAborted();
    checks.push(await probeTarget(target, from, options));
  }
  return checks;
}

async function probeTarget(
  target: string,
  from: Parameters<typeof chooseCandidates>[1],
  options: ProbeOptions,
): Promise<Check> {
  const row = `a probe chat with ${target.replace(/@embedded$/, "")}`;
  const failed = (found: string, next: string | null): Check => ({
    id: `probe-${target}`,
    row,
    status: "failed",
    found,
    next,
  });
  let choice: Choice | undefined;
  try {
    [choice] = chooseCandidates([target], from);
  } catch (error) {
    if (error instanceof UserError) return failed(error.message, null);
    throw error;
  }
  if (choice === undefined) return failed("nothing bears this name", null);
  options.onProbe(choice.info.id);
  const candidate = await candidateOf(choice, options);
  if (candidate === null) return failed("not downloaded", `deno task models pull ${choice.info.alias}`);
  try {
    return {
      id: `probe-${choice.info.id}`,
      row,
      status: "ok",
      found: await answer(candidate, options),
      next: null,
    };
  } catch (error) {
    options.around.signal.throwIfAborted();
    const reason = reasonOf(error);
    const download = /not downloaded/.test(reason)
      ? cliCommand(options.cli?.words ?? null, "download", choice.info.alias)
      : null;
    return failed(reason, download);
  }
}

/** Null for a model file that is not here: a look downloads nothing. */
async function candidateOf(choice: Choice, { world, around }: ProbeOptions): Promise<LiveCandidate | null> {
  if (choice.kind === "endpoint") return endpointCandidate(choice, world);
  const path = await locate(around.store, choice.entry, choice.variant);
  if (path === null) return null;
  await prepareEngine({ denoPath: world.denoPath });
  return embeddedCandidate(choice, path, world);
}

async function answer(candidate: LiveCandidate, { world, around }: ProbeOptions): Promise<string> {
  const { signal } = around;
  const open = await candidate.open(signal);
  try {
    const trace = await open.request({
      model: candidate.info.model_id,
      messages: [{ role: "user", content: "Say hello in one short sentence." }],
      maxTokens: 16,
      temperature: 0,
    }, { timeoutMs: world.timeoutMs, signal });
    const silent = trace.httpStatus === 200 && trace.reason === "empty answer";
    if (trace.status !== "ok" && !silent) throw new Error(trace.reason ?? "it did not answer");
    const text = trace.content.replaceAll(/\s+/g, " ").trim();
    return [
      text === "" ? "an empty answer" : `"${text.length > 40 ? `${text.slice(0, 39)}…` : text}"`,
      `in ${((trace.endMs - trace.dueMs) / 1000).toFixed(2)} s`,
      ...(open.loadMs === null ? [] : [`loaded in ${(open.loadMs / 1000).toFixed(2)} s`]),
      ...(open.device === null ? [] : [`on ${open.device}`]),
    ].join(", ");
  } finally {
    await open.close();
  }
}
