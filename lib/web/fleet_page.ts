/**
 * The live page of a fleet: the teacher's screen at `/`, the view of one device at
 * `/device/ID`. It is read-only. The hub renders its parts and sends those that changed as
 * server-sent events, at most once per second.
 */
import { reasonOf, UserError } from "../errors.ts";
import type { HubEvent } from "../fleet/hub.ts";
import { ApiError } from "../openai/api_error.ts";
import type { IncomingRequest } from "../openai/server.ts";
import { fleetScript, fleetStyle } from "./fleet_assets.ts";
import { fleetPageHtml, type Fragments, resultFragments, statusFragments } from "./fleet_fragments.ts";
import { FleetReader, type FleetView } from "./fleet_view.ts";
import { HEADERS, type LiveServerOptions, reply, serveLive } from "./live_page.ts";

/** What the page needs. */
export interface FleetPageOptions extends LiveServerOptions {
  /** The fleet's folder. */
  readonly folder: string;
  readonly now: () => Date;
}

/** A page that is being served. */
export interface FleetPage {
  readonly port: number;
  /** Tells the page that something changed at the hub. */
  onEvent(event: HubEvent): void;
  close(): Promise<void>;
}

/** A browser that shows the page. */
interface Viewer {
  readonly own: string | null;
  readonly sent: Map<string, string>;
  readonly stream: ReadableStreamDefaultController<Uint8Array>;
}

/** Shortest time between updates, which also take at most a fifth of the hub's time. */
const UPDATE_MS = 1000;
const PAUSES = 4;
/** Time between two updates without an event: devices go away silently. */
const POLL_MS = 5000;
const MOST_NOTICES = 5;

const encoder = new TextEncoder();

/**
 * Serves the live page of a fleet.
 *
 * @throws the system's error where the address can't be had
 *
 * ```ts ignore
 * const page = await serveFleetPage({ folder: "fleet/class", host: "127.0.0.1", port: 7444, ... });
 * const hub = await openHub({ onEvent: (event) => page.onEvent(event), ... });
 * ```
 */
export async function serveFleetPage(options: FleetPageOptions): Promise<FleetPage> {
  const page = new LiveFleet(options);
  const server = await serveLive((request) => page.answer(request), options);
  return {
    port: server.port,
    onEvent: (event) => page.onEvent(event),
    async close() {
      page.close();
      await server.close();
    },
  };
}

