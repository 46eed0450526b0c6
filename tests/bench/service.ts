/** The resources of a session with one service: a fake endpoint in this process, and nothing else. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SessionResources } from "../../lib/bench/session.ts";
import { loadRegistry } from "../../lib/catalog/registry.ts";
import { openStore } from "../../lib/catalog/store.ts";
import type { FakeLogEntry } from "../../lib/selfcheck/fake_behaviour.ts";
import { UserError } from "../../lib/errors.ts";
import { skippingTime, startFake } from "../fake_endpoint.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
/** The project's own. */
export const registry = await loadRegistry(join(root, "models.json"));

/** Calls `run` with a service that has these models, and a folder for its runs that is gone afterwards. */
export async function withService(
  models: Record<string, object>,
  run: (
    resources: SessionResources,
    out: string,
    notes: readonly string[],
    requests: readonly FakeLogEntry[],
  ) => Promise<void>,
) {
  const { clock, sleep } = skippingTime();
  const fake = startFake({ models, strict: true }, clock);
  const out = await Deno.makeTempDir();
  const notes: string[] = [];
  try {
    await run(
      {
        clock,
        sleep,
        fetch,
        run: () => Promise.resolve(null),
        env: { get: (name) => name === "FOUNDRY_LOCAL_ENDPOINT" ? fake.baseUrl : undefined },
        denoPath: Deno.execPath(),
        registry,
        store: await openStore(join(out, "models")),
        signal: new AbortController().signal,
        download: ({ alias }) => Promise.reject(new UserError(`${alias} is not here`, 1)),
        note: (line) => notes.push(line),
      },
      out,
      notes,
      fake.log,
    );
  } finally {
    await fake.stop();
    await Deno.remove(out, { recursive: true });
  }
}
