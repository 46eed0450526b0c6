/** So many at once, in order of arrival; a request that is given up while waiting leaves no hole. */
import assert from "node:assert/strict";
import { RequestQueue } from "../../lib/openai/queue.ts";

const never = new AbortController().signal;
const one = () => new RequestQueue(1, Infinity, () => 0);

Deno.test("turns come in the order of arrival, one at a time", async () => {
  const queue = one();
  const order: number[] = [];
  let inside = 0;
  await Promise.all([1, 2, 3, 4].map(async (n) => {
    const leave = await queue.enter(never);
    assert.equal(++inside, 1);
    order.push(n);
    await Promise.resolve();
    inside--;
    leave();
    leave();
  }));
  assert.deepEqual(order, [1, 2, 3, 4]);
  assert.deepEqual([queue.busy, queue.waiting], [0, 0]);
});

Deno.test("a request that is given up while waiting leaves the queue, and the next one is served", async () => {
  const queue = one();
  const leave = await queue.enter(never);
  const gone = new AbortController();
  const second = queue.enter(gone.signal);
  const third = queue.enter(never);
  gone.abort(new Error("went away"));
  await assert.rejects(second, /went away/);
  assert.equal(queue.waiting, 1);
  leave();
  (await third)();
  await assert.rejects(queue.enter(gone.signal), /went away/);
  (await queue.enter(never))();
});
