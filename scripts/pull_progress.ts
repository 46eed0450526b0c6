/**
 * Every task that downloads a model shows the same output: the terms if there are any, a bar with speed and
 * time left in a terminal, a plain line now and then where the output is piped. All of it goes to stderr.
 */
// @ts-types="@types/cli-progress"
import { Presets, SingleBar } from "cli-progress";
import { createInterface } from "node:readline/promises";
import { pull, type PullEvent, type Terms } from "../lib/catalog/pull.ts";
import type { Model, Variant } from "../lib/catalog/registry.ts";
import type { Store } from "../lib/catalog/store.ts";
import { realClock, realSleep } from "./cli.ts";

export interface ShownPull {
  /** Accept terms without a question (`--yes`). */
  readonly yes?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * `pull` with its output for people. In a terminal the terms of a model that is not under an open
 * licence are a question; elsewhere, and with `yes`, they are printed, and continuing accepts them.
 */
export async function pullShown(
  store: Store,
  model: Model,
  variant: Variant,
  { yes = false, signal }: ShownPull = {},
): Promise<string> {
  const name = `${model.alias}:${variant.name}`;
  const show = Deno.stderr.isTerminal() ? bar(name) : lines(name);
  const size = variant.sizeBytes;
  let begun = size === null;
  try {
    return await pull(store, model, variant, {
      fetch,
      sleep: realSleep,
      clock: realClock,
      env: Deno.env,
      onTerms: (terms) => confirmTerms(terms, yes, signal),
      onProgress: (event) => {
        if (!begun && event.kind === "source") {
          begun = true;
          console.error(`${name}: ${mb(size ?? 0)} MB to download, once, into ${store.dir}`);
        }
        show.event(event);
      },
      ...(signal && { signal }),
    });
  } finally {
    show.stop();
  }
}

async function confirmTerms(
  { model, license, url }: Terms,
  yes: boolean,
  signal?: AbortSignal,
): Promise<boolean> {
  console.error(
    `${model} is not under an open licence. Its terms: ${license}${url === null ? "" : `, ${url}`}`,
  );
  if (yes || !Deno.stdin.isTerminal() || !Deno.stderr.isTerminal()) {
    console.error("By downloading and using it you accept these terms.");
    return true;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question("Accept them and download? [y/N] ", { ...(signal && { signal }) });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}

const mb = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);

function bar(name: string) {
  let running: SingleBar | undefined;
  const end = () => {
    running?.stop();
    running = undefined;
  };
  const event = (event: PullEvent) => {
    if (event.kind === "progress") {
      const total = event.totalBytes ?? Math.max(event.receivedBytes, 1);
      running ??= newBar(name, total);
      running.setTotal(total);
      running.update(event.receivedBytes, values(event));
      return;
    }
    end();
    const line = told(name, event);
    if (line !== null) console.error(line);
  };
  return { event, stop: end };
}

function newBar(name: string, total: number): SingleBar {
  const format = `${name} {bar} {percentage}% | {have}/{all} MB | {speed} | {left}`;
  const fresh = new SingleBar(
    { format, stream: process.stderr, hideCursor: true, fps: 5, barsize: 20 },
    Presets.shades_classic,
  );
  fresh.start(total, 0, { have: "0", all: mb(total), speed: "", left: "" });
  return fresh;
}

function values({ totalBytes, bytesPerS, ...event }: PullEvent) {
  // A package is downloaded and then unpacked: for a moment both are there.
  const receivedBytes = Math.min(event.receivedBytes, totalBytes ?? Infinity);
  const left = bytesPerS && totalBytes !== null ? Math.max(0, totalBytes - receivedBytes) / bytesPerS : null;
  return {
    have: mb(receivedBytes),
    all: totalBytes === null ? "?" : mb(totalBytes),
    speed: bytesPerS === null ? "" : `${mb(bytesPerS)} MB/s`,
    left: left === null ? "" : `${Math.ceil(left)} s left`,
  };
}

/** Without a terminal: a line at each tenth of the way. */
function lines(name: string) {
  let tenth = -1;
  const event = (event: PullEvent) => {
    if (event.kind === "source") tenth = -1;
    if (event.kind !== "progress") {
      const line = told(name, event);
      if (line !== null) console.error(line);
      return;
    }
    const reached = event.totalBytes === null
      ? Math.floor(event.receivedBytes / 5e7)
      : Math.floor(event.receivedBytes / event.totalBytes * 10);
    if (reached <= tenth) return;
    tenth = reached;
    const { have, all, speed } = values(event);
    console.error(`${name}: ${have} of ${all} MB${speed === "" ? "" : `, ${speed}`}`);
  };
  return { event, stop: () => {} };
}

function told(name: string, { kind, source, message }: PullEvent): string | null {
  switch (kind) {
    case "source":
      return `${name}: trying ${source}`;
    case "verify":
      return `${name}: checking its SHA-256`;
    case "done":
      return `${name}: downloaded and checked`;
    case "source-failed":
      return `${name}: ${source} failed: ${message}`;
    case "progress":
      return null;
    case "waiting":
    case "retry":
    case "note":
      return `${name}: ${message}`;
  }
}
