/** The breaker against a model of its states, over any sequence of events. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type BreakerState, makeBreaker } from "../../../lib/select/route/breaker.ts";

const OPEN_MS = 1000;
const FAILURES = 3;

/** The rules, written down a second time and as plainly as possible. */
class Model {
  state: BreakerState = "closed";
  failures = 0;
  openedAt = 0;
  triedAt: number | null = null;
  now = 0;

  pass(ms: number) {
    this.now += ms;
    if (this.state === "open" && this.now - this.openedAt >= OPEN_MS) this.state = "half-open";
  }
  started() {
    if (this.state === "half-open") this.triedAt = this.now;
  }
  succeeded() {
    if (this.state === "open") return;
    this.state = "closed";
    this.failures = 0;
    this.triedAt = null;
  }
  failed() {
    if (this.state === "open") return;
    this.failures++;
    if (this.state === "half-open" || this.failures >= FAILURES) {
      this.state = "open";
      this.openedAt = this.now;
      this.failures = 0;
      this.triedAt = null;
    }
  }
  allows() {
    if (this.state !== "half-open") return this.state === "closed";
    return this.triedAt === null || this.now - this.triedAt >= OPEN_MS;
  }
}

const event = fc.oneof(
  fc.constantFrom("started" as const, "succeeded" as const, "failed" as const),
  fc.constantFrom(1, 400, 999, 1000, 2500),
);

Deno.test("the breaker does what its model does", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const model = new Model();
      const breaker = makeBreaker({ failuresToOpen: FAILURES, openMs: OPEN_MS }, () => model.now);
      for (const one of events) {
        if (typeof one === "number") model.pass(one);
        else {
          model[one]();
          breaker[one]();
        }
        assert.equal(breaker.state(), model.state);
        assert.equal(breaker.allows(), model.allows());
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("half-open, one request at a time is let through, and a lost one blocks for no longer than the pause", () => {
  let now = 0;
  const breaker = makeBreaker({ failuresToOpen: 1, openMs: 1000 }, () => now);
  breaker.failed();
  now = 1000;
  assert.ok(breaker.allows());
  breaker.started();
  assert.ok(!breaker.allows());
  now = 2000;
  assert.ok(breaker.allows());
});

Deno.test("settings that make no breaker are refused", () => {
  const clock = () => 0;
  assert.throws(() => makeBreaker({ failuresToOpen: 0, openMs: 1 }, clock), RangeError);
  assert.throws(() => makeBreaker({ failuresToOpen: 1.5, openMs: 1 }, clock), RangeError);
  assert.throws(() => makeBreaker({ failuresToOpen: 1, openMs: 0 }, clock), RangeError);
});
