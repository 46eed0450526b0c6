/** An engine that ends while it answers is named as the reason; everything else keeps its own. */
import assert from "node:assert/strict";
import { withEngineEnd } from "../../lib/bench/live_candidate.ts";
import type { Trace } from "../../lib/endpoint/trace.ts";

const broken: Trace = {
  status: "partial",
  reason: "the connection closed in the middle of the answer",
  httpStatus: 200,
  dueMs: 0,
  sentMs: 0,
  headersMs: 1,
  endMs: 9,
  streamed: true,
  route: "chat",
  chunks: [],
  content: "so far",
  reasoning: "",
  toolCalls: [],
  finishReason: null,
  usage: null,
  server: null,
};
const ended = (signal: string | null, code = 1) => Promise.resolve({ signal, code });
const running = new Promise<never>(() => {});

Deno.test("a broken answer of an ended engine says how it ended, and keeps what came", async () => {
  const killed = await withEngineEnd(broken, ended("SIGKILL"));
  assert.equal(
    killed.reason,
    "the engine's process ended (SIGKILL, which the system sends where memory runs out): " +
      "the connection closed in the middle of the answer",
  );
  assert.equal(killed.content, "so far");
  const refused: Trace = { ...broken, status: "failed", httpStatus: null, reason: "connection refused" };
  assert.match(
    (await withEngineEnd(refused, ended(null, 3))).reason ?? "",
    /ended \(exit code 3\): connection refused/,
  );
});

Deno.test("what a living engine did, and what went well, stays as it is", async () => {
  assert.deepEqual(await withEngineEnd(broken, running), broken);
  const told: Trace = { ...broken, status: "failed", httpStatus: 500, reason: "HTTP 500" };
  assert.deepEqual(await withEngineEnd(told, ended("SIGKILL")), told);
  const well: Trace = { ...broken, status: "ok", reason: null };
  assert.deepEqual(await withEngineEnd(well, ended("SIGKILL")), well);
});
