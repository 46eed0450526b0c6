/**
 * Foundry Local's command line. Its commands changed: up to 0.8 they are `foundry service` and `foundry model
 * run`, from 0.10 on `foundry server` and `foundry run`. Both are supported.
 */
import { z } from "zod";
import type { RunProgram } from "../program.ts";

/** Which commands a version of the command line has. */
type CliWords = "server" | "service";

/** The command line that is installed. */
export interface FoundryCli {
  readonly words: CliWords;
  /** What `foundry --version` prints; null where it prints no version. */
  readonly version: string | null;
  /** Where its service listens, without a path; null where the service does not run. */
  readonly serviceUrl: string | null;
}

/** What a user does with the command line. */
type CliAction =
  | "start"
  | "status"
  | "run"
  | "download"
  | "load"
  | "cached"
  | "catalogue"
  | "cache folder";

const SHARED = {
  download: "foundry model download",
  load: "foundry model load",
  cached: "foundry cache list",
  catalogue: "foundry model list",
  "cache folder": "foundry cache cd",
};
const WORDS: Record<CliWords, Record<CliAction, string>> = {
  server: {
    ...SHARED,
    start: "foundry server start",
    status: "foundry server status",
    run: "foundry run",
  },
  service: {
    ...SHARED,
    start: "foundry service start",
    status: "foundry service status",
    run: "foundry model run",
  },
};

/**
 * The command to type, as this version of the command line has it (the newer one where none was found).
 *
 * ```ts
 * if (cliCommand(null, "run", "phi-4-mini") !== "foundry run phi-4-mini") throw new Error("newer");
 * if (cliCommand("service", "status") !== "foundry service status") throw new Error("older");
 * ```
 */
export function cliCommand(words: CliWords | null, action: CliAction, model?: string): string {
  return [WORDS[words ?? "server"][action], model].filter((part) => part !== undefined).join(" ");
}

/** `foundry server status -o json` of 0.10; other fields are ignored. */
const serverStatus = z.looseObject({ webUrls: z.array(z.string()).nullish() });

/**
 * Asks the command line where its service listens, with the commands of both generations at once. Null where
 * there is no `foundry` program, or it is not Foundry Local's (other projects have programs of that name).
 *
 * ```ts
 * const run = ([, group]: readonly string[]) =>
 *   Promise.resolve(group === "service"
 *     ? { code: 0, stdout: "Model management service is running on http://127.0.0.1:5273/openai/status", stderr: "" }
 *     : { code: 1, stdout: "", stderr: "Unrecognized command or argument 'server'" });
 * const cli = await probeFoundryCli({ run, timeoutMs: 1500 });
 * if (cli?.words !== "service" || cli.serviceUrl !== "http://127.0.0.1:5273") throw new Error("the older commands");
 * ```
 */
export async function probeFoundryCli(
  { run, timeoutMs, signal }: { run: RunProgram; timeoutMs: number; signal?: AbortSignal },
): Promise<FoundryCli | null> {
  const foundry = (...args: string[]) =>
    run(["foundry", ...args], { timeoutMs, ...(signal === undefined ? {} : { signal }) });
  const [server, service, version] = await Promise.all([
    foundry("server", "status", "-o", "json"),
    foundry("service", "status"),
    foundry("--version"),
  ]);
  if (server === null && service === null) return null;
  const number = /\d+\.\d+\.\d+/.exec(version?.code === 0 ? version.stdout : "")?.[0] ?? null;
  if (server?.code === 0) {
    const serviceUrl = urlOfJson(server.stdout) ?? firstLocalUrl(server.stdout);
    return { words: "server", version: number, serviceUrl };
  }
  if (service?.code === 0 || /service is (not )?(running|started)/i.test(service?.stdout ?? "")) {
    return { words: "service", version: number, serviceUrl: firstLocalUrl(service?.stdout ?? "") };
  }
  return null;
}

function urlOfJson(text: string): string | null {
  try {
    const { webUrls } = serverStatus.parse(JSON.parse(text));
    return firstLocalUrl((webUrls ?? []).join(" "));
  } catch {
    return null; // not JSON: early versions of 0.10 print a table all the same
  }
}

/** The first URL with a port; `0.0.0.0` and `[::]` become this machine's loopback address. */
function firstLocalUrl(text: string): string | null {
  const url = /https?:\/\/(?:\[[0-9a-f:]+\]|[\w.-]+):\d{1,5}/i.exec(text)?.[0];
  return url?.replace(/\/\/(?:0\.0\.0\.0|\[::\]):/, "//127.0.0.1:") ?? null;
}
