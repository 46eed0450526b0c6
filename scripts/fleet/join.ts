/** deno task fleet join: makes this machine a device of a fleet. */
import { join } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { UserError } from "../../lib/errors.ts";
import { type DeviceLimits, planKinds } from "../../lib/fleet/device.ts";
import {
  bareCommand,
  decimal,
  interruptSignal,
  outOption,
  realSleep,
  registryOption,
  storeOption,
  wholeNumber,
} from "../cli.ts";
import { keyOf, nameOption, stateFolder, stateOption, tagOption } from "./state.ts";

interface JoinSettings {
  readonly name?: string;
  readonly tag?: readonly string[];
  readonly kinds: DeviceLimits["kinds"];
  readonly allowDownloads: boolean;
  readonly maxRequests: number;
  readonly maxTokens: number;
  readonly maxMinutes: number;
  readonly plans?: number;
  readonly state?: string;
  readonly registry: string;
  readonly store?: string;
  readonly out: string;
}

function command() {
  return bareCommand(
    "fleet join",
    "Make this machine a device: wait for plans, carry them out, send the results",
  )
    .argument("<address>", "what the hub printed: wss://HOST:PORT/#CODE.KEY")
    .addOption(nameOption())
    .addOption(tagOption())
    .addOption(
      new Option("--kinds <list>", "what plans may do").default([...planKinds], planKinds.join(","))
        .argParser(
          kindList,
        ),
    )
    .addOption(
      new Option("--allow-downloads", "let plans download models of this machine's registry").default(false),
    )
    .addOption(
      new Option("--max-requests <n>", "largest number of requests in a plan").default(5000).argParser(
        wholeNumber(1, 1e6),
      ),
    )
    .addOption(
      new Option("--max-tokens <n>", "longest answer that a plan may request, in tokens").default(2048)
        .argParser(wholeNumber(1, 1e6)),
    )
    .addOption(
      new Option("--max-minutes <n>", "longest time that a plan may take, in minutes").default(120).argParser(
        decimal({ above: 0, max: 10_000 }),
      ),
    )
    .addOption(new Option("--plans <n>", "leave after this many plans").argParser(wholeNumber(1)))
    .addOption(stateOption())
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(outOption())
    .addHelpText(
      "after",
      `
The hub learns this machine's processor, memory, graphics and system, its models and versions, the name and tags that you
give, and what plans measure: samples, prompts and answers. It learns no host name, user or folder.
A plan names models of this machine's registry or services and carries its job. It can't run code or read files here.
Every run is written to --out first, like any run; Ctrl-C keeps it, and joining again continues it.`,
    );
}

function kindList(text: string): DeviceLimits["kinds"] {
  return text.split(",").map((word) => {
    const kind = planKinds.find((one) => one === word.trim());
    if (kind !== undefined) return kind;
    throw new InvalidArgumentError(`Give some of ${planKinds.join(", ")}, separated by commas.`);
  });
}

export async function joinCommand(args: readonly string[]): Promise<number> {
  const parsed = command();
  await parsed.parseAsync([...args], { from: "user" });
  const settings = parsed.opts<JoinSettings>();
  const [address] = parsed.args;
  if (address === undefined) throw new UserError("give the address that the hub printed");
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
    downloads: settings.allowDownloads,
    max_requests: settings.maxRequests,
    max_tokens: settings.maxTokens,
    max_minutes: settings.maxMinutes,
  };
  const id = await idOfKey(key.publicKey);
  const { name = null, tag: tags = [] } = settings;
  const statement = () => stateDevice({ id, name, tags, limits, os: Deno.build.os }, resources);
  const stated = await statement();
  const { machine, models } = stated;
  console.error(
    `This device is ${id}${name === null ? "" : ` (${name})`}: ${machine.cpu}, ${machine.cores} cores, ` +
      `${machine.ram_gb} GB, tags ${stated.tags.join(", ")}; ${
        models.filter(({ here }) => here).length
      } of ` +
      `${models.length} models are here.`,
  );
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
}
