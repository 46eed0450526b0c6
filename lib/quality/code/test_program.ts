/**
 * The program that runs a case's tests against the code in an answer. It has no permission, no network and no
 * environment; the answer's code runs in a second thread, which can reach nothing of this one (see
 * `realm_link.ts`). Its input comes on standard input and is read to the end before that code starts; the
 * result leaves on standard output behind a word that only this thread knows.
 */
import { isDeepStrictEqual } from "node:util";
import { holdAnswer, type LinkEnds, RealmLink } from "./realm_link.ts";
import linkText from "./realm_link.ts" with { type: "text" };
import type { TestOrder, TestReport } from "./run_tests.ts";

class AssertionError extends Error {
  override readonly name = "AssertionError";
}

type Body = (context: unknown) => unknown;
interface Test {
  readonly name: string;
  readonly body: Body;
}
const tests: Test[] = [];
/** An assertion that failed in a function that the answer called: the answer may have caught it. */
let hidden: AssertionError | null = null;

const shown = (value: unknown) =>
  Deno.inspect(value, { depth: 6, compact: true, breakLength: Infinity, strAbbreviateSize: 300 });

function fail(message: string): never {
  throw new AssertionError(message);
}

/** 0 and −0 are the same number in a test. */
const equal = (a: unknown, b: unknown) => a === b || isDeepStrictEqual(a, b);
const words = (message?: string) => message === undefined ? "" : `${message}: `;

function thrownBy(error: unknown, type: unknown, including?: string): unknown {
  if (typeof type === "function" && !(error instanceof type)) {
    fail(`threw ${shown(error)}, expected ${(type as { name: string }).name}`);
  }
  const message = error instanceof Error ? error.message : String(error);
  if (including !== undefined && !message.includes(including)) {
    fail(`threw "${message}", expected a message with "${including}"`);
  }
  return error;
}

/** What a test may use without importing it: the names of Deno's `@std/assert`. */
const assertions = {
  assert: (value: unknown, message?: string) =>
    void (value || fail(message ?? `${shown(value)} is not true`)),
  assertFalse: (value: unknown, message?: string) =>
    void (value && fail(message ?? `${shown(value)} is not false`)),
  assertEquals: (actual: unknown, expected: unknown, message?: string) =>
    void (equal(actual, expected) ||
      fail(`${words(message)}got ${shown(actual)}, expected ${shown(expected)}`)),
  assertNotEquals: (actual: unknown, expected: unknown, message?: string) =>
    void (equal(actual, expected) && fail(`${words(message)}got ${shown(actual)}, expected another value`)),
  assertStrictEquals: (actual: unknown, expected: unknown, message?: string) =>
    void (Object.is(actual, expected) ||
      fail(`${words(message)}got ${shown(actual)}, expected the very same ${shown(expected)}`)),
  assertNotStrictEquals: (actual: unknown, expected: unknown, message?: string) =>
    void (Object.is(actual, expected) && fail(`${words(message)}got the very same ${shown(actual)}`)),
  assertAlmostEquals: (actual: number, expected: number, tolerance = 1e-7, message?: string) =>
    void (Math.abs(actual - expected) <= tolerance ||
      fail(`${words(message)}got ${shown(actual)}, expected ${expected} within ${tolerance}`)),
  assertExists: (value: unknown, message?: string) =>
    void ((value === undefined || value === null) && fail(message ?? `got ${value}`)),
  assertMatch: (text: string, pattern: RegExp, message?: string) =>
    void (pattern.test(text) || fail(`${words(message)}${shown(text)} does not match ${pattern}`)),
  assertStringIncludes: (text: string, part: string, message?: string) =>
    void (String(text).includes(part) || fail(`${words(message)}${shown(text)} has no ${shown(part)}`)),
  assertInstanceOf: (value: unknown, type: unknown, message?: string) =>
    void (typeof type === "function" && value instanceof type ||
      fail(message ?? `${shown(value)} is another type`)),
  assertThrows(act: () => unknown, type?: unknown, including?: string) {
    try {
      act();
    } catch (error) {
      return thrownBy(error, type, including);
    }
    return fail("did not throw");
  },
  async assertRejects(act: () => unknown, type?: unknown, including?: string) {
    try {
      await act();
    } catch (error) {
      return thrownBy(error, type, including);
    }
    return fail("did not reject");
  },
};

function test(first: unknown, second?: unknown, third?: unknown): void {
  const given = [first, second, third];
  const options = given.find((one) => typeof one === "object" && one !== null);
  const body: unknown = given.find((one) => typeof one === "function") ?? Reflect.get(options ?? {}, "fn");
  if (typeof body !== "function") throw new TypeError("a test needs a function");
  const name: unknown = typeof first === "string" ? first : Reflect.get(options ?? {}, "name") ?? body.name;
  tests.push({ name: String(name), body: body as Body });
}

/** A step of a test is part of it. */
const context = {
  step: async (first: unknown, second?: unknown) => {
    const body = typeof first === "function" ? first : second ?? Reflect.get(Object(first), "fn");
    await (body as Body)(context);
    return true;
  },
};

