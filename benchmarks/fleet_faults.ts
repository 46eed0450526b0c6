/**
 * What a device measured must arrive once, whatever dies or sleeps on the way. This runs the shipped
 * hub and devices as processes, over the real NATS server, kills them at random, cuts the network,
 * and then compares every byte.
 *
 *   deno task bench:fleet-faults                100 kills
 *   deno task bench:fleet-faults --kills 10 --seed 7
 */
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import project from "../deno.json" with { type: "json" };
import { readSamples } from "../lib/bench/read_run.ts";
import { readFleet } from "../lib/fleet/fleet_folder.ts";
import { freePort } from "../lib/program.ts";
import { seededRandom } from "../lib/stats/random.ts";
import { bareCommand, printJson, realSleep, runTask } from "../scripts/cli.ts";
import { option, shared, wholeNumber } from "../scripts/options.ts";
import { startFakeProcess } from "../lib/selfcheck/fake_process.ts";
import { sendPlanTo } from "./fleet_devices.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

export interface FleetFaultOptions {
  readonly kills: number;
  readonly devices: number;
  readonly seed: number;
}

/** What a run of faults found. Everything but `kills` and `seconds` must be as planned. */
export interface FleetFaults {
  readonly kills: Readonly<Record<string, number>>;
  readonly devices: number;
  readonly planned_per_device: number;
  /** Requests of the plan that the hub lacks, and that it has more than once. */
  readonly lost: number;
  readonly doubled: number;
  /** Files that are not the device's own, byte for byte. */
  readonly different: readonly string[];
  readonly complete: number;
  readonly refused: readonly string[];
  readonly seconds: number;
}

const PROMPTS = 5;
/** Several models per block: a device watches the machine for a moment after each. */
const MODELS = ["one", "two", "three", "four"];

