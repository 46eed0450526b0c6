/** The fake endpoint in the test's own process, on the real clock. */
import { type Fake, startFakeServer } from "../lib/selfcheck/fake_server.ts";

/** Starts it with one behaviour for every model, or one for each of `models`. */
export function startFake(input: Parameters<typeof startFakeServer>[0] = {}): Fake {
  return startFakeServer(input, () => performance.now());
}
