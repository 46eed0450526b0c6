/** A device's reports to its hub: what it is, after each connection, and how far it is with a plan. */
import type { NatsConnection } from "@nats-io/nats-core";
import type { Sleep } from "../clock.ts";
import type { DeviceState, DeviceStatement } from "./device.ts";
import type { PlanEvent } from "./session_plan.ts";
import { stateReply, subjects } from "./wire.ts";

/** Longest time between two reports. */
const MOST_MS = 5000;
/** Shortest time between two reports. */
const LEAST_MS = 500;

/** What reports need of the device. */
export interface DeviceReportOptions {
  /** The device's statement, made anew for each connection. */
  readonly statement: () => Promise<DeviceStatement>;
  readonly sleep: Sleep;
  readonly now: () => number;
  /** Shows a line to the person at the device. */
  readonly note: (line: string) => void;
}

/** Reports each change soon, and otherwise now and then, until it is closed. */
export class DeviceReports {
  readonly #options: DeviceReportOptions;
  readonly #connection: NatsConnection;
  readonly #onStop: () => void;
  #statement: DeviceStatement;
  /** Whether the hub has the statement; it gets it with the first report and after each new connection. */
  #isStated = false;
  #state: Omit<DeviceState, "heard_at" | "clock_off_s"> = {
    doing: "waiting",
    plan: null,
    done: 0,
    total: 0,
    note: null,
  };
  #wake: () => void = () => {};
  readonly #over = new AbortController();
  readonly #reporting: Promise<void>;

  /** @param onStop the hub wants the plan stopped */
  constructor(
    options: DeviceReportOptions,
    statement: DeviceStatement,
    connection: NatsConnection,
    onStop: () => void,
  ) {
    this.#options = options;
    this.#statement = statement;
    this.#connection = connection;
    this.#onStop = onStop;
    this.#reporting = this.#report();
    void this.#watchConnection();
  }

  get statement(): DeviceStatement {
    return this.#statement;
  }

  /** A plan comes next; returns whether the hub has stopped it already. False where the hub is away. */
  async announce(plan: string): Promise<boolean> {
    this.#state = { ...this.#state, plan };
    return await this.#send().catch(() => false);
  }

  change(change: Partial<DeviceState>): void {
    this.#state = { ...this.#state, ...change };
    this.#state.total = Math.max(this.#state.total, this.#state.done);
    this.#wake();
  }

  /** Counts what an event adds to the plan's requests. */
  count(event: PlanEvent): void {
    if (event.kind === "made") return this.change({ done: event.requests });
    if (event.kind === "begin") {
      this.change({ done: [...event.done].filter((id) => id.startsWith("timed/")).length });
    }
    if (event.kind === "disturbed") this.change({ total: this.#state.total + event.repeated });
    if (event.kind === "request" && event.phase === "timed") this.change({ done: this.#state.done + 1 });
  }

  async close(): Promise<void> {
    this.#over.abort();
    this.#wake();
    await this.#reporting;
    // The last message, if it reaches the hub: the device leaves.
    if (this.#state.doing === "running") this.#state = { ...this.#state, doing: "waiting" };
    await this.#send(500).catch(() => {});
  }

  async #report(): Promise<void> {
    const { sleep } = this.#options;
    const over = this.#over.signal;
    while (!over.aborted) {
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      try {
        if (await this.#send()) this.#onStop();
      } catch {
        // The hub is away: the device keeps what it measures, and reports it with the next message.
      }
      await sleep(LEAST_MS, over).catch(() => {});
      const pause = new AbortController();
      await Promise.race([woken, sleep(MOST_MS, AbortSignal.any([over, pause.signal])).catch(() => {})]);
      pause.abort();
    }
  }

  /** Returns whether the hub wants the plan stopped. */
  async #send(timeout = 3000): Promise<boolean> {
    const request = {
      state: this.#state,
      now_ms: this.#options.now(),
      ...(this.#isStated ? {} : { statement: this.#statement }),
    };
    const subject = subjects.state(this.#statement.id);
    const answer = await this.#connection.request(subject, JSON.stringify(request), { timeout });
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
