/// <reference lib="dom" />
/** The live page in a real browser, over a fleet's folder with 20 simulated machines: skipped, loudly, without one. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { writeGeneratedRun } from "../../benchmarks/generated_run.ts";
import type { DeviceState, DeviceStatement, ReceivedRun, SentPlan } from "../../lib/fleet/device.ts";
import { type FleetPage, serveFleetPage } from "../../lib/web/fleet_page.ts";
import { launchBrowser } from "../../scripts/notebook/lab.ts";

const PLAN = "p-261129020000abcd";
const attack = `<img src=x onerror="document.title='attacked'"><script>document.title='attacked'</script>`;
/** Ends an attribute of an element, a text in a figure, and a line of events. */
const model = `small" style="x"></text><script>document.title='attacked'</script>\n\ndata: {}`;

const idOf = (at: number) => `d-${String(at).padStart(10, "0")}`;
const save = (path: string, value: unknown) => Deno.writeTextFile(path, JSON.stringify(value));

interface Room {
  readonly folder: string;
  readonly page: FleetPage;
  readonly url: string;
  /** A device says how far it is. */
  say(at: number, state: Partial<DeviceState>): Promise<void>;
  /** Its run arrives whole. */
  complete(at: number): Promise<void>;
}

async function withRoom(test: (room: Room) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "podium-page-" });
  const machine = (at: number) => ({
    cpu: at === 3 ? attack : `Example CPU ${at % 4}`,
    cores: 4,
    ram_gb: at % 3 === 0 ? 7.6 : 15.5,
    gpu: [],
    os: "Linux 6.1",
    arch: "x86_64",
  });
  const faults: unknown[] = [];
  await Deno.mkdir(join(folder, "plans"));
  await save(join(folder, "fleet.json"), { schema_version: 1, name: `class ${attack}` });
  const sent: SentPlan = {
    plan: {
      schema_version: 1,
      id: PLAN,
      created_at: "2026-11-29T02:00:00.000Z",
      kind: "bench",
      models: ["large", model],
      job: { name: "cases", sha256: "0".repeat(64), text: "[]" },
    },
    on: "all",
    devices: Array.from({ length: 20 }, (_, at) => idOf(at)),
  };
  await save(join(folder, "plans", `${PLAN}.json`), sent);
  for (let at = 0; at < 20; at++) {
    const statement: DeviceStatement = {
      schema_version: 1,
      id: idOf(at),
      name: `desk-${at + 1}`,
      tags: [],
      machine: machine(at),
      versions: {},
      free_ram_gb: 4,
      models: [],
      limits: { kinds: ["bench"], downloads: false, max_requests: 1000, max_tokens: 1000, max_minutes: 60 },
    };
    await Deno.mkdir(join(folder, "devices", idOf(at)), { recursive: true });
    await save(join(folder, "devices", idOf(at), "device.json"), statement);
  }
  const page = await serveFleetPage({
    folder,
    host: "127.0.0.1",
    port: 0,
    now: () => new Date(),
    clock: () => performance.now(),
    onFault: (error) => faults.push(error),
  });
  const say: Room["say"] = async (at, change) => {
    const state: DeviceState = {
      doing: "waiting",
      plan: PLAN,
      done: 0,
      total: 0,
      note: null,
      heard_at: new Date().toISOString(),
      clock_off_s: 0,
      ...change,
    };
    const path = join(folder, "devices", idOf(at), "state.json");
    await save(`${path}.new`, state);
    await Deno.rename(`${path}.new`, path);
    page.onEvent({ kind: "state", device: idOf(at), state });
  };
  const complete: Room["complete"] = async (at) => {
    const home = join(folder, "devices", idOf(at));
    const runId = `2026-11-29T02-00-${String(at).padStart(2, "0")}-demo`;
    const slow = at % 3 === 0 ? 1.8 : 1;
    await writeGeneratedRun(join(home, runId), {
      runId,
      seed: at + 1,
      machine: machine(at),
      candidates: [
        { id: "large", ttftMs: 80 * slow, itlMs: 12 * slow * (1 + at / 60), tokens: 60 },
        { id: model, ttftMs: 40 * slow, itlMs: 8 * slow, tokens: 60 },
      ],
    });
    const received: ReceivedRun = {
      schema_version: 1,
      plan: PLAN,
      status: "complete",
      reasons: [],
      first_at: "2026-11-29T02:01:00.000Z",
      last_at: "2026-11-29T02:02:00.000Z",
      files: [],
    };
    await save(join(home, runId, "received.json"), received);
    const outcome = {
      plan: PLAN,
      device: idOf(at),
      status: "complete",
      reasons: [],
      run: runId,
      at: received.last_at,
    };
    await save(join(home, `${PLAN}.json`), outcome);
    page.onEvent({ kind: "ended", device: idOf(at), plan: PLAN, status: "complete", reasons: [] });
  };
  try {
    await test({ folder, page, url: `http://127.0.0.1:${page.port}/`, say, complete });
    assert.deepEqual(faults, []);
  } finally {
    await page.close();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Everything that the page says on its console: a policy that is broken, a script that fails. */
function logOf(page: Page): string[] {
  const log: string[] = [];
  page.on("console", (message) => log.push(message.text()));
  page.on("pageerror", (error) => log.push(error.message));
  return log;
}

const inBrowser = { sanitizeOps: false, sanitizeResources: false };

Deno.test({
  name:
    "20 machines: the screen follows them as they run, shows who needs help, and draws results as they come",
  ...inBrowser,
  fn: async () => {
    await using browser = await launchBrowser();
    if (browser === null) {
      return console.warn(
        "SKIPPED: no Chromium or Chrome found (set CHROME_PATH): the live page was not opened",
      );
    }
    await withRoom(async ({ page: live, url, say, complete }) => {
      const page = await browser.newPage({ viewport: { width: 1920, height: 1080 } });
      const log = logOf(page);
      await page.goto(url);
      await page.getByText("No run is complete yet.").waitFor();
      assert.equal(await page.locator(".devices li").count(), 20);
      for (let at = 0; at < 14; at++) await say(at, { doing: "running", done: 10 * at, total: 200 });
      await say(14, { doing: "refused", note: `the plan asks for 1,000 tokens ${attack}` });
      await say(15, { doing: "failed", note: "no model could be loaded" });
      await say(16, {
        heard_at: new Date(Date.now() - 300_000).toISOString(),
        doing: "running",
        done: 5,
        total: 200,
      });
      live.onEvent({ kind: "not joined", reason: `the code is used up ${attack}` });
      await page.getByText("70/200").waitFor();
      const help = await page.locator(".devices .help .name").allInnerTexts();
      assert.deepEqual(help, ["desk-15", "desk-16", "desk-17"], "those who need help come first");
      assert.match(
        await page.locator(".devices .help").nth(2).innerText(),
        /! away[\s\S]*no message for 5 min/,
      );
      assert.match(
        await page.locator(".counts").innerText(),
        /20\s*joined\s*14\s*running\s*0\s*done\s*3\s*need help/,
      );
      assert.match(await page.locator(".notices").innerText(), /could not join: the code is used up <img/);

      for (let at = 0; at < 12; at++) await complete(at);
      await page.getByText("Results of 12 devices").waitFor({ timeout: 20_000 });
      const [dots, forest] = await page.locator("figure svg").all();
      assert.match(await dots?.textContent() ?? "", /desk-12/);
      assert.match(await forest?.textContent() ?? "", /mean of 12 devices[\s\S]*the next device/);
      const counts = await page.locator(".counts").innerText();
      assert.match(counts, /2\s*running\s*12\s*done/, "devices 12 and 13 still run");

      // A hub that gets hostile words from its devices shows them as words.
      assert.equal(await page.title(), `Fleet class ${attack}`);
      assert.equal(await page.locator("main script, main img, main [style], main [onerror]").count(), 0);
      assert.deepEqual(log, [], "no policy was broken");
      assert.equal(
        await page.evaluate(() => document.documentElement.scrollWidth),
        1920,
        "nothing is cut off",
      );
      const size = await page.locator(".devices .name").first().evaluate((one) =>
        parseFloat(getComputedStyle(one).fontSize)
      );
      assert.ok(size >= 28, `names have ${size} px at 1920 px`);
      const colours: string[] = [];
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        colours.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
        const shots = Deno.env.get("PODIUM_SCREENSHOTS");
        if (shots !== undefined) {
          await page.screenshot({ path: join(shots, `${colorScheme}.png`), fullPage: true });
        }
      }
      assert.deepEqual(colours, ["rgb(255, 255, 255)", "rgb(15, 19, 23)"]);
      await live.close();
      await page.getByText("No connection to the hub").waitFor();
    });
  },
});

