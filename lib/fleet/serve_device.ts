/** A device of a fleet waits for plans, carries them out and sends the results to the hub. */
import { jetstream, type JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import type { RunInfo } from "../bench/records.ts";
import { reasonOf, UserError } from "../errors.ts";
import { boundedJson } from "../bounded_json.ts";
import type { PromptSet } from "../prompts/prompts.ts";
import {
  type DeviceStatement,
  FLEET_SCHEMA,
  type FleetPlan,
  fleetPlan,
  isDocumentKind,
  planId,
} from "./device.ts";
import { type DeviceReportOptions, DeviceReports } from "./device_reports.ts";
import { acceptPlan, requestsOf } from "./run_plan.ts";
import type { CarriedOut, PlanEvent } from "./session_plan.ts";
import { RunSender, type Sent } from "./send_run.ts";
import { connectHub, type EndReply, endReply, type EndRequest, PLANS, subjects } from "./wire.ts";
import type { HubCredentials } from "./join.ts";
import { PlanFolder, type PlanProgress } from "./plan_progress.ts";

/** Processes that may end during a plan before the device gives it up. */
const MAX_ATTEMPTS = 100;
/** Time between two signs to the server that the device still works on a plan. */
const WORKING_MS = 10_000;
const WAIT_FOR_PLAN_MS = 5000;
/** Shortest time between two writes of how much of a run was sent. */
const SAVE_MS = 2000;
const NOTHING_SENT: Sent = { samples: 0, answers: 0 };

/** How a device carries out a plan: `runPlan`, or what a simulation does instead. */
export type CarryOut = (task: {
  readonly plan: FleetPlan;
  readonly prompts: PromptSet;
  readonly resume: string | null;
  readonly signal: AbortSignal;
  readonly onFolder: (path: string) => Promise<void>;
  readonly onEvent: (event: PlanEvent) => void;
}) => Promise<CarriedOut>;

export interface DeviceOptions extends DeviceReportOptions {
  readonly credentials: HubCredentials;
  /** The folder of the device's key, and of what it keeps of plans. */
  readonly state: string;
  readonly carryOut: CarryOut;
  readonly signal: AbortSignal;
  /** Plans after which it ends. @default Infinity */
  readonly plans?: number;
}

/**
 * Waits for plans and carries them out, until the signal is aborted. A plan that an
 * earlier process began comes first.
 *
 * @throws {UserError} exit code 1 where the hub doesn't take the credentials
 */
export async function serveDevice(options: DeviceOptions): Promise<void> {
  const { credentials, statement, signal } = options;
  const stated = await statement();
  const connection = await connectHub({ ...credentials, name: stated.id, credentials, patient: true });
  const device = new Device(options, stated, connection);
  try {
    await device.serve();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await device.close();
    await connection.close();
  }
}

class Device {
  readonly #options: DeviceOptions;
  readonly #connection: NatsConnection;
  readonly #id: string;
  readonly #reports: DeviceReports;
  readonly #plans: PlanFolder;
  #stopPlan: AbortController | null = null;
  #carried = 0;

  constructor(options: DeviceOptions, statement: DeviceStatement, connection: NatsConnection) {
    this.#options = options;
    this.#connection = connection;
    this.#id = statement.id;
    this.#plans = new PlanFolder(options.state, statement.id);
    this.#reports = new DeviceReports(options, statement, connection, () => {
      this.#stopPlan?.abort("the hub stopped it");
    });
  }

  async serve(): Promise<void> {
    const { signal, plans = Infinity, sleep } = this.#options;
    const left = Promise.withResolvers<never>();
    left.promise.catch(() => {});
    signal.addEventListener("abort", () => left.reject(signal.reason), { once: true });
    for (const progress of await this.#plans.unfinished()) await this.#carry(progress, null);
    while (!signal.aborted && this.#carried < plans) {
      try {
        const consumer = await jetstream(this.#connection).consumers.get(PLANS, this.#id);
        const message = await Promise.race([consumer.next({ expires: WAIT_FOR_PLAN_MS }), left.promise]);
        if (message !== null) await this.#take(message);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof UserError) throw error;
        await sleep(1000, signal);
      }
    }
  }

  async close(): Promise<void> {
    await this.#reports.close();
  }

  async #take(message: JsMsg): Promise<void> {
    const json = boundedJson(message.string());
    const plan = fleetPlan.safeParse(json);
    if (!plan.success) {
      const id = z.object({ id: planId }).safeParse(json);
      const fault = reasonOf(z.prettifyError(plan.error)).slice(0, 300);
      if (id.success) await this.#tellEnd(id.data.id, "refused", `it can't be read: update Podium? ${fault}`);
      return message.ack();
    }
    const { id } = plan.data;
    const known = await this.#plans.read(id);
    if (known?.verdict) return message.ack();
    const fresh = { attempts: 0, sent: NOTHING_SENT, folder: null, verdict: null };
    await this.#carry(known ?? { schema_version: FLEET_SCHEMA, plan: plan.data, ...fresh }, message);
    if ((await this.#plans.read(id))?.verdict) message.ack();
  }

  /** Carries a plan out, or continues it, until the hub has given its verdict. */
  async #carry(begun: PlanProgress, message: JsMsg | null): Promise<void> {
    const { signal, sleep, note } = this.#options;
    const working = new AbortController();
    const keepWorking = (async () => {
      while (!working.signal.aborted) {
        await sleep(WORKING_MS, working.signal).catch(() => {});
        if (!working.signal.aborted) message?.working();
      }
    })();
    try {
      const progress = { ...begun, attempts: begun.attempts + 1 };
      await this.#plans.save(progress);
      const verdict = await this.#through(progress);
      const { id } = progress.plan;
      await this.#plans.save({ ...await this.#plans.read(id) ?? progress, verdict: verdict.status });
      const why = verdict.reasons.length === 0 ? "" : `: ${verdict.reasons.join("; ")}`;
      note(`Plan ${id}: ${verdict.status}${why}`);
      const doing = verdict.status === "refused" || verdict.status === "failed" ? verdict.status : "waiting";
      this.#reports.change({ doing, note: why === "" ? null : verdict.reasons.join("; ").slice(0, 500) });
      this.#carried++;
    } finally {
      working.abort();
      await keepWorking;
    }
    signal.throwIfAborted();
  }

  async #through(progress: PlanProgress): Promise<PlanVerdict> {
    const { plan, attempts } = progress;
    const { limits, machine } = this.#reports.statement;
    const accepted = acceptPlan(plan, limits, machine.cores);
    if ("refused" in accepted) return await this.#tellEnd(plan.id, "refused", accepted.refused);
    if (attempts > MAX_ATTEMPTS) {
      return await this.#tellEnd(plan.id, "failed", `its process ended ${MAX_ATTEMPTS} times`);
    }
    const { prompts } = accepted;
    if (await this.#reports.announce(plan.id)) {
      return await this.#tellEnd(plan.id, "stopped", "it was stopped before it began");
    }
    this.#options.note(`Plan ${plan.id}: ${plan.kind} of ${plan.models.join(", ")}, job ${plan.job.name}.`);
    const total = requestsOf(plan, prompts.prompts.length);
    this.#reports.change({ doing: "running", plan: plan.id, done: 0, total, note: null });
    try {
      return await this.#measure(progress, prompts);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      if (!(error instanceof UserError)) throw error;
      return await this.#tellEnd(plan.id, "failed", error.message);
    }
  }

  async #measure(progress: PlanProgress, prompts: PromptSet): Promise<PlanVerdict> {
    const { signal, carryOut } = this.#options;
    const { plan } = progress;
    const minutes = this.#reports.statement.limits.max_minutes;
    const stopPlan = this.#stopPlan = new AbortController();
    const timer = setTimeout(() => stopPlan.abort(`the device allows ${minutes} minutes`), minutes * 60_000);
    const over = new AbortController();
    let following: Promise<void> = Promise.resolve();
    // A race starts again in a new folder, so nothing of it has been sent.
    let kept = plan.kind === "race" ? { ...progress, folder: null, sent: NOTHING_SENT } : progress;
    const keep = (change: Partial<PlanProgress>) => this.#plans.save(kept = { ...kept, ...change });
    let sender: RunSender | null = null;
    const onFolder = async (folder: string) => {
      await keep({ folder });
      if (isDocumentKind(plan.kind)) return;
      sender = this.#senderOf(kept, (sent) => keep({ sent }));
      following = sender.follow(over.signal);
    };
    try {
      const either = AbortSignal.any([signal, stopPlan.signal]);
      const onEvent = (event: PlanEvent) => this.#reports.count(event);
      const task = { plan, prompts, resume: kept.folder, signal: either, onFolder, onEvent };
      const { folder, status, ended } = await carryOut(task).catch((error) => {
        // A session keeps what it has; fidelity over a text has no result before its end.
        if (stopPlan.signal.aborted) throw new UserError(earlyNote(stopPlan.signal), 1, { cause: error });
        throw error;
      });
      over.abort();
      await following;
      signal.throwIfAborted();
      this.#reports.change({ doing: "sending" });
      const last = sender ?? this.#senderOf({ ...kept, folder }, (sent) => keep({ sent }));
      return await last.finish(problemOf(status, stopPlan.signal, ended));
    } finally {
      clearTimeout(timer);
      over.abort();
      this.#stopPlan = null;
      await following;
    }
  }

  #senderOf({ plan, folder, sent }: PlanProgress, save: (sent: Sent) => Promise<void>): RunSender {
    const { sleep, signal, now } = this.#options;
    let savedMs = -Infinity;
    const onSent = async (sent: Sent) => {
      if (now() - savedMs < SAVE_MS) return;
      savedMs = now();
      await save(sent);
    };
    if (folder === null) throw new TypeError("a run that is sent has a folder");
    return new RunSender({
      connection: this.#connection,
      device: this.#id,
      plan,
      folder,
      sent,
      onSent,
      sleep,
      signal,
    });
  }

  /** Reports a plan that led to no run, until the hub confirms it. */
  async #tellEnd(plan: string, status: Problem["status"], note: string): Promise<PlanVerdict> {
    const { signal, sleep } = this.#options;
    const request: EndRequest = { plan, run: null, problem: { status, note: note.slice(0, 500) }, files: [] };
    for (;;) {
      try {
        const subject = subjects.end(this.#id);
        const answer = await this.#connection.request(subject, JSON.stringify(request), { timeout: 5000 });
        const { verdict } = endReply.parse(answer.json());
        if (verdict !== null) return verdict;
      } catch {
        signal.throwIfAborted();
      }
      await sleep(1000, signal);
    }
  }
}

type PlanVerdict = NonNullable<EndReply["verdict"]>;
type Problem = NonNullable<EndRequest["problem"]>;

/** What a finished run lacks; null where it is complete. */
function problemOf(
  status: RunInfo["status"],
  stopped: AbortSignal,
  ended: string | undefined,
): Problem | null {
  if (status === "failed") return { status: "failed", note: "no request succeeded" };
  if (stopped.aborted) return { status: "stopped", note: earlyNote(stopped) };
  return ended === undefined ? null : { status: "stopped", note: `it ended early: ${ended}`.slice(0, 500) };
}

const earlyNote = ({ reason }: AbortSignal) => `it ended early: ${reasonOf(reason)}`;
