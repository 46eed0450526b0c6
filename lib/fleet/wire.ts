/** The messages between devices and hub over NATS: subjects, schemas, join lines and connecting. */
import { jwtAuthenticator, type NatsConnection, wsconnect } from "@nats-io/nats-core";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { authorityCertificate } from "./certificate.ts";
import { deviceState, deviceStatement, type FleetPlan, planId, resultFile, resultId } from "./device.ts";

/** The stream of plans; each device has a durable consumer of its own subject, with its id. */
export const PLANS = "PODIUM_PLANS";
/** The stream of records on their way to the hub, which removes each. */
export const RECORDS = "PODIUM_RECORDS";
/** The hub's own consumer of it. */
export const RECORDS_CONSUMER = "hub";

export const subjects = {
  join: "fleet.join",
  state: (device: string) => `fleet.state.${device}`,
  end: (device: string) => `fleet.end.${device}`,
  plan: (device: string) => `fleet.plan.${device}`,
  records: (device: string) => `fleet.record.${device}`,
} as const;

/** The files of a run or a document, as the last token of a subject. */
export const FILE_TOKENS = {
  run: "run.json",
  samples: "samples.jsonl",
  answers: "answers.jsonl",
  prompts: "prompts.json",
  capacity: "capacity.json",
  fidelity: "fidelity.json",
} as const;
export type FileToken = keyof typeof FILE_TOKENS;
export const isFileToken = (token: string): token is FileToken => Object.hasOwn(FILE_TOKENS, token);

/** The files that a plan may lead to, by its kind. */
export function tokensOf(kind: FleetPlan["kind"]): readonly FileToken[] {
  if (kind === "capacity") return ["capacity", "samples"];
  return kind === "fidelity" ? ["fidelity"] : ["run", "samples", "answers", "prompts"];
}

/** The header of a record message that says where in its file the piece begins. */
export const OFFSET = "Podium-Offset";

/** A device asks to join. */
export const joinRequest = z.object({
  code: z.string().max(100),
  /** The device's public key; its id follows from it. */
  key: z.string().max(100),
  /** The public NATS key that its credentials are for. */
  nats_key: z.string().regex(/^U[A-Z2-7]{55}$/),
  /** Of `code nats_key`, by the device's key. */
  signature: z.string().max(200),
  statement: deviceStatement,
});
export const joinReply = z.union([
  z.object({ jwt: z.string(), fleet: z.string() }),
  z.object({ error: z.string() }),
]);

/** A device says how far it is. */
export const stateRequest = z.object({
  state: deviceState.omit({ heard_at: true, clock_off_s: true }),
  /** The device's clock, in ms since 1970. */
  now_ms: z.number(),
  /** Only where it may have changed, on each new connection. */
  statement: deviceStatement.optional(),
});
export const stateReply = z.object({
  /** Whether its plan was stopped. */
  stop: z.boolean(),
});

/** A device reports that a run is over and sent, or that a plan led to no run. */
export const endRequest = z.object({
  plan: planId,
  run: resultId.nullable(),
  /** Why there is no complete run; null where there is one. */
  problem: z.object({ status: z.enum(["refused", "failed", "stopped"]), note: z.string().max(500) })
    .nullable(),
  files: z.array(resultFile).max(4),
});
export type EndRequest = z.infer<typeof endRequest>;
export const endReply = z.object({
  /** Bytes that the hub has of each file. */
  have: z.record(z.string(), z.number().int().nonnegative()),
  /** Null while something is missing. */
  verdict: z.object({
    status: z.enum(["complete", "refused", "failed", "stopped"]),
    reasons: z.array(z.string()),
  })
    .nullable(),
});
export type EndReply = z.infer<typeof endReply>;

/** Where a hub is, and what it takes to join it. */
export interface JoinLine {
  /** `wss://HOST:PORT` or `ws://HOST:PORT`. */
  readonly url: string;
  readonly code: string | null;
  /**
   * The public key of the authority that certified the hub's server; null where the
   * system's authorities are trusted.
   */
  readonly authority: string | null;
}

/**
 * Reads the address that a hub prints: `wss://HOST:PORT/#CODE.AUTHORITY`.
 *
 * @throws {UserError} naming what is accepted
 *
 * ```ts
 * const { url, code, authority } = parseJoinLine(`wss://192.0.2.7:7443/#7K3QZ-M9XWD.${"A".repeat(43)}`);
 * if (url !== "wss://192.0.2.7:7443" || code !== "7K3QZ-M9XWD" || authority?.length !== 43) throw new Error(url);
 * ```
 */
export function parseJoinLine(text: string): JoinLine {
  const url = URL.parse(text.trim());
  const [, code, authority] = /^#?([A-Za-z0-9-]{0,40})(?:\.([\w-]{43}))?$/.exec(url?.hash ?? "") ?? [];
  if (url === null || (url.protocol !== "wss:" && url.protocol !== "ws:") || code === undefined) {
    throw new UserError(
      `${text.slice(0, 200)}: give the address that the hub printed, such as wss://192.0.2.7:7443/#CODE.KEY`,
    );
  }
  // Without a port in the URL wsconnect uses 443.
  const port = url.port === "" ? (url.protocol === "wss:" ? "443" : "80") : url.port;
  return {
    url: `${url.protocol}//${url.hostname}:${port}`,
    code: code === "" ? null : code,
    authority: authority ?? null,
  };
}

/** The join line as a hub prints it. */
export const joinLine = ({ url, code, authority }: JoinLine): string =>
  `${url}/#${code ?? ""}${authority === null ? "" : `.${authority}`}`;

/** What a connection takes. */
export interface Connecting extends Pick<JoinLine, "url" | "authority"> {
  /** Shown in the server's log. */
  readonly name: string;
  /** Null for a client that asks to join. */
  readonly credentials: { readonly jwt: string; readonly seed: string } | null;
  /** Keeps trying to reach a hub that is not there. @default false */
  readonly patient?: boolean;
}

const RECONNECT_MS = 500;

/**
 * Connects to a hub's server, and again whenever the connection is lost.
 *
 * @throws {UserError} exit code 1 where the server can't be reached or refuses the credentials
 */
export async function connectHub(
  { url, authority, name, credentials, patient = false }: Connecting,
): Promise<NatsConnection> {
  const client = authority === null
    ? undefined
    : Deno.createHttpClient({ caCerts: [authorityCertificate(authority)] });
  try {
    const connection = await wsconnect({
      servers: url,
      name,
      inboxPrefix: `_INBOX_${credentials === null ? "join" : name}`,
      ...(credentials === null
        ? {}
        : { authenticator: jwtAuthenticator(credentials.jwt, new TextEncoder().encode(credentials.seed)) }),
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      waitOnFirstConnect: patient,
      // A hub that restarts admits its devices again soon; a device keeps its credentials.
      ignoreAuthErrorAbort: true,
      ignoreClusterUpdates: true,
      // A lost network gives no error: it is noticed after two of these.
      pingInterval: 10_000,
      maxPingOut: 2,
      timeout: 20_000,
      wsFactory: (address) =>
        Promise.resolve({
          socket: client === undefined ? new WebSocket(address) : trusting(address, client),
          encrypted: url.startsWith("wss:"),
        }),
    });
    void connection.closed().then(() => client?.close());
    return connection;
  } catch (error) {
    client?.close();
    throw new UserError(`can't connect to the hub at ${url}: ${reasonOf(error)}`, 1, { cause: error });
  }
}

/** An option of Deno's WebSocket that the browsers' types lack. */
const trusting = (address: string, client: Deno.HttpClient): WebSocket =>
  Reflect.construct(WebSocket, [address, { client }]);
