/** Memory that is written out of again and again: never while the socket still reads it. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { SocketWriter } from "../../lib/endpoint/connection.ts";

/** A socket that takes so many bytes a call, some of them at once and some later, and reads them only then. */
function slowSocket(takes: readonly number[]) {
  const got: Uint8Array[] = [];
  let calls = 0;
  const write = async (bytes: Uint8Array) => {
    const n = Math.min(bytes.length, takes[calls++ % takes.length] ?? 1);
    if (calls % 2 === 0) await setImmediate();
    got.push(bytes.slice(0, n));
    return n;
  };
  return { got: () => Buffer.concat(got), write };
}

function message(writer: SocketWriter, length: number, fill: number): Uint8Array {
  const room = writer.buffer(length);
  room.fill(fill);
  return room;
}

Deno.test("messages arrive whole and in order, whatever the socket takes at a time", async () => {
  const lengths = fc.array(fc.oneof(fc.nat(40), fc.integer({ min: 4000, max: 4200 })), {
    minLength: 1,
    maxLength: 5,
  });
  const takes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(lengths, takes, async (lengths, takes) => {
      const socket = slowSocket(takes);
      const writer = new SocketWriter(socket);
      for (const [i, length] of lengths.entries()) await writer.send(message(writer, length, i + 1));
      const sent = lengths.map((length, i) => Buffer.alloc(length, i + 1));
      assert.ok(socket.got().equals(Buffer.concat(sent)), `${lengths} bytes, ${takes} at a time`);
    }),
    { numRuns: 40 },
  );
});

Deno.test("bytes that the socket has not taken are not overwritten by the next message", async () => {
  const taken = Promise.withResolvers<void>();
  const got: number[] = [];
  const writer = new SocketWriter({
    async write(bytes) {
      await taken.promise;
      got.push(...bytes);
      return bytes.length;
    },
  });
  const sending = writer.send(message(writer, 3, 1));
  message(writer, 3, 2);
  taken.resolve();
  await sending;
  assert.deepEqual(got, [1, 1, 1]);
  await writer.send(message(writer, 3, 3));
  assert.deepEqual(got, [1, 1, 1, 3, 3, 3]);
});
