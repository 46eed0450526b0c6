/**
 * Synchronous calls between two threads: the tests of a case run in one, the code that a model wrote in the
 * other. So the tests call a function as if it were their own, and the code can change nothing that judges
 * it: not the assertions, not the built-in objects, not the result. Data is copied; what has behaviour
 * (functions, instances of classes, iterators, promises) is reached through a proxy.
 *
 * This file imports nothing of Podium's: its text is also the program of the thread that holds the answer.
 */
import { receiveMessageOnPort } from "node:worker_threads";

type Key = string | { readonly symbol: string };
/** What one thread asks the other: to do something with its object `id`, or for a top-level name of the answer. */
type Request =
  | { readonly kind: "call" | "construct"; readonly id: number; readonly args: unknown }
  | { readonly kind: "get"; readonly id: number; readonly key: Key }
  | { readonly kind: "set"; readonly id: number; readonly key: Key; readonly value: unknown }
  | { readonly kind: "keys"; readonly id: number }
  | { readonly kind: "name"; readonly name: string };
interface Ended<Kind> {
  readonly kind: Kind;
  readonly thrown: boolean;
  readonly value: unknown;
}
/** A request, the reply to request `n`, or how the sender's promise `n` was settled. */
type Message = (Request | Ended<"reply"> | Ended<"settled">) & { readonly n: number };

/** Stands for a function or an object: `theirs` lives where the message comes from. */
interface Reference {
  readonly "\u0000reference": number;
  readonly theirs: boolean;
  readonly type: "function" | "object" | "error" | "promise";
}

/** What both threads hold. */
export interface LinkEnds {
  /** Read without the event loop: a message that it had taken would be lost to a thread that waits. */
  readonly port: MessagePort;
  /** Tells a thread that does not wait that there is a message. */
  readonly bell: MessagePort;
  /** Two counters: messages for the tests, messages for the answer. */
  readonly signals: Int32Array<SharedArrayBuffer>;
}

/** One end of the link. */
export class RealmLink {
  readonly #ends: LinkEnds;
  readonly #side: 0 | 1;
  readonly #now: () => number;
  readonly #ids = new WeakMap<object, number>();
  readonly #exposed: object[] = [];
  readonly #proxies = new Map<number, object>();
  readonly #foreign = new WeakMap<object, number>();
  readonly #replies = new Map<number, { readonly thrown: boolean; readonly value: unknown }>();
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #requests = 0;
  /** When waiting ends, on the clock of `now`. */
  deadline = Infinity;
  /** Whether a call did not return by the deadline. */
  expired = false;
  /** Looks up a top-level name of the answer. */
  lookUp: (name: string) => unknown = () => undefined;
  /** Called with every error that a function of this side throws into the other. */
  onThrow: (error: unknown) => void = () => {};

  /** @param side 0 where the tests are: its functions can be called from the other side, and nothing else. */
  constructor(ends: LinkEnds, side: 0 | 1, now: () => number) {
    this.#ends = ends;
    this.#side = side;
    this.#now = now;
    ends.bell.onmessage = () => {
      while (this.#receive());
    };
  }

  /** The value of a top-level name of the answer. */
  name(name: string): unknown {
    return this.#request({ kind: "name", name });
  }

  #send(message: Message): void {
    const { port, bell, signals } = this.#ends;
    port.postMessage(message);
    const other = 1 - this.#side;
    Atomics.add(signals, other, 1);
    Atomics.notify(signals, other);
    bell.postMessage(null);
  }

  /** Takes one message; false where there is none. */
  #receive(): boolean {
    const received = receiveMessageOnPort(this.#ends.port as never) as { message: Message } | undefined;
    if (received !== undefined) this.#take(received.message);
    return received !== undefined;
  }

