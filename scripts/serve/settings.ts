/** The flags of `deno task serve`, parsed. */
export interface ServeSettings {
  readonly host: string;
  readonly port: number;
  readonly endpoint?: readonly string[];
  readonly apiKey?: string;
  readonly cors?: readonly string[];
  readonly threads?: number;
  readonly context?: number;
  readonly gpu?: "auto" | "off" | "vulkan" | "cuda" | "metal";
  readonly memory?: number;
  readonly preload?: boolean;
  readonly keepWarm?: number;
  readonly timeout: number;
  readonly firstByte: number;
  readonly gap: number;
  readonly slo?: string;
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
  readonly registry: string;
  readonly store?: string;
  readonly json?: boolean;
}
