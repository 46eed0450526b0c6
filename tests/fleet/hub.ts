/** A hub on the real NATS server, in the test's own process: the server is found, or brought by pip, as for a user. */
import { dirname, join } from "node:path";
import { defaultStore } from "../../lib/catalog/store.ts";
import type { HubEvent, HubOptions } from "../../lib/fleet/hub.ts";
import { findServer } from "../../lib/fleet/nats_server.ts";
import { type OpenHub, openHub } from "../../lib/fleet/open_hub.ts";
import { freePort, runProgram } from "../../lib/program.ts";
import { sendPlanTo } from "../../benchmarks/fleet_devices.ts";
import { realSleep } from "../../scripts/cli.ts";

export const sleep = realSleep;

export const program = await findServer({
  run: runProgram,
  fetch,
  clock: () => performance.now(),
  sleep,
  signal: new AbortController().signal,
  folder: join(dirname(defaultStore(Deno.env, Deno.build.os)), "bin"),
  note: () => {},
});

export interface TestHub {
  readonly hub: OpenHub;
  /** The test's folder, and the fleet's in it. */
  readonly home: string;
  readonly folder: string;
  readonly events: HubEvent[];
  /** Sends a plan for the models `fast` and `slow` to these devices. */
  send(devices: readonly string[], change?: object): Promise<string>;
  /** Resolves when the condition holds, checked every 50 ms for 20 s. */
  until(what: string, holds: () => boolean | Promise<boolean>): Promise<void>;
}

export async function withHub(
  test: (room: TestHub) => Promise<void>,
  { tls = false, ...more }: { tls?: boolean } & Pick<HubOptions, "append" | "waitingBytes"> = {},
): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "podium-hub-" });
  const folder = join(home, "fleet", "test");
  const events: HubEvent[] = [];
  const port = freePort();
  const hub = await openHub({
    folder,
    name: "test",
    server: {
      kind: "own",
      program,
      address: { host: "127.0.0.1", port, tls },
      publicHost: "127.0.0.1",
      names: { addresses: ["127.0.0.1"], names: [] },
    },
    now: () => new Date(),
    sleep,
    note: () => {},
    onEvent: (event) => events.push(event),
    ...more,
  });
  try {
    await test({
      hub,
      home,
      folder,
      events,
      send: (devices, change = {}) =>
        sendPlanTo(folder, devices, { home, prompts: 3, models: ["fast", "slow"], rounds: 2, ...change }),
      async until(what, holds) {
        for (let tries = 0; !await holds(); tries++) {
          if (tries > 400) throw new Error(`in vain: ${what}; ${JSON.stringify(events.slice(-5))}`);
          await sleep(50);
        }
      },
    });
  } finally {
    await hub.stop();
    await Deno.remove(home, { recursive: true });
  }
}
