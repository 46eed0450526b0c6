/** One at a time, in order; who gives up leaves no hole. */
import assert from "node:assert/strict";
import { WaitingLine } from "../../lib/openai/queue.ts";

Deno.test("turns come in the order of arrival, one at a time", async () => {
  const line = new WaitingLine();
  const order: number[] = [];
  let inside = 0;
  await Promise.all([1, 2, 3, 4].map(async (n) => {
    const leave = await line.enter();
    assert.equal(++inside, 1);
    order.push(n);
    await Promise.resolve();
    inside--;
    leave();
    leave();
  }));
  assert.deepEqual(order, [1, 2, 3, 4]);
  assert.equal(line.waiting, 0);
});

Deno.test("whoever gives up while waiting leaves the line, and the next one is served", async () => {
  const line = new WaitingLine();
  const leave = await line.enter();
  const gone = new AbortController();
  const second = line.enter(gone.signal);
  const third = line.enter();
  gone.abort(new Error("went away"));
  await assert.rejects(second, /went away/);
  assert.equal(line.waiting, 1);
  leave();
  (await third)();
  await assert.rejects(line.enter(gone.signal), /went away/);
  (await line.enter())();
});
