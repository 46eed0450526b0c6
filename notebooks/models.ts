/** The models that a notebook measures: those of a service that answers, else the small ones that we run. */
import { findRun } from "../lib/bench/find_run.ts";
import { readRunInfo } from "../lib/bench/folder.ts";
import { toRequestRecord } from "../lib/bench/record_request.ts";
import type { RaceTerms, RequestRecord } from "../lib/bench/records.ts";
import type { ChatMessage } from "../lib/endpoint/trace.ts";
import {
  findCandidates,
  type FinishedRun,
  measure,
  type SessionCandidates,
  type SessionEvent,
  type SessionPlan,
  type SessionResources,
} from "../lib/bench/session.ts";
import { runProgram } from "../lib/program.ts";
import { pull, type PullEvent } from "../lib/catalog/pull.ts";
import { loadRegistry } from "../lib/catalog/registry.ts";
import { defaultStore, openStore } from "../lib/catalog/store.ts";
import { UserError } from "../lib/errors.ts";
import { evidencePlot } from "../lib/plot/race.ts";
import type { AskJudge } from "../lib/quality/judge.ts";
import { evidencePoints } from "../lib/select/race/race_report.ts";
import type { RaceState } from "../lib/select/race/race.ts";
import { type RecordedRace, replayRecorded } from "../lib/select/race/recorded_race.ts";
import { raceFound, type SessionRace } from "../lib/select/decide/session.ts";
import { liveFigure, progress, say, stopSignal } from "./support.ts";

const sleep = (ms: number, signal?: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });

/** The real world as a notebook has it; downloads are shown with a bar. */
async function surroundings(): Promise<SessionResources> {
  const registry = await loadRegistry("../models.json");
  const store = await openStore(Deno.env.get("PODIUM_STORE") ?? defaultStore(Deno.env, Deno.build.os));
  const clock = () => performance.now();
  const signal = stopSignal();
  return {
    clock,
    sleep,
    fetch,
    run: runProgram,
    env: Deno.env,
    denoPath: Deno.execPath(),
    registry,
    store,
    signal,
    download: async (entry, variant) => {
      const bar = await progress(`Downloading ${entry.alias}`);
      const onProgress = ({ receivedBytes, totalBytes }: PullEvent) =>
        bar.update(receivedBytes, totalBytes ?? receivedBytes + 1, `bytes of ${entry.alias}`);
      const onTerms = async (
        { model, license, url }: { model: string; license: string; url: string | null },
      ) => {
        await say(
          `${model} comes under **${license}**${
            url === null ? "" : ` (${url})`
          }: to use it is to accept that.`,
        );
        return true;
      };
      const path = await pull(store, entry, variant, {
        fetch,
        sleep,
        clock,
        env: Deno.env,
        onTerms,
        onProgress,
        signal,
      });
      await bar.finish(`${entry.alias} is here and checked.`);
      return path;
    },
  };
}

/**
 * Finds the models to measure. Without names: the first two of a service that answers (FOUNDRY_LOCAL_ENDPOINT, then
 * the usual ports), else the two small models of models.json. Naming a model twice enters it twice.
 */
export async function candidates(names: readonly string[] | null, most?: number): Promise<SessionCandidates> {
  return await findCandidates({ names, most: most ?? 2 }, await surroundings());
}

/** The same models with the first one entered twice: a control, whose two rows can differ by noise alone. */
export async function candidatesWithControl(): Promise<SessionCandidates> {
  const found = await candidates(null);
  found.close();
  const names = found.candidates.map(({ info }) => `${info.model_id}@${info.endpoint}`);
  return await candidates([...names.slice(0, 1), ...names]);
}

/** One model that is loaded and answers. */
export interface OneModel {
  readonly name: string;
  /** From nothing to ready, in seconds; null where a service keeps that to itself. */
  readonly loadS: number | null;
  readonly device: string | null;
  /** Asks once and returns the record of the request, and the answer's text. */
  ask(
    messages: readonly ChatMessage[],
    maxTokens: number,
  ): Promise<{ record: RequestRecord; content: string }>;
  close(): Promise<void>;
}

