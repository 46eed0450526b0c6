/** deno task fleet join: makes this machine a device of a fleet. */
import { join } from "node:path";
import { InvalidArgumentError } from "commander";
import { type DeviceLimits, type DeviceStatement, planKinds } from "../../lib/fleet/device.ts";
import { bareCommand, interruptSignal, realSleep, subcommand } from "../cli.ts";
import { decimal, option, type Shared, shared, wholeNumber } from "../options.ts";
import { keyOf, nameOption, stateFolder, stateOption, tagOption } from "./state.ts";

interface JoinSettings extends Shared<"maxTokens" | "registry" | "store" | "out"> {
  readonly name?: string;
  readonly tag?: readonly string[];
  readonly kinds: DeviceLimits["kinds"];
  readonly allowDownloads?: boolean;
  readonly maxRequests: number;
  readonly maxMinutes: number;
  readonly plans?: number;
  readonly state?: string;
}

const command = bareCommand(
  "fleet join",
  "Make this machine a device: wait for plans, carry them out, send the results",
)
  .argument("<address>", "what the hub printed: wss://HOST:PORT/#CODE.KEY")
  .addOptions([
    nameOption(),
    tagOption(),
    option("--kinds <list>", "what plans may do", kindList).default([...planKinds], planKinds.join(",")),
    option("--allow-downloads", "let plans download models of this machine's registry"),
    option("--max-requests <n>", "largest number of requests in a plan", wholeNumber(1, 1e6), 5000),
    option(
      "--max-tokens <n>",
      "longest answer that a plan may request, in tokens",
      wholeNumber(1, 1e6),
      2048,
    ),
    option(
      "--max-minutes <n>",
      "longest time that a plan may take, in minutes",
      decimal({ above: 0, max: 10_000 }),
      120,
    ),
    option("--plans <n>", "leave after this many plans", wholeNumber(1)),
    stateOption(),
    ...shared("registry", "store", "out"),
  ])
  .addHelpText(
    "after",
    `
The hub learns this machine's processor, memory, graphics and system, its models and versions, the name and tags that you
give, and what plans measure: samples, prompts and answers. It learns no host name, user or folder.
A plan names models of this machine's registry or services and carries its job. It can't run code or read files here.
Every run is written to --out first, like any run; Ctrl-C keeps it, and joining again continues it.`,
  );

function kindList(text: string): DeviceLimits["kinds"] {
  return text.split(",").map((word) => {
    const kind = planKinds.find((one) => one === word.trim());
    if (kind !== undefined) return kind;
    throw new InvalidArgumentError(`Give some of ${planKinds.join(", ")}, separated by commas.`);
  });
}

export const joinCommand = subcommand(command, async (address: string, settings: JoinSettings) => {
  const { parseJoinLine } = await import("../../lib/fleet/wire.ts");
  const line = parseJoinLine(address);
  const { credentialsFor } = await import("../../lib/fleet/join.ts");
  const { serveDevice } = await import("../../lib/fleet/serve_device.ts");
  const { runPlan } = await import("../../lib/fleet/run_plan.ts");
  const { stateDevice } = await import("../../lib/fleet/state_device.ts");
  const { idOfKey } = await import("../../lib/fleet/keys.ts");
  const { sessionResources } = await import("../session_resources.ts");
  const signal = interruptSignal();
  const state = stateFolder(settings.state);
  const key = await keyOf(state);
  const resources = await sessionResources(settings);
  const limits: DeviceLimits = {
    kinds: settings.kinds,
    downloads: settings.allowDownloads === true,
    max_requests: settings.maxRequests,
    max_tokens: settings.maxTokens,
    max_minutes: settings.maxMinutes,
  };
  const id = await idOfKey(key.publicKey);
  const { name = null, tag: tags = [] } = settings;
  const statement = () => stateDevice({ id, name, tags, limits, os: Deno.build.os }, resources);
  const stated = await statement();
  console.error(deviceLine(stated));
  const credentials = await credentialsFor(line, { state, key, statement: stated });
  console.error(`Joined ${credentials.fleet} at ${line.url}; waiting for plans. Ctrl-C leaves.`);
  await serveDevice({
    credentials,
    state,
    statement,
    sleep: realSleep,
    now: () => Date.now(),
    note: (text) => console.error(text),
    signal,
    ...(settings.plans === undefined ? {} : { plans: settings.plans }),
    carryOut: ({ signal, ...task }) =>
      runPlan({
        ...task,
        resources: { ...resources, signal },
        out: settings.out,
        now: new Date(),
        random: Math.random,
        downloads: limits.downloads,
        maxRequests: limits.max_requests,
      }),
  });
  console.error(`Left. Runs are in ${join(settings.out)}.`);
  return 0;
});

function deviceLine({ id, name, machine, tags, models }: DeviceStatement): string {
  const here = models.filter(({ here }) => here).length;
  return `This device is ${id}${
    name === null ? "" : ` (${name})`
  }: ${machine.cpu}, ${machine.cores} cores, ` +
    `${machine.ram_gb} GB, tags ${tags.join(", ")}; ${here} of ${models.length} models are here.`;
}