  #request(request: Request): unknown {
    const { signals } = this.#ends;
    const n = ++this.#requests;
    this.#send({ ...request, n });
    for (;;) {
      const seen = Atomics.load(signals, this.#side);
      const received = this.#receive();
      const reply = this.#replies.get(n);
      if (reply !== undefined) {
        this.#replies.delete(n);
        const value = this.#decode(reply.value);
        if (reply.thrown) throw value;
        return value;
      }
      if (received) continue;
      if (this.#now() >= this.deadline) {
        this.expired = true;
        throw new Error("the time limit is over");
      }
      Atomics.wait(signals, this.#side, seen, 50);
    }
  }

  #take(message: Message): void {
    if (message.kind === "reply") {
      this.#replies.set(message.n, message);
      return;
    }
    const { n } = message;
    if (message.kind === "settled") {
      const waiting = this.#waiting.get(n);
      if (message.thrown) waiting?.reject(this.#decode(message.value));
      else waiting?.resolve(this.#decode(message.value));
      return;
    }
    try {
      this.#send({ kind: "reply", n, thrown: false, value: this.#encode(this.#carryOut(message)) });
    } catch (error) {
      this.onThrow(error);
      this.#send({ kind: "reply", n, thrown: true, value: this.#encode(error) });
    }
  }

  #carryOut(message: Request): unknown {
    if (message.kind === "name") return this.lookUp(message.name);
    const target = this.#exposed[message.id];
    if (target === undefined) throw new TypeError("there is no such object");
    if (message.kind === "call" && typeof target === "function") {
      const [self, args] = this.#decode(message.args) as [unknown, unknown[]];
      const result: unknown = Reflect.apply(target, this.#side === 0 ? undefined : self, args);
      // The arguments go back too: a function may change a list that it is given.
      return [result, args];
    }
    // Through `constructor` the answer could run code among the tests.
    if (this.#side === 0) throw new TypeError("functions of the tests can only be called");
    switch (message.kind) {
      case "construct":
        return Reflect.construct(target as new () => object, this.#decode(message.args) as unknown[]);
      case "get":
        return Reflect.get(target, realKey(message.key));
      case "set":
        return Reflect.set(target, realKey(message.key), this.#decode(message.value));
      case "keys":
        return Object.keys(target);
      default:
        throw new TypeError("it is not a function");
    }
  }

  /** A copy that a message can carry. */
  #encode(value: unknown, seen = new Map<object, unknown>()): unknown {
    if (typeof value === "symbol") throw new TypeError("a symbol can't be passed between tests and answer");
    if ((typeof value !== "object" && typeof value !== "function") || value === null) return value;
    const foreign = this.#foreign.get(value);
    if (foreign !== undefined) return reference(foreign, false, "object");
    const before = seen.get(value);
    if (before !== undefined) return before;
    if (typeof value === "function") return this.#expose(value, "function");
    const prototype: unknown = Object.getPrototypeOf(value);
    if (Array.isArray(value) || prototype === Map.prototype || prototype === Set.prototype) {
      return copied(value, seen, (one) => this.#encode(one, seen));
    }
    if (isCloned(value, prototype)) return value;
    if (value instanceof Promise) return this.#exposePromise(value);
    const plain = prototype === Object.prototype || prototype === null;
    if (this.#side === 1 && !(plain && isData(value))) {
      return this.#expose(value, value instanceof Error ? "error" : "object");
    }
    const copy: Record<string, unknown> = Object.create(null);
    seen.set(value, copy);
    for (const [key, one] of Object.entries(value)) copy[key] = this.#encode(one, seen);
    return copy;
  }

  #expose(value: object, type: Reference["type"]): Reference {
    const id = this.#ids.get(value) ?? this.#exposed.push(value) - 1;
    this.#ids.set(value, id);
    return reference(id, true, type);
  }

  #exposePromise(value: Promise<unknown>): Reference {
    const isNew = !this.#ids.has(value);
    const exposed = this.#expose(value, "promise");
    const n = exposed["\u0000reference"];
    const settle = (thrown: boolean) => (result: unknown) =>
      this.#send({ kind: "settled", n, thrown, value: this.#encode(result) });
    if (isNew) value.then(settle(false), settle(true)).catch(settle(true));
    return exposed;
  }

  #decode(value: unknown, seen = new Map<object, unknown>()): unknown {
    if (typeof value !== "object" || value === null) return value;
    const before = seen.get(value);
    if (before !== undefined) return before;
    if (isReference(value)) {
      const id = value["\u0000reference"];
      if (!value.theirs) return this.#exposed[id];
      return value.type === "promise" ? this.#promise(id) : this.#proxy(id, value.type);
    }
    if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
      return copied(value, seen, (one) => this.#decode(one, seen));
    }
    if (Object.getPrototypeOf(value) !== Object.prototype) return value;
    const copy: Record<string, unknown> = {};
    seen.set(value, copy);
    for (const [key, one] of Object.entries(value)) {
      define(copy, key, this.#decode(one, seen));
    }
    return copy;
  }

  /** A promise of the other side. */
  #promise(id: number): Promise<unknown> {
    const waiting = this.#waiting.get(id) ?? Promise.withResolvers<unknown>();
    waiting.promise.catch(() => {});
    this.#waiting.set(id, waiting);
    this.#foreign.set(waiting.promise, id);
    return waiting.promise;
  }

  #proxy(id: number, type: Reference["type"]): object {
    const known = this.#proxies.get(id);
    if (known !== undefined) return known;
    const target = type === "function"
      ? function () {}
      : Object.create(type === "error" ? Error.prototype : Object.prototype);
    const proxy: object = new Proxy(target, {
      apply: (_, self, args: unknown[]) => {
        const sent = this.#encode([self, args]);
        const back = this.#request({ kind: "call", id, args: sent }) as [unknown, unknown[]];
        const updated = new Map<unknown, unknown>();
        args.forEach((arg, at) => update(arg, back[1]?.[at], updated));
        return updated.get(back[0]) ?? back[0];
      },
      construct: (_, args: unknown[]) =>
        this.#request({ kind: "construct", id, args: this.#encode(args) }) as object,
      get: (_, key) => {
        const name = sentKey(key);
        return name === null ? undefined : this.#request({ kind: "get", id, key: name });
      },
      set: (_, key, value) => {
        const name = sentKey(key);
        return name !== null &&
          this.#request({ kind: "set", id, key: name, value: this.#encode(value) }) === true;
      },
      ...(type === "function" ? {} : this.#keyTraps(id)),
    });
    this.#proxies.set(id, proxy);
    this.#foreign.set(proxy, id);
    return proxy;
  }

  /** What lists the keys of an object of the other side. */
  #keyTraps(id: number): ProxyHandler<object> {
    const has = (key: PropertyKey) => typeof key === "string" && this.#keys(id).includes(key);
    return {
      has: (_, key) => has(key),
      ownKeys: () => this.#keys(id),
      getOwnPropertyDescriptor: (_, key) => {
        if (!has(key)) return undefined;
        const value = this.#request({ kind: "get", id, key: String(key) });
        return { value, enumerable: true, configurable: true, writable: true };
      },
    };
  }

  #keys(id: number): string[] {
    const keys = this.#request({ kind: "keys", id });
    return Array.isArray(keys) ? [...new Set(keys.map(String))] : [];
  }
}

