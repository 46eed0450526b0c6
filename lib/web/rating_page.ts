/**
 * The annotation page: one item at a time, scored with the keyboard, saved at once. It is another editor
 * for the sheet: what it saves is the same CSV that `import` reads.
 */
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { UserError } from "../errors.ts";
import { decodeText } from "../text_file.ts";
import type { IncomingRequest } from "../openai/server.ts";
import { readMarks } from "../quality/import.ts";
import { score } from "../quality/ratings.ts";
import { formatSheet, type Marks, rubricOf, type Sheet } from "../quality/sheet.ts";
import {
  json,
  posted,
  type PrivatePage,
  type PrivatePageOptions,
  refuse,
  servePrivately,
} from "./live_page.ts";
import { ratingMarkup, ratingScript, ratingStyle } from "./rating_assets.ts";

/** A change of one item. */
const changeSchema = z.strictObject({
  item: z.string(),
  /** The scores that were given or changed, by dimension. */
  scores: z.record(z.string(), score),
  /** Absent where it was not changed. */
  comment: z.string().max(4000).optional(),
});

type Change = z.infer<typeof changeSchema>;

/** A sheet's page that is being served. */
export interface AnnotationPage extends PrivatePage {
  /** Items with a full set of scores. */
  done(): number;
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
  let saving: Promise<void> = Promise.resolve();
  const mark = async (request: IncomingRequest) => {
    const change = await posted(request, changeSchema);
    if (change instanceof Response) return change;
    const { item, scores } = change;
    if (!sheet.items.some((one) => one.item === item)) return refuse(400, `unknown item ${item}`);
    const strange = Object.keys(scores).find((name) => !names.includes(name));
    if (strange !== undefined) return refuse(400, `${strange} is not one of ${names.join(", ")}`);
    saving = saving.catch(() => {}).then(() => saveChange(sheet, path, current, change));
    try {
      await saving;
      return new Response(null, { status: 204 });
    } catch (error) {
      const reason = error instanceof UserError ? error.message : `can't write ${path}`;
      return refuse(500, `the score is not saved: ${reason}`);
    }
  };
  const page = await servePrivately({
    page: ratingMarkup,
    style: ratingStyle,
    script: ratingScript(rubric),
    routes: {
      "GET sheet": () => json({ items: sheet.items, marks: Object.fromEntries(current) }),
      "POST mark": mark,
    },
  }, options);
  return {
    ...page,
    done: () => [...current.values()].filter(({ scores }) => names.every((name) => name in scores)).length,
    async stop() {
      await saving.catch(() => {});
      await page.stop();
    },
  };
}

/**
 * Saves one change. Another page, or a spreadsheet, may have saved the same sheet meanwhile: the sheet is
 * read again under a lock and the change added to it, so that no saved score is lost.
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