Deno.test({
  name: "a learner sees the own machine beside all, on a phone too",
  ...inBrowser,
  fn: async () => {
    await using browser = await launchBrowser();
    if (browser === null) return console.warn("SKIPPED: no Chromium or Chrome found (set CHROME_PATH)");
    await withRoom(async ({ url, say, complete }) => {
      for (let at = 0; at < 4; at++) await say(at, { doing: "running", done: 50, total: 200 });
      const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
      const log = logOf(page);
      await page.goto(url);
      await page.getByRole("link", { name: "desk-4", exact: true }).click();
      await page.waitForURL(`**/device/${idOf(3)}`);
      assert.deepEqual(await page.locator(".devices .name").allInnerTexts(), ["desk-4"]);
      await page.getByText("50/200").waitFor();
      for (const at of [1, 2, 3]) await complete(at);
      await page.getByText("3 of 3").first().waitFor({ timeout: 20_000 });
      assert.match(
        await page.locator("tbody tr").first().innerText(),
        /^large\s+[\d.]+ m?s\s+[\d.]+ m?s\s+3 of 3$/,
      );
      assert.match(await page.locator("figure svg").first().textContent() ?? "", /▶ desk-4/);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
      assert.deepEqual(log, []);
      const shots = Deno.env.get("PODIUM_SCREENSHOTS");
      if (shots !== undefined) await page.screenshot({ path: join(shots, "learner.png"), fullPage: true });
    });
  },
});

