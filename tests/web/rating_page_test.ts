/** The page on which one sheet is filled in: what it saves, what it refuses, whom it answers. */
import assert from "node:assert/strict";
import { formatCsv, parseCsv } from "../../lib/csv.ts";
import { readMarks } from "../../lib/quality/import.ts";
import { makeSheet, type Marks, writeSheet } from "../../lib/quality/sheet.ts";
import { servePage } from "../../lib/web/rating_page.ts";

const sheet = makeSheet(
  [1, 2, 3].map((at) => ({
    id: `${at}`,
    candidate: at === 2 ? "beta" : "alpha",
    prompt_id: `p${at}`,
    phase: "timed" as const,
    round: 1,
    content: `Answer ${at}`,
    reasoning: "",
  })),
  [1, 2, 3].map((at) => ({
    id: `p${at}`,
    messages: [{ role: "user" as const, content: `Case ${at}?` }],
    aspects: ["na\u00efve"],
  })),
  { runId: "run", annotator: "ana", rubric: "fluency" as const },
);

const place = (token = "secret") => ({
  token,
  port: 0,
  clock: () => performance.now(),
  onFault: (error: unknown) => assert.fail(String(error)),
});

async function inTempFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the page saves every score to the sheet, and goes on from it", () =>
  inTempFolder(async (folder) => {
    const path = await writeSheet(folder, sheet);
    const page = await servePage(sheet, path, new Map(), place());
    try {
      const html = await fetch(page.url);
      const policy = html.headers.get("content-security-policy") ?? "";
      assert.match(policy, /default-src 'none'/);
      assert.doesNotMatch(policy, /unsafe/);
      assert.ok(!(await html.text()).includes("alpha"));
      const { items } = await (await fetch(`${page.url}sheet`)).json();
      const [first] = items;
      const mark = (body: unknown) =>
        fetch(`${page.url}mark`, { method: "POST", body: JSON.stringify(body) });
      const scores = { fluency: 4, relevance: 5, correctness: 1 };
      assert.equal((await mark({ item: first.item, scores, comment: "=fine" })).status, 204);
      const marks: Map<string, Marks> = readMarks(await Deno.readTextFile(path), sheet.key, "s.csv");
      assert.deepEqual(marks.get(first.item), { scores, comment: "=fine" });
      assert.equal(page.done(), 1);
      const refused = [
        { item: first.item, scores: { fluency: 6 }, comment: "" },
        { item: "i0", scores, comment: "" },
        { item: first.item, scores: { beauty: 3 }, comment: "" },
        "nonsense",
      ];
      for (const body of refused) {
        const response = await mark(body);
        assert.equal(response.status, 400);
        await response.body?.cancel();
      }
    } finally {
      await page.stop();
    }
  }));

Deno.test("a sheet that was saved in another encoding is not overwritten by the page", () =>
  inTempFolder(async (folder) => {
    const path = await writeSheet(folder, sheet);
    const served = await servePage(sheet, path, new Map(), place());
    try {
      const latin = Uint8Array.from(
        `${await Deno.readTextFile(path)}\n# na\u00efve`.replace("\uFEFF", ""),
        (letter) => letter.charCodeAt(0),
      );
      await Deno.writeFile(path, latin);
      const item = sheet.items[0]?.item;
      const response = await fetch(`${served.url}mark`, {
        method: "POST",
        body: JSON.stringify({ item, scores: { fluency: 4 } }),
      });
      assert.equal(response.status, 500);
      assert.match(
        await response.text(),
        /^the score is not saved: .* is not UTF-8 .*na\u00efve.*: save it as UTF-8$/,
      );
      assert.deepEqual(await Deno.readFile(path), latin);
    } finally {
      await served.stop();
    }
  }));

Deno.test("two pages on one sheet lose no score that either acknowledged, nor one of a spreadsheet", () =>
  inTempFolder(async (folder) => {
    const path = await writeSheet(folder, sheet);
    const pages = await Promise.all(
      ["one", "two", "three"].map((token) => servePage(sheet, path, new Map(), place(token))),
    );
    const [first, second, third] = sheet.items.map(({ item }) => item);
    const post = async (at: number, body: unknown) => {
      const response = await fetch(`${pages[at]?.url}mark`, { method: "POST", body: JSON.stringify(body) });
      assert.equal(response.status, 204, await response.text());
    };
    try {
      await Promise.all([
        post(0, { item: first, scores: { fluency: 1 } }),
        post(1, { item: first, scores: { relevance: 2 }, comment: "from two" }),
        post(2, { item: second, scores: { fluency: 3, relevance: 3, correctness: 3 } }),
        post(0, { item: second, scores: {}, comment: "from one" }),
      ]);
      // A spreadsheet saves the third row in between; then the first page goes on.
      const [head = [], ...rows] = parseCsv(await Deno.readTextFile(path));
      const edited = rows.map((row) => row[0] === third ? [...row.slice(0, 4), "5", "5", "5", "mine"] : row);
      await Deno.writeTextFile(path, formatCsv(head, edited));
      await post(0, { item: first, scores: { correctness: 4 } });
      const saved = readMarks(await Deno.readTextFile(path), sheet.key, "s.csv");
      assert.deepEqual(saved.get(first ?? ""), {
        scores: { fluency: 1, relevance: 2, correctness: 4 },
        comment: "from two",
      });
      assert.deepEqual(saved.get(second ?? "")?.comment, "from one");
      assert.deepEqual(saved.get(second ?? "")?.scores, { fluency: 3, relevance: 3, correctness: 3 });
      assert.deepEqual(saved.get(third ?? "")?.scores, { fluency: 5, relevance: 5, correctness: 5 });
    } finally {
      await Promise.all(pages.map((page) => page.stop()));
    }
  }));

Deno.test("the page answers nobody without its address", () =>
  inTempFolder(async (folder) => {
    const path = await writeSheet(folder, sheet);
    const page = await servePage(sheet, path, new Map(), place());
    try {
      const { origin, port } = new URL(page.url);
      for (const url of [`${origin}/`, `${origin}/guess/sheet`, `http://localhost:${port}/secret/sheet`]) {
        const response = await fetch(url);
        assert.ok([403, 404].includes(response.status), url);
        await response.body?.cancel();
      }
    } finally {
      await page.stop();
    }
  }));
