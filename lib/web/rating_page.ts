/**
 * The annotation page: one item at a time, scored with the keyboard, saved at once. It is another editor
 * for the sheet: what it saves is the same CSV that `import` reads.
 */
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { UserError } from "../errors.ts";
import { decodeText } from "../text_file.ts";
import { bodyText, DEFAULT_LIMITS, type IncomingRequest, parsedJson } from "../openai/server.ts";
import { readMarks } from "../quality/import.ts";
import { score } from "../quality/ratings.ts";
import { formatSheet, type Marks, rubricOf, type Sheet } from "../quality/sheet.ts";
import { type PrivatePageOptions, refuse, reply, servePrivately } from "./live_page.ts";
import { ratingMarkup, ratingScript, ratingStyle } from "./rating_assets.ts";

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
 * @param marks earlier scores
 * @throws the system's error where the port can't be had
 *
 * ```ts ignore
 * const page = await servePage(sheet, "reports/…/annotation/ana-fluency.csv", new Map(), { token: crypto.randomUUID(), ... });
 * console.log(page.url);
 * await page.finished;
 * await page.stop();
 * ```
 */
export async function servePage(
  sheet: Sheet,
  path: string,
  marks: ReadonlyMap<string, Marks>,
  options: PrivatePageOptions,
): Promise<AnnotationPage> {
  const rubric = rubricOf(sheet.key);
  const names = rubric.dimensions.map(({ name }) => name);
  const current = new Map(marks);
  const finished = Promise.withResolvers<void>();
  let saving: Promise<void> = Promise.resolve();
  const save = (change: Change) => {
    saving = saving.catch(() => {}).then(() => saveChange(sheet, path, current, change));
    return saving;
  };
  const server = await servePrivately(async (request, path) => {
    if (path === "GET ") return reply(ratingMarkup, "text/html");
    if (path === "GET page.css") return reply(ratingStyle, "text/css");
    if (path === "GET page.js") return reply(ratingScript(rubric), "text/javascript");
    if (path === "GET sheet") {
      return reply(
        JSON.stringify({ items: sheet.items, marks: Object.fromEntries(current) }),
        "application/json",
      );
    }
    if (path === "POST mark") return await mark(request);
    if (path === "POST done") {
      finished.resolve();
      return new Response(null, { status: 204 });
    }
    return refuse(404, "not found");
  }, options);

  async function mark(request: IncomingRequest): Promise<Response> {
    const parsed = change.safeParse(parsedJson(await bodyText(request, DEFAULT_LIMITS)));
    if (!parsed.success) return refuse(400, z.prettifyError(parsed.error));
    const { item, scores } = parsed.data;
    if (!sheet.items.some((one) => one.item === item)) return refuse(400, `unknown item ${item}`);
    const strange = Object.keys(scores).find((name) => !names.includes(name));
    if (strange !== undefined) return refuse(400, `${strange} is not one of ${names.join(", ")}`);
    try {
      await save(parsed.data);
      return new Response(null, { status: 204 });
    } catch (error) {
      const reason = error instanceof UserError ? error.message : `can't write ${path}`;
      return refuse(500, `the score is not saved: ${reason}`);
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
 * Saves one change. Another page, or a spreadsheet, may have saved the same sheet meanwhile: the sheet is read again
 * under a lock and the change added to it, so that no saved score is lost.
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