const reference = (id: number, theirs: boolean, type: Reference["type"]): Reference => ({
  "\u0000reference": id,
  theirs,
  type,
});
const isReference = (value: object): value is Reference => Object.hasOwn(value, "\u0000reference");

/** Symbols of the language have the same meaning on both sides; others can't be passed. */
function sentKey(key: PropertyKey): Key | null {
  if (typeof key !== "symbol") return String(key);
  const symbol = Object.getOwnPropertyNames(Symbol).find((name) => Reflect.get(Symbol, name) === key);
  return symbol === undefined ? null : { symbol };
}

const realKey = (key: Key): PropertyKey =>
  typeof key === "string" ? key : Reflect.get(Symbol, key.symbol) as symbol;

const errors = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError];

/** A list, map or set of the same kind, each value in it as `each` makes it; `seen` keeps circles closed. */
function copied(value: object, seen: Map<object, unknown>, each: (one: unknown) => unknown): unknown {
  const copy = Array.isArray(value) ? [] as unknown[] : value instanceof Map ? new Map() : new Set();
  seen.set(value, copy);
  if (copy instanceof Map) {
    for (const [key, one] of value as Map<unknown, unknown>) copy.set(each(key), each(one));
  } else {
    for (const one of value as Iterable<unknown>) {
      if (copy instanceof Set) copy.add(each(one));
      else copy.push(each(one));
    }
  }
  return copy;
}

