/** Servers that never stop talking: cut off at the limit, not kept in memory. */
import assert from "node:assert/strict";
import { HEADS, traces } from "./hostile_server.ts";

const encoder = new TextEncoder();

Deno.test("hostile: an answer without end is cut off, not kept", async () => {
  const event = encoder.encode(
    `data: ${JSON.stringify({ choices: [{ delta: { content: "x".repeat(60_000) } }] })}\n\n`,
  );
  const pieces = [encoder.encode(HEADS.close), ...Array.from({ length: 1200 }, () => event)];
  const [trace] = await traces([{ pieces, closes: true }], 20_000);
  assert.equal(trace?.status, "partial");
  assert.match(trace?.reason ?? "", /more than 67108864 bytes/);
  const line = [
    encoder.encode(HEADS.close + "data: "),
    ...Array.from({ length: 160 }, () => new Uint8Array(60_000).fill(120)),
  ];
  const [long] = await traces([{ pieces: line, closes: true }], 20_000);
  assert.equal(long?.status, "failed");
});
