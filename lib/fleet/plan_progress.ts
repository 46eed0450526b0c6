/** The plans of a device on disk, so that its next process can continue them. */
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { parseDocument } from "../text_file.ts";
import { FLEET_SCHEMA, fleetPlan } from "./device.ts";

/** How far a device is with a plan. */
const planProgress = z.object({
  schema_version: z.literal(FLEET_SCHEMA),
  plan: fleetPlan,
  folder: z.string().nullable(),
  /** Processes that have worked on it. */
  attempts: z.number().int(),
  sent: z.object({ samples: z.number().int(), answers: z.number().int() }),
  /** The hub's verdict; null until it has given one. */
  verdict: z.string().nullable(),
});
export type PlanProgress = z.infer<typeof planProgress>;

/** The plans of one device: a file for each in a folder of its own. */
export class PlanFolder {
  readonly #path: string;

  /** @param state the folder of the device's key */
  constructor(state: string, device: string) {
    this.#path = join(state, "plans", device);
  }

  /** Writes how far a plan is, over what was there before. */
  async save(progress: PlanProgress): Promise<void> {
    await Deno.mkdir(this.#path, { recursive: true });
    await replaceFile(this.#fileOf(progress.plan.id), `${JSON.stringify(progress)}\n`);
  }

  /** How far a plan is; null for a plan that the device never had. */
  async read(plan: string): Promise<PlanProgress | null> {
    const path = this.#fileOf(plan);
    const text = await Deno.readTextFile(path).catch(() => null);
    return text === null
      ? null
      : parseDocument(text, { schema: planProgress, newest: FLEET_SCHEMA, name: path });
  }

  /** The plans without a verdict of the hub. */
  async unfinished(): Promise<PlanProgress[]> {
    const names = await Array.fromAsync(Deno.readDir(this.#path), ({ name }) => name).catch(() => []);
    const all = await Promise.all(
      names.filter((name) => name.endsWith(".json")).map((name) => this.read(name.replace(/\.json$/, ""))),
    );
    return all.filter((one) => one !== null).filter(({ verdict }) => verdict === null);
  }

  #fileOf(plan: string): string {
    return join(this.#path, `${plan}.json`);
  }
}