/** Not an assignment: `__proto__` is data here. */
const define = (target: object, key: string, value: unknown) =>
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });

/** Whether a message carries it as it is. */
function isCloned(value: object, prototype: unknown): boolean {
  return prototype === Date.prototype || prototype === RegExp.prototype || value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value) || errors.some((one) => prototype === one.prototype);
}

/** Whether an object has neither methods nor computed properties. */
function isData(value: object): boolean {
  return Object.values(Object.getOwnPropertyDescriptors(value)).every((property) =>
    property.get === undefined && property.set === undefined && typeof property.value !== "function"
  );
}

/** Applies the other side's changes of a copy to the list or object that was passed. */
function update(own: unknown, theirs: unknown, updated: Map<unknown, unknown>): void {
  if (typeof own !== "object" || own === null || typeof theirs !== "object" || theirs === null) return;
  if (updated.has(theirs)) return;
  updated.set(theirs, own);
  if (Object.isFrozen(own)) return;
  if (Array.isArray(own) && Array.isArray(theirs)) {
    const before = [...own];
    own.length = 0;
    for (const [at, one] of theirs.entries()) {
      update(before[at], one, updated);
      own.push(updated.get(one) ?? one);
    }
  } else if (own instanceof Map && theirs instanceof Map) {
    own.clear();
    for (const [key, one] of theirs) own.set(key, one);
  } else if (own instanceof Set && theirs instanceof Set) {
    own.clear();
    for (const one of theirs) own.add(one);
  } else if (Object.getPrototypeOf(own) === Object.prototype) {
    for (const key of Object.keys(own)) if (!Object.hasOwn(theirs, key)) Reflect.deleteProperty(own, key);
    for (const [key, one] of Object.entries(theirs)) {
      update(Reflect.get(own, key), one, updated);
      define(own, key, updated.get(one) ?? one);
    }
  }
}

/** Globals that the thread with the answer doesn't need. Removing them protects nothing; they are noise or weight. */
const withheld = ["Worker", "caches", "BroadcastChannel", "close", "navigator"];

/** The program of the thread that holds the answer: loads it, then answers calls. */
export function holdAnswer(): void {
  const report = (Reflect.get(globalThis, "postMessage") as (message: unknown) => void).bind(globalThis);
  // A promise may be rejected before the tests wait for it.
  addEventListener("unhandledrejection", (event) => event.preventDefault());
  addEventListener("message", (event) => {
    const { ends, url } = (event as MessageEvent<{ ends: LinkEnds; url: string }>).data;
    const link = new RealmLink(ends, 1, performance.now.bind(performance));
    const silent = Object.fromEntries(Object.keys(console).map((name) => [name, () => {}]));
    for (const name of withheld) Reflect.deleteProperty(globalThis, name);
    Object.assign(globalThis, { console: silent });
    import(url).then(
      (module) => {
        link.lookUp = (name) =>
          name === "default" ? ["default" in module, module.default] : module.podiumAnswerScope(name);
        report(null);
      },
      (error: unknown) => report(error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
    );
  }, { once: true });
  report("ready");
}