/** @throws {Error} where a device doesn't end in time */
export async function faultRun({ kills, devices, seed }: FleetFaultOptions): Promise<FleetFaults> {
  const folder = await Deno.makeTempDir({ prefix: "podium-faults-" });
  const room = new Room(folder, devices);
  const random = seededRandom(`faults ${seed}`);
  const startMs = performance.now();
  try {
    await room.open();
    // About as long as the kills take: a block takes half a second, and a strike comes every 0.6 s.
    const rounds = Math.ceil((20 + 1.5 * kills) / PROMPTS);
    const planned = rounds * PROMPTS * MODELS.length;
    await room.send(rounds);
    const done: Record<string, number> = {};
    for (let count = 0; count < kills && room.isBusy; count++) {
      await realSleep(150 + 900 * random());
      const what = await room.strike(random);
      done[what] = (done[what] ?? 0) + 1;
    }
    await room.ended(120_000);
    return {
      kills: done,
      devices,
      planned_per_device: planned,
      ...await room.compare(planned),
      seconds: Math.round((performance.now() - startMs) / 1000),
    };
  } finally {
    await room.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** A hub, its devices and the network between them. */
class Room {
  readonly #fleet: string;
  readonly #network = new Network();
  readonly #devices: DeviceProcess[];
  #hub: Deno.ChildProcess | null = null;
  #port = 0;
  #fake: AsyncDisposable | null = null;
  #isClosed = false;

  constructor(readonly folder: string, devices: number) {
    this.#fleet = join(folder, "fleet", "faults");
    this.#devices = Array.from({ length: devices }, (_, at) => new DeviceProcess(join(folder, `d${at}`)));
  }

  get isBusy(): boolean {
    return this.#devices.some(({ isOver }) => !isOver);
  }

  async open(): Promise<void> {
    const models = Object.fromEntries(MODELS.map((name) => [name, { ttftMs: 12, itlMs: 2, tokens: 6 }]));
    const fake = this.#fake = await startFakeProcess({ models });
    this.#port = freePort();
    this.#hub = this.#startHub("piped");
    const { join: line } = JSON.parse(await firstDocument(this.#hub.stdout));
    this.#network.open(this.#port);
    const through = line.replace(`:${this.#port}/`, `:${this.#network.port}/`);
    await Promise.all(this.#devices.map((device) => device.open(through, fake.baseUrl)));
  }

  #startHub(stdout: "piped" | "null"): Deno.ChildProcess {
    return fleet(
      ["hub", "--fleet", "faults", "--fleets", join(this.folder, "fleet"), "--port", String(this.#port)]
        .concat(["--tls", "on", "--admit", String(this.#devices.length), "--json"]),
      { stdout, log: join(this.folder, "hub.log") },
    );
  }

  async send(rounds: number): Promise<void> {
    const { devices } = await readFleet(this.#fleet);
    const plan = { home: this.folder, prompts: PROMPTS, models: MODELS, rounds, max_tokens: 8 };
    await sendPlanTo(this.#fleet, devices.map(({ statement }) => statement.id), plan);
  }

  async strike(random: () => number): Promise<string> {
    const kind = random();
    if (kind < 0.2) {
      this.#hub?.kill("SIGKILL");
      await this.#hub?.status;
      this.#hub = this.#startHub("null");
      return "hub";
    }
    if (kind < 0.4) {
      await this.#killServer();
      return "server";
    }
    if (kind < 0.6) {
      this.#network.cut(300 + 1500 * random());
      return "network";
    }
    const alive = this.#devices.filter(({ isOver }) => !isOver);
    const device = alive[Math.floor(random() * alive.length)];
    if (kind < 0.7 && Deno.build.os !== "windows") {
      await device?.sleep(1000 + 2000 * random());
      return "sleep";
    }
    await device?.killAndRestart();
    return "device";
  }

  async ended(ms: number): Promise<void> {
    const untilMs = performance.now() + ms;
    while (this.isBusy && performance.now() < untilMs) await realSleep(100);
    if (!this.isBusy) return;
    const told = await Promise.all(this.#devices.map(({ tail }) => tail()));
    throw new Error(
      `devices did not end in time:\n${told.join("\n---\n")}\n--- hub\n${await tailOf(
        join(this.folder, "hub.log"),
      )}`,
    );
  }

  async compare(planned: number) {
    const { runs, plans } = await readFleet(this.#fleet);
    const [seen, different]: [Map<string, number>, string[]] = [new Map(), []];
    for (const { folder, device, info } of runs) {
      for await (const record of readSamples(folder)) {
        if (record.kind !== "request" || record.phase !== "timed") continue;
        const id = `${device.id} ${record.id}`;
        seen.set(id, (seen.get(id) ?? 0) + 1);
      }
      const own = this.#devices.map(({ home }) => join(home, "reports", info.run_id));
      for (const name of ["run.json", "samples.jsonl", "answers.jsonl"]) {
        const copy = await Deno.readTextFile(join(folder, name));
        const originals = await Promise.all(
          own.map((path) => Deno.readTextFile(join(path, name)).catch(() => null)),
        );
        if (!originals.includes(copy)) different.push(`${device.id}/${info.run_id}/${name}`);
      }
    }
    // A disturbed block is made up for under another id: those that were planned have four parts.
    const first = [...seen.keys()].filter((id) => id.split("/").length === 4);
    return {
      lost: planned * this.#devices.length - first.length,
      doubled: [...seen.values()].filter((count) => count > 1).length,
      different,
      complete: runs.filter(({ status }) => status === "complete").length,
      refused: plans.flatMap(({ outcomes }) => outcomes).filter(({ status }) => status !== "complete")
        .map(({ device, reasons }) => `${device}: ${reasons.join("; ")}`),
    };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#network.close();
    await Promise.all(this.#devices.map((device) => device.close()));
    if (this.#hub !== null) {
      // In good order, so that it ends its server.
      this.#hub.kill("SIGTERM");
      const late = setTimeout(() => this.#hub?.kill("SIGKILL"), 5000);
      await this.#hub.status;
      clearTimeout(late);
    }
    await this.#killServer();
    await this.#fake?.[Symbol.asyncDispose]();
  }

  async #killServer(): Promise<void> {
    const path = join(this.#fleet, "hub", "server", "nats.pid");
    const pid = Number(await Deno.readTextFile(path).catch(() => ""));
    if (pid > 1) signal(pid, "SIGKILL");
  }
}

/** A device as a process, which can be killed at any moment. */
class DeviceProcess {
  isOver = false;
  #child: Deno.ChildProcess | null = null;
  #start: () => Deno.ChildProcess = () => {
    throw new Error("not open yet");
  };

  constructor(readonly home: string) {}

  readonly tail = () => tailOf(join(this.home, "log"));

  async open(line: string, baseUrl: string): Promise<void> {
    await Deno.mkdir(this.home, { recursive: true });
    this.#start = () =>
      fleet(
        ["join", line, "--state", join(this.home, "state"), "--out", join(this.home, "reports")]
          .concat(["--plans", "1", "--max-requests", "100000"]),
        {
          stdout: "null",
          log: join(this.home, "log"),
          env: { FOUNDRY_LOCAL_ENDPOINT: baseUrl, PODIUM_STORE: join(this.home, "models") },
        },
      );
    this.#run();
    for (let waited = 0; !(await this.tail()).includes("waiting for plans"); waited++) {
      if (waited > 300) throw new Error(`a device did not join: ${await this.tail()}`);
      await realSleep(100);
    }
  }

  async killAndRestart(): Promise<void> {
    const child = this.#child;
    if (child === null || this.isOver) return;
    this.#child = null;
    signal(child.pid, "SIGKILL");
    await child.status;
    this.#run();
  }

  /** As a laptop whose lid was closed: nothing of it runs for so long. */
  async sleep(ms: number): Promise<void> {
    const child = this.#child;
    if (child === null || this.isOver) return;
    signal(child.pid, "SIGSTOP");
    await realSleep(ms);
    signal(child.pid, "SIGCONT");
  }

  async close(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    signal(child.pid, "SIGKILL");
    await child.status;
  }

  #run(): void {
    const child = this.#child = this.#start();
    void child.status.then(({ code }) => {
      // One that ends by itself is done with its plan; one that was killed is not the current one any more.
      if (this.#child === child && code === 0) this.isOver = true;
    });
  }
}

/** The network between devices and hub: a relay that can be cut. */
class Network {
  port = 0;
  #listener: Deno.TcpListener | null = null;
  readonly #open = new Set<Deno.TcpConn>();
  #cutUntilMs = 0;

  open(target: number): void {
    const listener = this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = listener.addr.port;
    void (async () => {
      for await (const near of listener) void this.#relay(near, target);
    })().catch(() => {});
  }

  cut(ms: number): void {
    this.#cutUntilMs = performance.now() + ms;
    for (const connection of this.#open) shut(connection);
  }

  close(): void {
    this.#listener?.close();
    for (const connection of this.#open) shut(connection);
  }

  async #relay(near: Deno.TcpConn, target: number): Promise<void> {
    if (performance.now() < this.#cutUntilMs) return shut(near);
    try {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: target });
      this.#open.add(near).add(far);
      await Promise.race(
        [near.readable.pipeTo(far.writable), far.readable.pipeTo(near.writable)].map((one) =>
          one.catch(() => {})
        ),
      );
      for (const one of [near, far]) {
        shut(one);
        this.#open.delete(one);
      }
    } catch {
      shut(near);
    }
  }
}

function shut(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch {
    // It ended by itself.
  }
}

/** Those of the task. */
const V8_FLAGS = /--v8-flags=\S+/.exec(project.tasks.fleet.command)?.[0] ?? "";

/** A fleet command as a process; what it says goes to a file. */
function fleet(
  args: readonly string[],
  { stdout, log, env = {} }: { stdout: "piped" | "null"; log: string; env?: Record<string, string> },
): Deno.ChildProcess {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", V8_FLAGS, "scripts/fleet.ts", ...args],
    cwd: root,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout,
    stderr: "piped",
  }).spawn();
  void (async () => {
    for await (const piece of child.stderr) Deno.writeFileSync(log, piece, { append: true });
  })().catch(() => {});
  return child;
}

/** The shipped hub as a process of its own, and its first join line. */
export async function hubProcess(
  { folder, port, admit, log }: { folder: string; port: number; admit: number; log: string },
) {
  const place = ["--fleet", basename(folder), "--fleets", dirname(folder)];
  const child = fleet(["hub", ...place, "--port", String(port), "--admit", String(admit), "--json"], {
    stdout: "piped",
    log,
  });
  const { join: line } = JSON.parse(await firstDocument(child.stdout));
  return {
    line: String(line),
    pid: child.pid,
    serverPid: Number(await Deno.readTextFile(join(folder, "hub", "server", "nats.pid"))),
    async stop() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

const tailOf = async (path: string) => (await Deno.readTextFile(path).catch(() => "")).slice(-2000);

/** The JSON document that a process prints first. */
async function firstDocument(stream: Deno.ChildProcess["stdout"]): Promise<string> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.trimEnd().endsWith("}")) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`a process ended before it said where it listens: ${text}`);
    text += value;
  }
  void (async () => {
    while (!(await reader.read()).done);
  })().catch(() => {});
  return text;
}

if (import.meta.main) {
  const command = bareCommand("bench:fleet-faults")
    .addOptions([
      option("--kills <n>", "processes to kill", wholeNumber(1, 10_000), 100),
      option("--devices <n>", "devices", wholeNumber(1, 20), 4),
      ...shared("seed", "json"),
    ]);
  await runTask(command, async ({ kills, devices, seed, json }: FleetFaultOptions & { json?: boolean }) => {
    const report = await faultRun({ kills, devices, seed });
    const { lost, doubled, different, complete, refused, planned_per_device, seconds } = report;
    if (json) printJson(report);
    else {
      const struck = Object.entries(report.kills).map(([what, count]) => `${what} ${count}`).join(", ");
      console.log(
        `Struck: ${struck}; ${devices} devices with ${planned_per_device} requests each, ${seconds} s.`,
      );
      console.log(
        `Lost ${lost}, doubled ${doubled}, different files ${different.length}, whole runs ${complete}.`,
      );
      for (const reason of refused) console.log(`! ${reason}`);
    }
    return lost === 0 && doubled === 0 && different.length === 0 && complete === devices ? 0 : 1;
  });
}
