/**
 * Foundry Local's command line. Its words changed: up to 0.8 the service is `foundry service`, a model is run
 * by `foundry model run`; from 0.10 on it is `foundry server` and `foundry run`. Both are spoken here.
 */
import { z } from "zod";
import type { RunProgram } from "../program.ts";

/** Which words a command line understands. */
export type CliWords = "server" | "service";

export interface FoundryCli {
  readonly words: CliWords;
  /** As `foundry --version` tells it; null where it does not. */
  readonly version: string | null;
  /** Where its service listens, without a path; null where it does not run. */
  readonly serviceUrl: string | null;
}

/** What a person does with the command line. */
export type CliAction =
  | "start"
  | "status"
  | "run"
  | "download"
  | "load"
  | "cached"
  | "catalogue"
  | "cache folder";

const WORDS: Record<CliWords, Record<CliAction, string>> = {
  server: {
    start: "foundry server start",
    status: "foundry server status",
    run: "foundry run",
    download: "foundry model download",
    load: "foundry model load",
    cached: "foundry cache list",
    catalogue: "foundry model list",
    "cache folder": "foundry cache cd",
  },
  service: {
    start: "foundry service start",
    status: "foundry service status",
    run: "foundry model run",
    download: "foundry model download",
    load: "foundry model load",
    cached: "foundry cache list",
    catalogue: "foundry model list",
    "cache folder": "foundry cache cd",
  },
};

/**
 * The command to type, in the words of this command line (of the newer one, where none was found).
 *
 * ```ts
 * if (cliCommand(null, "run", "phi-4-mini") !== "foundry run phi-4-mini") throw new Error("newer");
 * if (cliCommand("service", "status") !== "foundry service status") throw new Error("older");
 * ```
 */
export function cliCommand(words: CliWords | null, action: CliAction, model?: string): string {
  return [WORDS[words ?? "server"][action], model].filter((part) => part !== undefined).join(" ");
}

/** `foundry server status -o json` of 0.10; other fields are of no concern here. */
const serverStatus = z.looseObject({ webUrls: z.array(z.string()).nullish() });

/**
 * Asks the command line where its service listens: both generations at once, so that the search takes no
 * longer than one of them. Null where there is no `foundry` program, or one that is not Foundry Local's
 * (other projects have programs of that name).
 *
 * ```ts
 * const run = ([, group]: readonly string[]) =>
 *   Promise.resolve(group === "service"
 *     ? { code: 0, stdout: "Model management service is running on http://127.0.0.1:5273/openai/status", stderr: "" }
 *     : { code: 1, stdout: "", stderr: "Unrecognized command or argument 'server'" });
 * const cli = await askFoundryCli({ run, timeoutMs: 1500 });
 * if (cli?.words !== "service" || cli.serviceUrl !== "http://127.0.0.1:5273") throw new Error("the older words");
 * ```
 */
export async function askFoundryCli(
  { run, timeoutMs, signal }: { run: RunProgram; timeoutMs: number; signal?: AbortSignal },
): Promise<FoundryCli | null> {
  const ask = (...args: string[]) =>
    run(["foundry", ...args], { timeoutMs, ...(signal === undefined ? {} : { signal }) });
  const [server, service, version] = await Promise.all([
    ask("server", "status", "-o", "json"),
    ask("service", "status"),
    ask("--version"),
  ]);
  if (server === null && service === null) return null;
  const told = /\d+\.\d+\.\d+/.exec(version?.code === 0 ? version.stdout : "")?.[0] ?? null;
  if (server?.code === 0) {
    const serviceUrl = urlOfJson(server.stdout) ?? firstLocalUrl(server.stdout);
    return { words: "server", version: told, serviceUrl };
  }
  if (service?.code === 0 || /service is (not )?(running|started)/i.test(service?.stdout ?? "")) {
    return { words: "service", version: told, serviceUrl: firstLocalUrl(service?.stdout ?? "") };
  }
  return null;
}

function urlOfJson(text: string): string | null {
  try {
    const { webUrls } = serverStatus.parse(JSON.parse(text));
    return firstLocalUrl((webUrls ?? []).join(" "));
  } catch {
    return null; // not JSON: an older 0.10 prints its table all the same
  }
}

/** A service listens on this machine or is a setting of the user's: any http URL with a port will do. */
function firstLocalUrl(text: string): string | null {
  const url = /https?:\/\/(?:\[[0-9a-f:]+\]|[\w.-]+):\d{1,5}/i.exec(text)?.[0];
  return url?.replace(/\/\/(?:0\.0\.0\.0|\[::\]):/, "//127.0.0.1:") ?? null;
}
