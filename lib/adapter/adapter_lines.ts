/** The protocol between Podium and a custom model's process: one line of JSON per message, over its pipes. */
import { z } from "zod";
import type { AdapterPermissions } from "../catalog/model.ts";
import type { AdapterRequest } from "./adapter.ts";

/** The first line that the process reads. */
export interface AdapterOrder {
  /** URL of the adapter's module. */
  readonly module: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly folder: string;
  /** With absolute paths. */
  readonly permissions: AdapterPermissions;
  /** Resident memory in bytes above which the process ends itself. */
  readonly memoryBytes: number;
}

/** The lines after the first. `ask` is a number unique to each request. */
export type AdapterCall =
  | { readonly kind: "ask"; readonly ask: number; readonly request: AdapterRequest }
  | { readonly kind: "cancel"; readonly ask: number }
  | { readonly kind: "use" };

const count = z.int().nonnegative();

/** An adapter is third-party code, so every line from its process is validated. */
export const adapterLine = z.discriminatedUnion("kind", [
  /** The adapter is loaded. `at` is in seconds since 1970. */
  z.object({ kind: z.literal("ready"), at: z.number(), importMs: z.number(), loadMs: z.number() }),
  /** It could not be loaded. */
  z.object({ kind: z.literal("failed"), reason: z.string() }),
  z.object({ kind: z.literal("piece"), ask: z.int(), text: z.string() }),
  z.object({
    kind: z.literal("end"),
    ask: z.int(),
    finish: z.enum(["stop", "length"]),
    /** Null where the adapter can't count. */
    tokens: z.object({ prompt: count, output: count }).nullable(),
  }),
  z.object({ kind: z.literal("error"), ask: z.int(), reason: z.string(), status: z.int().nullable() }),
  z.object({ kind: z.literal("use"), residentMb: z.number(), cpuS: z.number() }),
  /** The message of a process that ends itself. */
  z.object({ kind: z.literal("broken"), reason: z.string() }),
]);
export type AdapterLine = z.infer<typeof adapterLine>;
