/** One JSON line per request, on stderr, without ever waiting for its reader. */
import { terminalJson } from "../../lib/terminal_text.ts";
import type { ServedRequest } from "../../lib/serve/fallback.ts";

/** Bytes that a slow reader may leave unread; further lines are dropped and counted. */
const MOST_BYTES = 4 * 1024 * 1024;
const GATHER_MS = 100;

export interface Log {
  write(event: string, fields: Readonly<Record<string, unknown>>): void;
  flush(): Promise<void>;
}

export const NO_LOG: Log = { write: () => {}, flush: () => Promise.resolve() };

export function jsonLog(sink: { write(bytes: Uint8Array): Promise<number> }): Log {
  const encoder = new TextEncoder();
  let waiting = "";
  let dropped = 0;
  let timer: ReturnType<typeof setTimeout> | null = null;
  let writing: Promise<void> = Promise.resolve();
  const send = async () => {
    const bytes = encoder.encode(waiting);
    waiting = "";
    try {
      for (let at = 0; at < bytes.length;) at += await sink.write(bytes.subarray(at));
    } catch {
      dropped++; // the reader has gone: the server continues
    }
  };
  const flush = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    return writing = writing.then(send);
  };
  return {
    write(event, fields) {
      if (waiting.length > MOST_BYTES) return void dropped++;
      const lost = dropped > 0 ? { dropped } : {};
      dropped = 0;
      waiting += terminalJson({ time: new Date().toISOString(), event, ...fields, ...lost }, 0) + "\n";
      timer ??= setTimeout(() => void flush(), GATHER_MS);
    },
    flush,
  };
}

const tenth = (ms: number | null) => ms === null ? null : Math.round(ms * 10) / 10;

/** A request's record as it is logged. */
export function loggedRequest(record: ServedRequest, withPrompts: boolean): Record<string, unknown> {
  const { body, ttftMs, totalMs, promptTokens, outputTokens, ...rest } = record;
  return {
    ...rest,
    ttft_ms: tenth(ttftMs),
    total_ms: tenth(totalMs),
    prompt_tokens: promptTokens,
    output_tokens: outputTokens,
    ...(withPrompts ? { body } : {}),
  };
}
