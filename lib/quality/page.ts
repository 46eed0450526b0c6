/**
 * The annotation page: one item at a time, scored with the keyboard, saved at once. It is another editor
 * for the sheet: what it saves is the same CSV that `import` reads. Served on loopback only, behind a path
 * that is hard to guess, and only under the address it listens on.
 */
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { UserError } from "../errors.ts";
import { decodeText } from "../text_file.ts";
import { readMarks } from "./import.ts";
import { pageMarkup } from "./page_markup.ts";
import { score } from "./ratings.ts";
import { formatSheet, type Marks, rubricOf, type Sheet } from "./sheet.ts";

/** A change of one item. */
const change = z.strictObject({
  item: z.string(),
  /** The scores that were given or changed, by dimension. */
  scores: z.record(z.string(), score),
  /** Absent where it was not changed. */
  comment: z.string().max(4000).optional(),
});

type Change = z.infer<typeof change>;

/** A page that is being served. */
export interface AnnotationPage {
  readonly url: string;
  /** Items with a full set of scores. */
  done(): number;
  /** Resolves when the annotator says that they are finished. */
  readonly finished: Promise<void>;
  stop(): Promise<void>;
}

/**
 * Serves a sheet as a page on 127.0.0.1.
 *
 * @param path the sheet's file; every change is saved there before the page gets its reply
 * @param marks what was scored before
 * @param token hard to guess; part of the address
 * @param port 0 for any free one
 *
 * ```ts ignore
 * const page = servePage(sheet, "reports/…/annotation/ana-fluency.csv", new Map(), { token: crypto.randomUUID(), port: 0 });
 * console.log(page.url);
 * await page.finished;
 * await page.stop();
 * ```
 */
export function servePage(
  sheet: Sheet,
  path: string,
  marks: ReadonlyMap<string, Marks>,
  { token, port }: { token: string; port: number },
): AnnotationPage {
  const rubric = rubricOf(sheet.key);
  const names = rubric.dimensions.map(({ name }) => name);
  const current = new Map(marks);
  const finished = Promise.withResolvers<void>();
  let saving: Promise<void> = Promise.resolve();
  const save = (change: Change) => {
    saving = saving.catch(() => {}).then(() => saveChange(sheet, path, current, change));
    return saving;
  };
  const server = serveLocally({ token, port }, async (request, path) => {
    if (path === "GET ") return html(pageMarkup(rubric));
    if (path === "GET sheet") {
      return Response.json({ items: sheet.items, marks: Object.fromEntries(current) });
    }
    if (path === "POST mark") return await mark(request);
    if (path === "POST done") {
      finished.resolve();
      return new Response(null, { status: 204 });
    }
    return plain(404, "not found");
  });

  async function mark(request: Request): Promise<Response> {
    const parsed = change.safeParse(await request.json().catch(() => null));
    if (!parsed.success) return plain(400, z.prettifyError(parsed.error));
    const { item, scores } = parsed.data;
    if (!sheet.items.some((one) => one.item === item)) return plain(400, `unknown item ${item}`);
    const strange = Object.keys(scores).find((name) => !names.includes(name));
    if (strange !== undefined) return plain(400, `${strange} is not one of ${names.join(", ")}`);
    try {
      await save(parsed.data);
      return new Response(null, { status: 204 });
    } catch (error) {
      const reason = error instanceof UserError ? error.message : `can't write ${path}`;
      return plain(500, `the score is not saved: ${reason}`);
    }
  }

  return {
    url: server.url,
    done: () => [...current.values()].filter(({ scores }) => names.every((name) => name in scores)).length,
    finished: finished.promise,
    async stop() {
      await saving.catch(() => {});
      await server.stop();
    },
  };
}

/**
 * Saves one change. Another page, or a spreadsheet, may have saved the same sheet since: under a lock the sheet
 * is read again and the change is added to it, so that no saved score is lost.
 */
async function saveChange(
  sheet: Sheet,
  path: string,
  current: Map<string, Marks>,
  { item, scores, comment }: Change,
): Promise<void> {
  using lock = await Deno.open(`${path}.lock`, { create: true, write: true });
  await lock.lock(true);
  try {
    for (const [other, saved] of await savedMarks(sheet, path)) current.set(other, saved);
    const saved = current.get(item);
    current.set(item, {
      scores: { ...saved?.scores, ...scores },
      comment: comment ?? saved?.comment ?? "",
    });
    await replaceFile(path, formatSheet(sheet.items, rubricOf(sheet.key), current));
  } finally {
    await lock.unlock();
  }
}

async function savedMarks(sheet: Sheet, path: string): Promise<ReadonlyMap<string, Marks>> {
  try {
    return readMarks(decodeText(await Deno.readFile(path), path), sheet.key, path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Map();
    throw error;
  }
}

/**
 * Serves a page on 127.0.0.1, behind a path that is hard to guess and under the address it listens on alone.
 *
 * @param handle gets the request, and its method and the rest of its path as in `POST mark`
 */
export function serveLocally(
  { token, port }: { token: string; port: number },
  handle: (request: Request, path: string) => Response | Promise<Response>,
): { readonly url: string; stop(): Promise<void> } {
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, async (request) => {
    const { pathname, host } = new URL(request.url);
    // A page of another site could reach this port under its own name (DNS rebinding).
    if (host !== `127.0.0.1:${server.addr.port}`) return plain(403, "use the page's own address");
    if (!pathname.startsWith(`/${token}/`)) return plain(404, "not found");
    return await handle(request, `${request.method} ${pathname.slice(token.length + 2)}`);
  });
  return { url: `http://127.0.0.1:${server.addr.port}/${token}/`, stop: () => server.shutdown() };
}

export function plain(status: number, text: string): Response {
  return new Response(text, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

export function html(text: string): Response {
  return new Response(text, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      // Answers are shown as text only; nothing in them may run or use the network.
      "content-security-policy":
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; " +
        "frame-ancestors 'none'",
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
    },
  });
}