/** Opens the first model that is found. Close it in the notebook's last cell. */
export async function openOne(): Promise<OneModel> {
  const found = await candidates(null, 1);
  const [candidate] = found.candidates;
  if (candidate === undefined) throw new RangeError("No model was found");
  const { info } = candidate;
  const open = await candidate.open(stopSignal());
  let count = 0;
  return {
    name: info.id,
    loadS: open.loadMs === null ? null : open.loadMs / 1000,
    device: open.device,
    async ask(messages, maxTokens) {
      const trace = await open.request(
        { model: info.model_id, messages, maxTokens, temperature: 0 },
        { timeoutMs: 300_000, signal: stopSignal() },
      );
      const id = `${++count}`;
      const place = {
        id,
        candidate: info.id,
        prompt_id: id,
        phase: "timed",
        round: 1,
        block: count,
      } as const;
      if (trace.status !== "ok") await say(`The request went wrong: **${trace.reason}**`);
      return { record: toRequestRecord({ ...place, prefix: "cold" }, trace, 0), content: trace.content };
    },
    async close() {
      await open.close();
      found.close();
    },
  };
}

/** Measures candidates by a plan, with a bar; Stop (■) ends it early and keeps what it has. */
export async function measured(found: SessionCandidates, plan: SessionPlan): Promise<FinishedRun> {
  const resources = await surroundings();
  const total = (plan.rounds ?? 1) * plan.prompts.prompts.length * found.candidates.length;
  const bar = await progress("Loading the models");
  let done = 0;
  const onEvent = (event: SessionEvent) => {
    if (event.kind === "request") done++;
    bar.update(Math.min(done, total), total, label(event));
  };
  const result = await measure(found, plan, {
    resources,
    out: "../reports",
    now: new Date(),
    random: Math.random,
    onEvent,
  });
  const where = result.folder.slice("../".length);
  const nothing = result.summary.candidates.every(({ latency_s }) => latency_s.n === 0);
  await bar.finish(
    result.status === "completed"
      ? `Done: ${done} requests. Every one of them is kept in ${where}.`
      : nothing
      ? `Ended before the first timed request (${result.status}): run this cell again before you go on.`
      : `Ended early (${result.status}) after ${done} requests; they are kept in ${where}.`,
  );
  return result;
}

function label(event: SessionEvent): string {
  switch (event.kind) {
    case "begin":
      return "loading the models";
    case "load":
      return `loading ${event.candidate}`;
    case "warmup":
      return `warming up ${event.candidate}`;
    case "request":
      return `requests, the last to ${event.candidate}`;
    case "left":
      return `${event.candidate} is out: ${event.reason}`;
    case "disturbed":
      return `a block was disturbed: ${event.reason}`;
  }
}

/** The models for a quality gate, with room for the plan's longest prompt. */
export async function candidatesFor(
  names: readonly string[] | null,
  plan: Pick<SessionPlan, "prompts" | "maxTokens">,
): Promise<SessionCandidates> {
  return await findCandidates({ names, most: 2, plan }, await surroundings());
}

/**
 * What the race is entered with: the embedded models once with one thread, and the first of them also with two.
 * Against a service its models enter as they are: how many threads it takes is its own affair.
 */
export async function candidatesWithVariants(
  plan: Pick<SessionPlan, "prompts" | "maxTokens">,
): Promise<SessionCandidates> {
  const found = await candidates(null);
  const infos = found.candidates.map(({ info }) => info);
  found.close();
  const names = infos.map(({ model_id, endpoint }) =>
    endpoint === "embedded" ? `${model_id}+threads=1` : `${model_id}@${endpoint}`
  );
  const again = infos[0]?.endpoint === "embedded" ? [`${infos[0].model_id}+threads=2`] : [];
  return await candidatesFor([...names.slice(0, 1), ...again, ...names.slice(1)], plan);
}

