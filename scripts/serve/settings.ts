/** The flags of `deno task serve`, parsed. */
import { type Shared, type Slo } from "../options.ts";

export interface ServeSettings
  extends Shared<"endpoint" | "gpu" | "timeout" | "registry" | "store" | "json"> {
  readonly host: string;
  readonly port: number;
  readonly apiKey?: string;
  readonly cors?: readonly string[];
  readonly threads?: number;
  readonly context?: number;
  readonly memory?: number;
  readonly preload?: boolean;
  readonly keepWarm?: number;
  readonly firstByte: number;
  readonly gap: number;
  readonly slo?: Slo;
  readonly attempts: number;
  readonly retryBudget: number;
  readonly failures: number;
  readonly openFor: number;
  readonly slots: number;
  readonly queue: number;
  readonly maxBody: number;
  readonly connections: number;
  readonly routing?: string;
  readonly decision?: string;
  readonly state?: string;
  readonly log: "json" | "off";
  readonly logPrompts?: boolean;
}