Deno.test("the page answers under its own address alone, only shows, and allows no inline script or style", () =>
  withRoom(async ({ page, url }) => {
    const { headers, body } = await fetch(url);
    await body?.cancel();
    const policy = headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);
    const statusOf = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(new URL(path, url), init);
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await statusOf("/", { method: "POST" }), 405);
    assert.equal(await statusOf("/", { headers: { origin: "https://evil.example" } }), 403);
    assert.equal(await statusOf(`/device/${idOf(99)}`), 404);
    assert.equal(await statusOf("/device/../fleet.json"), 404);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: page.port });
    await connection.write(
      new TextEncoder().encode("GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"),
    );
    const answer = new Uint8Array(1000);
    await connection.read(answer);
    assert.match(new TextDecoder().decode(answer), /^HTTP\/1.1 403 /);
  }));

Deno.test("events come at most once per second, however much happens, and the last one tells the end", () =>
  withRoom(async ({ url, say }) => {
    const { body } = await fetch(new URL("/events", url));
    assert.ok(body);
    const events: { readonly atMs: number; readonly text: string }[] = [];
    const reading = (async () => {
      for await (const text of body.pipeThrough(new TextDecoderStream())) {
        events.push({ atMs: performance.now(), text });
        if (text.includes("60/60")) return;
      }
    })();
    for (let done = 0; done <= 60; done++) {
      await say(0, { doing: "running", done, total: 60 });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await reading;
    const gaps = events.slice(1).map(({ atMs }, at) => atMs - (events[at]?.atMs ?? 0));
    assert.ok(events.length >= 3 && gaps.every((ms) => ms > 900), JSON.stringify(gaps));
  }));