/** A model that judges answers. */
export interface OpenJudge {
  readonly name: string;
  readonly ask: AskJudge;
  close(): Promise<void>;
}

/** Opens the first model that is found, to be tried as a judge. Close it in the cell that tried it. */
export async function openJudge(plan: Pick<SessionPlan, "prompts">): Promise<OpenJudge> {
  const replyTokens = 64;
  // The rubric, the aspects and two answers come on top of the prompt.
  const found = await findCandidates(
    { names: null, most: 1, plan: { ...plan, maxTokens: replyTokens + 1500 } },
    await surroundings(),
  );
  const [candidate] = found.candidates;
  if (candidate === undefined) throw new RangeError("No model was found");
  const { info } = candidate;
  const open = await candidate.open(stopSignal());
  return {
    name: info.id,
    async ask(messages, responseFormat) {
      const trace = await open.request(
        { model: info.model_id, messages, maxTokens: replyTokens, temperature: 0, responseFormat },
        { timeoutMs: 300_000, signal: stopSignal() },
      );
      if (trace.status === "failed") throw new UserError(`the judge did not answer: ${trace.reason}`, 1);
      return trace.content;
    },
    async close() {
      await open.close();
      found.close();
    },
  };
}

/** How the evidence of a race has grown so far. */
function evidenceSoFar({ history, state }: Pick<RecordedRace, "history" | "state">, how: string) {
  const threshold = state.candidates.length / state.rules.delta;
  return evidencePlot(evidencePoints({ history, state }), {
    threshold,
    title: `The evidence against each candidate, ${how}`,
    caption:
      `Line: sum of the e-values of its rivals after each block; dashed: the threshold ${threshold} at which ` +
      `a candidate goes. n = ${state.blocks} blocks, ${state.requests} requests.`,
  });
}

/**
 * Races candidates, with a bar and the evidence growing under the cell; Stop (■) ends the race early. Where the
 * environment variable PODIUM_REPLAY names a race below reports/, its records are raced again instead.
 */
export async function raced(
  found: SessionCandidates,
  plan: SessionPlan,
  terms: RaceTerms,
): Promise<SessionRace> {
  const recorded = Deno.env.get("PODIUM_REPLAY")?.trim() ?? "";
  const bar = await progress(recorded === "" ? "Loading the models" : "Reading the records");
  const figure = await liveFigure("The evidence appears with the first block.");
  const states: RaceState[] = [];
  const race = recorded === "" ? await live() : await again();
  const { state } = race;
  await bar.finish(
    `${state.requests} requests in ${state.blocks} blocks, kept in ${race.folder.slice("../".length)}.`,
  );
  await figure.finish(evidenceSoFar(race, recorded === "" ? "live" : "replayed"));
  return race;

  async function live(): Promise<SessionRace> {
    return await raceFound(found, plan, terms, {
      resources: await surroundings(),
      out: "../reports",
      now: new Date(),
      random: Math.random,
      onEvent: (event) => {
        if (event.kind === "load" || event.kind === "warmup") bar.update(0, terms.budget, label(event));
      },
      onBlock: (state) => {
        const history = [...states];
        states.push(state);
        bar.update(
          state.requests,
          state.rules.budget,
          `requests of the budget; ${state.live.length} still in`,
        );
        figure.update(() => evidenceSoFar({ history, state }, "live"));
      },
    });
  }

  async function again(): Promise<SessionRace> {
    const folder = await findRun(recorded, "../reports");
    if (folder === null) {
      throw new UserError(`PODIUM_REPLAY holds ${recorded}: there is no such run in reports/`);
    }
    const { status } = await readRunInfo(folder);
    return { ...await replayRecorded(folder), folder, status };
  }
}