async function runOne({ name, body }: Test, link: RealmLink, limitMs: number) {
  hidden = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    if (link.expired) throw new Error("the time limit was over before this test began");
    await Promise.race([
      Promise.try(body, context),
      lost.promise,
      new Promise((_, late) => {
        timer = setTimeout(() => late(new Error("the time limit is over")), limitMs);
      }),
    ]);
    if (hidden !== null) throw hidden;
    // A test that expects an error is not satisfied by a call that never returned.
    if (link.expired) throw new Error("the time limit is over");
    return { name, reason: null };
  } catch (error) {
    return { name, reason: error instanceof Error ? error.message.slice(0, 500) : shown(error) };
  } finally {
    clearTimeout(timer);
  }
}

const moduleUrl = (text: string) => `data:application/typescript,${encodeURIComponent(text)}`;
const worded = (error: unknown) =>
  error instanceof AssertionError
    ? error.message
    : error instanceof Error
    ? `${error.name}: ${error.message}`
    : String(error);

/** Rejects when the answer's thread ends by itself. */
const lost = Promise.withResolvers<never>();
lost.promise.catch(() => {});

/** Loads the answer in its thread; the reason where it can't be loaded. */
async function loadAnswer(worker: Worker, ends: LinkEnds, code: string, limitMs: number) {
  const loaded = Promise.withResolvers<string | null>();
  worker.onmessage = ({ data }) => loaded.resolve(data === null ? null : String(data));
  worker.onerror = (event) => {
    event.preventDefault();
    loaded.resolve(event.message);
    // It may resolve later, while a test waits.
    lost.reject(new Error(`its thread ended: ${event.message}`));
  };
  const timer = setTimeout(() => loaded.resolve("the time limit is over"), limitMs);
  worker.postMessage({ ends, url: moduleUrl(code) }, [ends.port, ends.bell]);
  const reason = await loaded.promise;
  clearTimeout(timer);
  return reason;
}

/** The tests' end of a link, and the ends for the answer's thread. */
function makeLink(now: () => number, deadline: number): { link: RealmLink; ends: LinkEnds } {
  const [messages, bells] = [new MessageChannel(), new MessageChannel()];
  const signals = new Int32Array(new SharedArrayBuffer(8));
  const link = new RealmLink({ port: messages.port1, bell: bells.port1, signals }, 0, now);
  link.deadline = deadline;
  link.onThrow = (error) => {
    if (error instanceof AssertionError) hidden ??= error;
  };
  return { link, ends: { port: messages.port2, bell: bells.port2, signals } };
}

/** Makes the names that the answer defines globals here, and all of them available through `fromAnswer`. */
function exposeAnswer(link: RealmLink, names: readonly string[]): void {
  const defined = (name: string) => {
    const found = link.name(name);
    return Array.isArray(found) && found[0] === true ? { value: found[1] as unknown } : null;
  };
  for (const name of names) {
    if (name in globalThis || defined(name) === null) continue;
    Object.defineProperty(globalThis, name, { get: () => defined(name)?.value, configurable: true });
  }
  const fromAnswer = (name: string) =>
    defined(name)?.value ?? fail(link.expired ? "the time limit is over" : `the answer has no ${name}`);
  Object.assign(globalThis, { fromAnswer });
}

async function run(order: TestOrder): Promise<TestReport> {
  const now = performance.now.bind(performance);
  const worker = new Worker(moduleUrl(`${linkText}\n${holdAnswer.name}();`), { type: "module" });
  await new Promise((ready) => worker.onmessage = ready);
  const deadline = now() + order.limitMs;
  const left = () => Math.max(0, deadline - now());
  const { link, ends } = makeLink(now, deadline);
  const fault = await loadAnswer(worker, ends, order.code, left());
  if (fault !== null) {
    // Without the place: it is the address of the module, which is its whole text.
    const [first = ""] = fault.replace(/^(?:Uncaught )?(?:TypeError: )?/, "").split("\n");
    return { kind: "not loaded", reason: first };
  }
  try {
    exposeAnswer(link, order.names);
  } catch (error) {
    return { kind: "not loaded", reason: worded(error) };
  }
  try {
    await import(moduleUrl(order.tests));
    if (tests.length === 0) tests.push({ name: "the tests", body: () => {} });
  } catch (error) {
    return { kind: "ran", tests: [{ name: "the tests", reason: worded(error) }] };
  }
  const results = [];
  for (const one of tests) results.push(await runOne(one, link, left()));
  worker.terminate();
  return { kind: "ran", tests: results };
}

const order: TestOrder = JSON.parse(await new Response(Deno.stdin.readable).text());
const write = Deno.stdout.writeSync.bind(Deno.stdout);
const { exit } = Deno;
for (const name of ["name", "close", "closed", "event", "status"]) Reflect.deleteProperty(globalThis, name);
Object.assign(Deno, { test });
Object.assign(globalThis, assertions, {
  test,
  it: test,
  describe: (_: string, body: () => void) => body(),
  fail,
});
const report = await run(order);
write(new TextEncoder().encode(`\n${order.word} ${JSON.stringify(report)}\n`));
exit(0);
