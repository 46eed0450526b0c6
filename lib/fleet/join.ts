/** A device of a fleet: it joins once, then waits for plans, carries them out and sends what came of them. */
import { createUser } from "@nats-io/jwt";
import { jetstream, type JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/nats-core";
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import type { RunInfo } from "../bench/records.ts";
import type { Sleep } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import { boundedJson } from "../bounded_json.ts";
import type { PromptSet } from "../prompts/prompts.ts";
import { parseDocument } from "../text_file.ts";
import {
  type DeviceState,
  type DeviceStatement,
  FLEET_SCHEMA,
  type FleetPlan,
  fleetPlan,
  isDocumentKind,
  planId,
} from "./device.ts";
import type { SigningKey } from "./keys.ts";
import { signText } from "./keys.ts";
import { acceptPlan, requestsOf } from "./run_plan.ts";
import type { CarriedOut, PlanEvent } from "./session_plan.ts";
import { RunSender, type Sent } from "./send_run.ts";
import {
  connectHub,
  endReply,
  type EndRequest,
  type JoinLine,
  joinReply,
  PLANS,
  stateReply,
  subjects,
} from "./wire.ts";

const credentialsShape = z.object({
  url: z.string(),
  authority: z.string().nullable(),
  fleet: z.string(),
  jwt: z.string(),
  seed: z.string(),
});
/** What a device keeps of a hub that let it in. */
export type HubCredentials = z.infer<typeof credentialsShape>;

const fileOf = (state: string, url: string) =>
  join(state, "hubs", `${url.replace(/^wss?:\/\//, "").replaceAll(/[^\w.-]/g, "_")}.json`);

/**
 * A device's credentials for a hub: those that it has, else those that the hub gives for the line's code.
 *
 * @param state the folder of the device's key
 * @throws {UserError} exit code 1 where the hub can't be reached or doesn't let the device in
 */
export async function credentialsFor(
  line: JoinLine,
  { state, key, statement }: {
    readonly state: string;
    readonly key: SigningKey;
    readonly statement: DeviceStatement;
  },
): Promise<HubCredentials> {
  const path = fileOf(state, line.url);
  const text = await Deno.readTextFile(path).catch(() => null);
  if (text !== null) {
    const known = credentialsShape.parse(JSON.parse(text));
    if (line.authority === known.authority && await isGood(known, statement.id)) return known;
  }
  if (line.code === null) {
    throw new UserError(`${line.url}: give the whole line that the hub printed, with its code`);
  }
  const user = createUser();
  const nats_key = user.getPublicKey();
  const connection = await connectHub({ ...line, name: "join", credentials: null });
  try {
    const request = {
      code: line.code,
      key: key.publicKey,
      nats_key,
      signature: await signText(key, `${line.code} ${nats_key}`),
      statement,
    };
    const answer = await connection.request(subjects.join, JSON.stringify(request), { timeout: 30_000 })
      .catch(
        (error) => {
          throw new UserError(`the hub at ${line.url} doesn't answer: ${reasonOf(error)}`, 1, {
            cause: error,
          });
        },
      );
    const reply = joinReply.parse(answer.json());
    if ("error" in reply) throw new UserError(`the hub doesn't let this device in: ${reply.error}`, 1);
    const { url, authority } = line;
    const seed = new TextDecoder().decode(user.getSeed());
    const credentials = { url, authority, fleet: reply.fleet, jwt: reply.jwt, seed };
    await Deno.mkdir(join(state, "hubs"), { recursive: true });
    await replaceFile(path, `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 });
    return credentials;
  } finally {
    await connection.close();
  }
}

/** Whether a hub still takes these credentials; a hub that is away may. */
async function isGood({ url, authority, jwt, seed }: HubCredentials, device: string): Promise<boolean> {
  try {
    const connection = await connectHub({ url, authority, name: device, credentials: { jwt, seed } });
    await connection.close();
    return true;
  } catch (error) {
    return !/authorization/i.test(reasonOf(error));
  }
}

/** What a device keeps of a plan, so that a process after this one goes on with it. */
const planProgress = z.object({
  schema_version: z.literal(FLEET_SCHEMA),
  plan: fleetPlan,
  folder: z.string().nullable(),
  /** Processes that took it up. */
  attempts: z.number().int(),
  sent: z.object({ samples: z.number().int(), answers: z.number().int() }),
  /** What the hub made of it; null until then. */
  verdict: z.string().nullable(),
});
type PlanProgress = z.infer<typeof planProgress>;

/** So many processes may end over one plan, before it is given up. */
const MAX_ATTEMPTS = 100;
/** Between two words to the hub. */
const STATE_MS = 5000;
/** Least time between them, when something changed. */
const STATE_LEAST_MS = 500;
/** Between two words to the server that a plan is still worked on. */
const WORKING_MS = 10_000;
const WAIT_FOR_PLAN_MS = 5000;
/** Between two notes of how far a run was sent. */
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
  /** What the device states, each time it connects. */
  readonly statement: () => Promise<DeviceStatement>;
  readonly carryOut: CarryOut;
  readonly sleep: Sleep;
  readonly now: () => number;
  /** What a person at the device should read. */
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
  /** Ends after so many plans. */
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
  /** Said again with the next word: the first one, and after each new connection. */
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
  readonly #saying: Promise<void>;
  #carried = 0;

  constructor(options: DeviceOptions, statement: DeviceStatement, connection: NatsConnection) {
    this.#options = options;
    this.#statement = statement;
    this.#connection = connection;
    this.#saying = this.#sayHowFar();
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
    for (const progress of await this.#unfinished()) await this.#carry(progress, null);
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
    await this.#saying;
    // A last word, if the hub hears it: the device leaves.
    if (this.#state.doing === "running") this.#state = { ...this.#state, doing: "waiting" };
    await this.#say(500).catch(() => {});
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
    const known = await this.#progressOf(plan.data.id);
    if (known?.verdict !== undefined && known.verdict !== null) {
      message.ack();
      return;
    }
    const fresh = { attempts: 0, sent: { samples: 0, answers: 0 }, folder: null, verdict: null } as const;
    await this.#carry(known ?? { schema_version: FLEET_SCHEMA, plan: plan.data, ...fresh }, message);
    const ended = await this.#progressOf(plan.data.id);
    if (ended !== null && ended.verdict !== null) message.ack();
  }

  /** Carries a plan out, or goes on with it, until the hub has said what it makes of it. */
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
      await this.#save(progress);
      const verdict = await this.#through(progress);
      await this.#save({ ...await this.#progressOf(progress.plan.id) ?? progress, verdict: verdict.status });
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
    if (await this.#say().catch(() => false)) return await end("stopped", "it was stopped before it began");
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
    // A race begins anew, in another folder, so that nothing of it was sent yet.
    let kept: PlanProgress = plan.kind === "race"
      ? { ...progress, folder: null, sent: { samples: 0, answers: 0 } }
      : progress;
    try {
      const onFolder = async (folder: string) => {
        kept = { ...kept, folder };
        await this.#save(kept);
        if (isDocumentKind(plan.kind)) return;
        sender = this.#senderOf(kept, (sent) => this.#save(kept = { ...kept, sent }));
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
        // A session keeps what it has; a text that is read has nothing before its end.
        if (stopPlan.signal.aborted) throw new UserError(earlyNote(stopPlan.signal), 1, { cause: error });
        throw error;
      });
      over.abort();
      await following;
      signal.throwIfAborted();
      this.#change({ doing: "sending" });
      const last = sender ??
        this.#senderOf({ ...kept, folder }, (sent) => this.#save(kept = { ...kept, sent }));
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

  /** Tells of a plan that led to no run, until the hub has heard it. */
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

  async #sayHowFar(): Promise<void> {
    const { sleep } = this.#options;
    const over = this.#over.signal;
    while (!over.aborted) {
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      try {
        if (await this.#say()) this.#stopPlan?.abort("the hub stopped it");
      } catch {
        // The hub is away: what is measured is kept here, and it is told with the next word.
      }
      await sleep(STATE_LEAST_MS, over).catch(() => {});
      const pause = new AbortController();
      await Promise.race([woken, sleep(STATE_MS, AbortSignal.any([over, pause.signal])).catch(() => {})]);
      pause.abort();
    }
  }

  /** Says how far it is; whether the hub answers that the plan is to be stopped. */
  async #say(timeout = 3000): Promise<boolean> {
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

  #path(plan: string): string {
    return join(this.#options.state, "plans", this.#id, `${plan}.json`);
  }

  async #save(progress: PlanProgress): Promise<void> {
    const path = this.#path(progress.plan.id);
    await Deno.mkdir(join(this.#options.state, "plans", this.#id), { recursive: true });
    await replaceFile(path, `${JSON.stringify(progress)}\n`);
  }

  async #progressOf(plan: string): Promise<PlanProgress | null> {
    const path = this.#path(plan);
    const text = await Deno.readTextFile(path).catch(() => null);
    return text === null
      ? null
      : parseDocument(text, { schema: planProgress, newest: FLEET_SCHEMA, name: path });
  }

  async #unfinished(): Promise<PlanProgress[]> {
    const folder = join(this.#options.state, "plans", this.#id);
    const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name).catch(() => []);
    const all = await Promise.all(
      names.filter((name) => name.endsWith(".json")).map((name) =>
        this.#progressOf(name.replace(/\.json$/, ""))
      ),
    );
    return all.filter((one) => one !== null).filter(({ verdict }) => verdict === null);
  }
}

/** What a run that is over lacks; null for a whole one. */
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