class LiveFleet {
  readonly #options: FleetPageOptions;
  readonly #reader: FleetReader;
  readonly #viewers = new Set<Viewer>();
  readonly #notices: string[] = [];
  #cannotWrite: string | null = null;
  #unreadable: string | null = null;
  #view: FleetView | null = null;
  #readMs = -Infinity;
  #tookMs = 0;
  /** Whether something happened since the last reading began. */
  #isStale = false;
  #reading: Promise<FleetView> | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #poll: ReturnType<typeof setInterval>;
  /** Results by highlighted device; drawn again only when there are new ones. */
  #drawn: { readonly of: FleetView["results"]; readonly by: Map<string | null, Fragments> } = {
    of: [],
    by: new Map(),
  };

  constructor(options: FleetPageOptions) {
    this.#options = options;
    this.#reader = new FleetReader(options.folder);
    this.#poll = setInterval(() => this.#planUpdate(), POLL_MS);
  }

  onEvent(event: HubEvent): void {
    if (event.kind === "not joined") this.#notice(`A device could not join: ${event.reason}`);
    if (event.kind === "refused") this.#notice(`${event.device}: ${event.reason}`);
    if (event.kind === "can't write") this.#cannotWrite = `The hub can't write: ${event.reason}`;
    if (event.kind === "records") this.#cannotWrite = null;
    this.#isStale = true;
    this.#planUpdate();
  }

  close(): void {
    clearInterval(this.#poll);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#viewers.clear();
  }

  async answer({ method, path, signal }: IncomingRequest): Promise<Response> {
    if (method !== "GET") throw new ApiError(405, "this page only shows: use GET");
    if (path === "/fleet.css") return reply(fleetStyle, "text/css");
    if (path === "/fleet.js") return reply(fleetScript, "text/javascript");
    const found = /^\/(?:device\/(d-[0-9a-f]{10})(\/events)?|(events)?)$/.exec(path);
    if (found === null) throw new ApiError(404, "there is no such page");
    const own = found[1] ?? null;
    const view = await this.#current();
    if (own !== null && !view.devices.some(({ id }) => id === own)) {
      throw new ApiError(404, `no device of this fleet is ${own}`);
    }
    if (found[2] !== undefined || found[3] !== undefined) return this.#events(own, view, signal);
    return reply(fleetPageHtml(view, this.#fragments(view, own), own), "text/html");
  }

  #notice(line: string): void {
    const known = this.#notices.indexOf(line);
    if (known >= 0) this.#notices.splice(known, 1);
    this.#notices.unshift(line.slice(0, 300));
    this.#notices.length = Math.min(this.#notices.length, MOST_NOTICES);
  }

  #events(own: string | null, view: FleetView, signal: AbortSignal): Response {
    let viewer: Viewer | null = null;
    const leave = () => void (viewer !== null && this.#viewers.delete(viewer));
    signal.addEventListener("abort", leave, { once: true });
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        viewer = { own, sent: new Map(), stream };
        this.#viewers.add(viewer);
        this.#send(viewer, view);
      },
      cancel: leave,
    });
    return new Response(body, { headers: { ...HEADERS, "content-type": "text/event-stream" } });
  }

  #planUpdate(): void {
    if (this.#timer !== null || this.#viewers.size === 0) return;
    const pauseMs = Math.max(UPDATE_MS, PAUSES * this.#tookMs);
    const waitMs = Math.max(0, this.#readMs + pauseMs - this.#options.clock());
    this.#timer = setTimeout(() => void this.#update(), waitMs);
  }

  async #update(): Promise<void> {
    try {
      const view = await this.#reread();
      for (const viewer of this.#viewers) this.#send(viewer, view);
    } catch (error) {
      this.#options.onFault(error);
    }
    this.#timer = null;
    if (this.#isStale || (this.#view?.unread ?? 0) > 0) this.#planUpdate();
  }

  /** The fleet as it was less than a second ago. */
  async #current(): Promise<FleetView> {
    if (this.#view !== null && this.#options.clock() - this.#readMs < UPDATE_MS) return this.#view;
    return await this.#reread();
  }

  #reread(): Promise<FleetView> {
    return this.#reading ??= this.#read().finally(() => this.#reading = null);
  }

  async #read(): Promise<FleetView> {
    const { clock, now } = this.#options;
    const startMs = clock();
    this.#isStale = false;
    try {
      this.#view = await this.#reader.read(now());
      this.#unreadable = null;
    } catch (error) {
      // A damaged document: the page keeps its last state, and says so.
      if (this.#view === null || !(error instanceof UserError)) throw error;
      this.#unreadable = reasonOf(error);
    }
    this.#readMs = clock();
    this.#tookMs = this.#readMs - startMs;
    return this.#view;
  }

  #fragments(view: FleetView, own: string | null): Fragments {
    const notices = [this.#cannotWrite, this.#unreadable, ...this.#notices].filter((one) => one !== null);
    if (this.#drawn.of !== view.results) this.#drawn = { of: view.results, by: new Map() };
    const results = this.#drawn.by.get(own) ?? resultFragments(view, own);
    this.#drawn.by.set(own, results);
    return { ...statusFragments(view, notices, own), ...results };
  }

  /** Sends what changed; a slow reader gets it later. */
  #send({ own, sent, stream }: Viewer, view: FleetView): void {
    if ((stream.desiredSize ?? 0) <= 0) return;
    const changed = Object.entries(this.#fragments(view, own)).filter(([id, html]) => sent.get(id) !== html);
    for (const [id, html] of changed) sent.set(id, html);
    // Where nothing changed, a comment shows that the hub is alive.
    const line = changed.length === 0 ? ":\n\n" : `data: ${JSON.stringify(Object.fromEntries(changed))}\n\n`;
    stream.enqueue(encoder.encode(line));
  }
}
