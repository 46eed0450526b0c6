/** A device of a fleet waits for plans, carries them out and sends the results to the hub. */
import { jetstream, type JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { z } from "zod";
import type { RunInfo } from "../bench/records.ts";
import type { Sleep } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import { boundedJson } from "../bounded_json.ts";
import type { PromptSet } from "../prompts/prompts.ts";
import {
  type DeviceState,
  type DeviceStatement,
  FLEET_SCHEMA,
  type FleetPlan,
  fleetPlan,
  isDocumentKind,
  planId,
} from "./device.ts";
import { acceptPlan, requestsOf } from "./run_plan.ts";
import type { CarriedOut, PlanEvent } from "./session_plan.ts";
import { RunSender, type Sent } from "./send_run.ts";
import { connectHub, endReply, type EndRequest, PLANS, stateReply, subjects } from "./wire.ts";
import type { HubCredentials } from "./join.ts";
import { PlanFolder, type PlanProgress } from "./plan_progress.ts";

/** Processes that may end during a plan before the device gives it up. */
const MAX_ATTEMPTS = 100;
/** Longest time between two messages to the hub. */
const STATE_MS = 5000;
/** Shortest time between two messages to the hub. */
const STATE_LEAST_MS = 500;
/** Time between two signs to the server that the device still works on a plan. */
const WORKING_MS = 10_000;
const WAIT_FOR_PLAN_MS = 5000;
/** Shortest time between two writes of how much of a run was sent. */
const SAVE_MS = 2000;

/** How a device carries out a plan: `runPlan`, or what a simulation does instead. */
export type CarryOut = (task: {
  readonly plan: FleetPlan;
  readonly prompts: PromptSet;
  readonly resume: string | null;
  readonly signal: AbortSignal;
  readonly onFolder: (path: string) => Promise<void>;
  readonly onEvent: (event: PlanEvent) => void;
}) => Promise<CarriedOut>;

export interface DeviceOptions {
  readonly credentials: HubCredentials;
  /** The folder of the device's key, and of what it keeps of plans. */
  readonly state: string;
  /** The device's statement, made anew for each connection. */
  readonly statement: () => Promise<DeviceStatement>;
  readonly carryOut: CarryOut;
  readonly sleep: Sleep;
  readonly now: () => number;
  /** Shows a line to the person at the device. */
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
  /** Plans after which it ends. @default Infinity */
  readonly plans?: number;
}

/**
 * Waits for plans and carries them out, until the signal is aborted. A plan that an earlier process began comes first.
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
  #statement: DeviceStatement;
  /** Whether the hub has the statement; it gets it with the first message and after each new connection. */
  #isStated = false;
  #state: Omit<DeviceState, "heard_at" | "clock_off_s"> = {
    doing: "waiting",
    plan: null,
    done: 0,
    total: 0,
    note: null,
  };
  #stopPlan: AbortController | null = null;
  #wake: () => void = () => {};
  readonly #over = new AbortController();
  readonly #reporting: Promise<void>;
  readonly #plans: PlanFolder;
  #carried = 0;

  constructor(options: DeviceOptions, statement: DeviceStatement, connection: NatsConnection) {
    this.#options = options;
    this.#statement = statement;
    this.#connection = connection;
    this.#plans = new PlanFolder(options.state, statement.id);
    this.#reporting = this.#report();
    void this.#watchConnection();
  }

  get #id(): string {
    return this.#statement.id;
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
    this.#over.abort();
    this.#wake();
    await this.#reporting;
    // The last message, if it reaches the hub: the device leaves.
    if (this.#state.doing === "running") this.#state = { ...this.#state, doing: "waiting" };
    await this.#send(500).catch(() => {});
  }

  async #take(message: JsMsg): Promise<void> {
    const json = boundedJson(message.string());
    const plan = fleetPlan.safeParse(json);
    if (!plan.success) {
      const id = z.object({ id: planId }).safeParse(json);
      const note = `it can't be read: update Podium? ${reasonOf(z.prettifyError(plan.error)).slice(0, 300)}`;
      if (id.success) {
        await this.#tellEnd({ plan: id.data.id, run: null, problem: { status: "refused", note }, files: [] });
      }
      message.ack();
      return;
    }
    const known = await this.#plans.read(plan.data.id);
    if (known?.verdict !== undefined && known.verdict !== null) {
      message.ack();
      return;
    }
    const fresh = { attempts: 0, sent: { samples: 0, answers: 0 }, folder: null, verdict: null } as const;
    await this.#carry(known ?? { schema_version: FLEET_SCHEMA, plan: plan.data, ...fresh }, message);
    const ended = await this.#plans.read(plan.data.id);
    if (ended !== null && ended.verdict !== null) message.ack();
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
      await this.#plans.save({
        ...await this.#plans.read(progress.plan.id) ?? progress,
        verdict: verdict.status,
      });
      const why = verdict.reasons.length === 0 ? "" : `: ${verdict.reasons.join("; ")}`;
      note(`Plan ${progress.plan.id}: ${verdict.status}${why}`);
      const doing = verdict.status === "refused" || verdict.status === "failed" ? verdict.status : "waiting";
      this.#change({ doing, note: why === "" ? null : verdict.reasons.join("; ").slice(0, 500) });
      this.#carried++;
    } finally {
      working.abort();
      await keepWorking;
    }
    signal.throwIfAborted();
  }

  async #through(progress: PlanProgress): Promise<{ status: string; reasons: string[] }> {
    const { plan, attempts } = progress;
    const end = (status: "refused" | "failed" | "stopped", note: string) =>
      this.#tellEnd({ plan: plan.id, run: null, problem: { status, note: note.slice(0, 500) }, files: [] });
    const accepted = acceptPlan(plan, this.#statement.limits, this.#statement.machine.cores);
    if ("refused" in accepted) return await end("refused", accepted.refused);
    if (attempts > MAX_ATTEMPTS) return await end("failed", `its process ended ${MAX_ATTEMPTS} times`);
    const { prompts } = accepted;
    this.#state = { ...this.#state, plan: plan.id };
    if (await this.#send().catch(() => false)) return await end("stopped", "it was stopped before it began");
    this.#options.note(`Plan ${plan.id}: ${plan.kind} of ${plan.models.join(", ")}, job ${plan.job.name}.`);
    const total = requestsOf(plan, prompts.prompts.length);
    this.#state = { doing: "running", plan: plan.id, done: 0, total, note: null };
    this.#change({});
    try {
      return await this.#measure(progress, prompts);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      if (!(error instanceof UserError)) throw error;
      return await end("failed", error.message);
    }
  }

  async #measure(progress: PlanProgress, prompts: PromptSet): Promise<{ status: string; reasons: string[] }> {
    const { signal, carryOut } = this.#options;
    const { plan } = progress;
    const minutes = this.#statement.limits.max_minutes;
    const stopPlan = this.#stopPlan = new AbortController();
    const timer = setTimeout(() => stopPlan.abort(`the device allows ${minutes} minutes`), minutes * 60_000);
    const over = new AbortController();
    let sender: RunSender | null = null;
    let following: Promise<void> = Promise.resolve();
    // A race starts again in a new folder, so nothing of it has been sent.
    let kept: PlanProgress = plan.kind === "race"
      ? { ...progress, folder: null, sent: { samples: 0, answers: 0 } }
      : progress;
    try {
      const onFolder = async (folder: string) => {
        kept = { ...kept, folder };
        await this.#plans.save(kept);
        if (isDocumentKind(plan.kind)) return;
        sender = this.#senderOf(kept, (sent) => this.#plans.save(kept = { ...kept, sent }));
        following = sender.follow(over.signal);
      };
      const { folder, status, ended } = await carryOut({
        plan,
        prompts,
        resume: kept.folder,
        signal: AbortSignal.any([signal, stopPlan.signal]),
        onFolder,
        onEvent: (event) => this.#count(event),
      }).catch((error) => {
        // A session keeps what it has; fidelity over a text has no result before its end.
        if (stopPlan.signal.aborted) throw new UserError(earlyNote(stopPlan.signal), 1, { cause: error });
        throw error;
      });
      over.abort();
      await following;
      signal.throwIfAborted();
      this.#change({ doing: "sending" });
      const last = sender ??
        this.#senderOf({ ...kept, folder }, (sent) => this.#plans.save(kept = { ...kept, sent }));
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
  async #tellEnd(request: EndRequest): Promise<{ status: string; reasons: string[] }> {
    const { signal, sleep } = this.#options;
    for (;;) {
      try {
        const answer = await this.#connection.request(subjects.end(this.#id), JSON.stringify(request), {
          timeout: 5000,
        });
        const { verdict } = endReply.parse(answer.json());
        if (verdict !== null) return verdict;
      } catch {
        signal.throwIfAborted();
      }
      await sleep(1000, signal);
    }
  }

  #count(event: PlanEvent): void {
    if (event.kind === "made") return this.#change({ done: event.requests });
    if (event.kind === "begin") {
      this.#change({ done: [...event.done].filter((id) => id.startsWith("timed/")).length });
    }
    if (event.kind === "disturbed") this.#change({ total: this.#state.total + event.repeated });
    if (event.kind === "request" && event.phase === "timed") this.#change({ done: this.#state.done + 1 });
  }

  #change(change: Partial<DeviceState>): void {
    this.#state = { ...this.#state, ...change };
    this.#state.total = Math.max(this.#state.total, this.#state.done);
    this.#wake();
  }

  async #report(): Promise<void> {
    const { sleep } = this.#options;
    const over = this.#over.signal;
    while (!over.aborted) {
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      try {
        if (await this.#send()) this.#stopPlan?.abort("the hub stopped it");
      } catch {
        // The hub is away: the device keeps what it measures, and reports it with the next message.
      }
      await sleep(STATE_LEAST_MS, over).catch(() => {});
      const pause = new AbortController();
      await Promise.race([woken, sleep(STATE_MS, AbortSignal.any([over, pause.signal])).catch(() => {})]);
      pause.abort();
    }
  }

  /** Reports the progress to the hub; returns whether the hub wants the plan stopped. */
  async #send(timeout = 3000): Promise<boolean> {
    const request = {
      state: this.#state,
      now_ms: this.#options.now(),
      ...(this.#isStated ? {} : { statement: this.#statement }),
    };
    const answer = await this.#connection.request(subjects.state(this.#id), JSON.stringify(request), {
      timeout,
    });
    this.#isStated = true;
    return stateReply.parse(answer.json()).stop;
  }

  async #watchConnection(): Promise<void> {
    const { note, statement } = this.#options;
    for await (const { type } of this.#connection.status()) {
      if (type === "disconnect" && !this.#over.signal.aborted) {
        note("The hub is away; what is measured is kept here.");
      }
      if (type !== "reconnect") continue;
      note("The hub is back.");
      this.#statement = await statement();
      this.#isStated = false;
      this.#wake();
    }
  }
}

/** What a finished run lacks; null where it is complete. */
function problemOf(
  status: RunInfo["status"],
  stopped: AbortSignal,
  ended: string | undefined,
): EndRequest["problem"] {
  if (status === "failed") return { status: "failed", note: "no request succeeded" };
  if (stopped.aborted) return { status: "stopped", note: earlyNote(stopped) };
  return ended === undefined ? null : { status: "stopped", note: `it ended early: ${ended}`.slice(0, 500) };
}

const earlyNote = ({ reason }: AbortSignal) => `it ended early: ${reasonOf(reason)}`;
