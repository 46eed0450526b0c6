/** Capacity and fidelity through a fleet: real server, real model, the shipped way from plan to the hub's folder. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { LIMITS, simulatedDevice } from "../../benchmarks/fleet_devices.ts";
import { filesOf } from "../../lib/fleet/bundle.ts";
import type { DeviceLimits } from "../../lib/fleet/device.ts";
import { readFleet } from "../../lib/fleet/fleet_folder.ts";
import type { CarryOut } from "../../lib/fleet/serve_device.ts";
import { runPlan } from "../../lib/fleet/run_plan.ts";
import type { CarriedOut } from "../../lib/fleet/session_plan.ts";
import { sessionResources } from "../../scripts/session_resources.ts";
import { realModel } from "../engine/real_model.ts";
import { type TestHub, withHub } from "./hub.ts";

const signal = new AbortController().signal;
const NAMES = ["capacity.json", "fidelity.json", "samples.jsonl"] as const;
const kinds: DeviceLimits["kinds"] = ["capacity", "fidelity"];

/** What `fleet join` does with a plan; `change` is what a device that lies does with the result. */
function carriedOut(
  room: TestHub,
  maxRequests: number,
  change: (folder: string) => Promise<void> = () => Promise.resolve(),
): CarryOut {
  return async ({ signal, ...task }): Promise<CarriedOut> => {
    await realModel();
    const resources = await sessionResources({
      registry: "models.json",
      store: Deno.env.get("PODIUM_STORE"),
    });
    const run = { now: new Date(), random: Math.random, downloads: false, maxRequests };
    const out = join(room.home, "reports");
    const made = await runPlan({ ...task, ...run, out, resources: { ...resources, signal } });
    await change(made.folder);
    return made;
  };
}

/** One device carries a plan out; what came of it, and the files of both sides. */
async function through(
  room: TestHub,
  plan: object,
  { limits = {}, change }: { limits?: Partial<DeviceLimits>; change?: (folder: string) => Promise<void> } =
    {},
) {
  const allowed = { ...LIMITS, kinds, ...limits };
  const name = `device-${crypto.randomUUID().slice(0, 4)}`;
  const carryOut = carriedOut(room, allowed.max_requests, change);
  const machine = { cores: 4, ramGb: 7.6, requestMs: () => 1 };
  const device = await simulatedDevice({
    home: join(room.home, name),
    name,
    ...machine,
    limits: allowed,
    carryOut,
  });
  const serving = device.serve(room.hub.newJoinLine(1), signal);
  const { id } = device.statement;
  await room.until(
    "it joined",
    async () => (await readFleet(room.folder)).devices.some(({ statement }) => statement.id === id),
  );
  const sent = await room.send([id], { rounds: undefined, warmup: undefined, ...plan });
  await serving;
  const { plans } = await readFleet(room.folder);
  const outcome = plans.find(({ plan }) => plan.id === sent)?.outcomes[0];
  assert.ok(outcome !== undefined);
  const run = outcome.run ?? "none";
  return {
    outcome,
    here: join(room.folder, "devices", id, run),
    own: await filesOf(join(room.home, "reports", run), NAMES),
    copied: await filesOf(join(room.folder, "devices", id, run), NAMES),
  };
}

const small = {
  kind: "capacity",
  models: ["smollm2-135m"],
  max_tokens: 2,
  warmup: 1,
  slo: { ttft_s: null, e2e_s: 60 },
  within: 0.5,
  think_s: 0,
  search: "users",
  max_users: 2,
  requests: 16,
} as const;

Deno.test("capacity: the document and its samples arrive byte for byte; limits hold, and a lie is refused", () =>
  withHub(async (room) => {
    const whole = await through(room, small);
    assert.deepEqual([whole.outcome.status, whole.outcome.reasons], ["complete", []]);
    assert.deepEqual(whole.copied, whole.own);
    assert.deepEqual(whole.own.map(({ name }) => name), ["capacity.json", "samples.jsonl"]);
    const report = JSON.parse(await Deno.readTextFile(join(whole.here, "capacity.json")));
    assert.equal(report.candidates[0].users.best, 2);

    const cut = await through(room, small, { limits: { max_requests: 30 } });
    assert.match(cut.outcome.reasons.join(), /the device allows 30 requests/);
    assert.equal(cut.outcome.status, "stopped");
    const requests = (await Deno.readTextFile(join(cut.here, "samples.jsonl"))).trim().split("\n").length;
    assert.ok(requests <= 30, `${requests} requests`);

    const beyond = await through(room, small, { limits: { max_requests: 10 } });
    assert.match(beyond.outcome.reasons.join(), /and this device allows 10/);

    const lie = await through(room, small, {
      change: async (folder) => {
        const path = join(folder, "capacity.json");
        const text = await Deno.readTextFile(path);
        await Deno.writeTextFile(path, text.replaceAll(/"n": \d+/g, '"n": 4000'));
      },
    });
    assert.equal(lie.outcome.status, "refused");
    assert.match(lie.outcome.reasons.join(), /counts: smollm2.*4000 requests/);
  }));

Deno.test("fidelity: the document arrives byte for byte; one about another text is refused", () =>
  withHub(async (room) => {
    const text = await Deno.readTextFile("prompts/fidelity.txt");
    await Deno.writeTextFile(join(room.home, "letters.txt"), text.slice(0, 1500));
    const plan = {
      kind: "fidelity",
      models: ["smollm2-135m", "smollm2-135m:kv=q4_0"],
      job: "letters.txt",
      block: 64,
      tokens: 128,
    } as const;
    const whole = await through(room, plan);
    assert.deepEqual([whole.outcome.status, whole.outcome.reasons], ["complete", []]);
    assert.deepEqual(whole.copied, whole.own);
    const report = JSON.parse(await Deno.readTextFile(join(whole.here, "fidelity.json")));
    assert.ok(report.text.kl_mean.value > 0 && report.text.blocks === 2);
    const other = await through(room, plan, {
      change: async (folder) => {
        const path = join(folder, "fidelity.json");
        const text = await Deno.readTextFile(path);
        await Deno.writeTextFile(path, text.replace(/"sha256": "\w+"/, `"sha256": "${"0".repeat(64)}"`));
      },
    });
    assert.equal(other.outcome.status, "refused");
    assert.match(other.outcome.reasons.join(), /another text/);
  }));
