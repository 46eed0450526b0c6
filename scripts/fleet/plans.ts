/** deno task fleet run, status and stop: a fleet's plans and its progress. */
import { UserError } from "../../lib/errors.ts";
import { AWAY_MS } from "../../lib/fleet/device.ts";
import type { Fleet, FleetDevice } from "../../lib/fleet/fleet_folder.ts";
import { counted } from "../../lib/report/format.ts";
import { bareCommand, printJson, subcommand } from "../cli.ts";
import { option, type Shared, shared } from "../options.ts";
import { type FleetFlags, fleetOption, fleetsOption, requireFleet } from "./folder.ts";

export const runCommand = subcommand(
  bareCommand("fleet run", "Send a plan to devices; those that are away get it when they return")
    .argument(
      "<plan>",
      "JSON file with kind (bench, race, quality, capacity or fidelity), models, job and settings",
    )
    .addOptions([
      option("--on <tag>", "devices: a tag, a name, an id, or all").makeOptionMandatory(),
      fleetOption(),
      fleetsOption(),
      ...shared("json"),
    ])
    .addHelpText(
      "after",
      `
A plan, with the job beside it:
  { "kind": "bench", "models": ["smollm2-135m", "gemma-3-270m"], "job": "cases.json", "rounds": 2 }
Settings: rounds, warmup, max_tokens, temperature, seed, sampling_seed, prefix, concurrency, timeout_s; for a race
also by, delta, epsilon, budget; for capacity slo, within, think_s, search, max_users, requests; for fidelity block,
tokens, and the job is the text that both models read. A device refuses what goes beyond its own limits, and says so.`,
    ),
  async (path: string, { on, json, ...flags }: FleetFlags & Shared<"json"> & { on: string }) => {
    const folder = await requireFleet(flags);
    const { readFleet } = await import("../../lib/fleet/fleet_folder.ts");
    const { devicesOn, readPlan, sendPlan } = await import("../../lib/fleet/plans.ts");
    const { connectFleet } = await import("../../lib/fleet/open_hub.ts");
    const plan = await readPlan(path, new Date(), Math.random);
    const { devices } = await readFleet(folder);
    const chosen = devicesOn(devices, on);
    if (chosen.length === 0) {
      const tags = [...new Set(devices.flatMap(({ statement }) => statement.tags))].sort();
      throw new UserError(
        `--on ${on}: no device has it; there are ${devices.length} devices with ${tags.join(", ")}`,
      );
    }
    const connection = await connectFleet(folder);
    try {
      await sendPlan(connection, folder, { plan, on, devices: chosen.map(({ id }) => id) });
    } finally {
      await connection.close();
    }
    if (json) printJson({ plan: plan.id, devices: chosen.map(({ id }) => id) });
    else {
      const devices = counted(chosen.length, "device");
      console.log(`${plan.id} was sent to ${devices}. deno task fleet status shows how far they are.`);
    }
    return 0;
  },
);

export const stopCommand = subcommand(
  bareCommand("fleet stop", "Stop a plan: devices end it within seconds and keep what they have")
    .argument("[plan]", "its id, as deno task fleet status shows it (default: the latest)")
    .addOptions([fleetOption(), fleetsOption()]),
  async (named: string | undefined, flags: FleetFlags) => {
    const folder = await requireFleet(flags);
    const { readFleet } = await import("../../lib/fleet/fleet_folder.ts");
    const { markStopped } = await import("../../lib/fleet/hub.ts");
    const { plans } = await readFleet(folder);
    const wanted = named ?? plans.at(-1)?.plan.id;
    const found = plans.find(({ plan }) => plan.id === wanted);
    if (found === undefined) throw new UserError(`${wanted ?? "a plan"}: there is no such plan in ${folder}`);
    await markStopped(folder, found.plan.id);
    console.log(`${found.plan.id} is stopped: devices learn of it within seconds, or when they return.`);
    return 0;
  },
);

export const statusCommand = subcommand(
  bareCommand("fleet status", "Show the devices of a fleet, and how far its plans are")
    .addOptions([fleetOption(), fleetsOption(), ...shared("json")]),
  async ({ json, ...flags }: FleetFlags & Shared<"json">) => {
    const folder = await requireFleet(flags);
    const { readFleet } = await import("../../lib/fleet/fleet_folder.ts");
    const fleet = await readFleet(folder);
    if (json) {
      printJson({
        ...fleet,
        plans: fleet.plans.map(({ plan: { job, ...plan }, ...rest }) => ({
          ...rest,
          plan: { ...plan, job: { name: job.name, sha256: job.sha256 } },
        })),
        runs: fleet.runs.map(({ device, folder, info, ...rest }) => ({
          ...rest,
          folder,
          device: device.id,
          run: info.run_id,
        })),
      });
    } else console.log(await statusText(fleet));
    return 0;
  },
);

async function statusText({ name, devices, plans, runs }: Fleet): Promise<string> {
  const { fitTerminal, table } = await import("../terminal.ts");
  const now = Date.now();
  const rows = devices.map(({ statement: { id, name, machine }, state }) => [
    name === null ? id : `${name} (${id})`,
    doingOf(state, now),
    state === null || state.total === 0 ? "" : `${state.done}/${state.total}`,
    `${machine.ram_gb} GB`,
    `${machine.cpu}, ${machine.cores} cores`,
  ]);
  const fitted = (text: string) => fitTerminal(text, Deno.stdout, "  ");
  const planLines = plans.map(({ plan, devices, outcomes, stopped }) => {
    const counts = Map.groupBy(outcomes, ({ status }) => status);
    const ends = [...counts].map(([status, some]) => `${some.length} ${status}`).join(", ");
    const open = devices.length - outcomes.length;
    return `${plan.id}  ${plan.kind} of ${plan.models.join(", ")}, job ${plan.job.name}: ${
      ends === "" ? "" : `${ends}, `
    }${open} to come${stopped ? ", stopped" : ""}`;
  });
  const refused = plans.flatMap(({ outcomes }) => outcomes).filter(({ status }) => status === "refused");
  return [
    `Fleet ${name}: ${counted(devices.length, "device")}, ${
      counted(runs.filter(({ status }) => status === "complete").length, "whole run")
    }.`,
    ...(rows.length === 0 ? [] : [table(["device", "doing", "done", "memory", "machine"], rows)]),
    ...(plans.length === 0 ? ["No plan was sent: deno task fleet run PLAN --on all"] : planLines.map(fitted)),
    ...refused.map(({ device, plan, reasons }) =>
      fitted(`! ${device} refused ${plan}: ${reasons.join("; ")}`)
    ),
  ].join("\n");
}

function doingOf(state: FleetDevice["state"], now: number): string {
  if (state === null) return "joined";
  const doing = state.plan === null || state.doing === "waiting"
    ? state.doing
    : `${state.doing} ${state.plan}`;
  return now - Date.parse(state.heard_at) > AWAY_MS ? `away (was ${state.doing})` : doing;
}
