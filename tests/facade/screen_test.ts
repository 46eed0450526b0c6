/** What a notebook is sent while something is measured, and what a terminal prints. */
import assert from "node:assert/strict";
import { NotebookScreen, terminalScreen } from "../../lib/results/screen.ts";
import { TableView, TextView } from "../../lib/results/view.ts";

/** A notebook whose clock stands still until it is moved. */
function notebook() {
  const sent: { type: string; html: string; id: unknown; output: unknown }[] = [];
  const time = { ms: 0 };
  const screen = new NotebookScreen(
    (type, content) => {
      const { data, metadata, transient } = content;
      sent.push({
        type,
        html: String(Reflect.get(Object(data), "text/html")),
        output: Reflect.get(Object(metadata), "podium_output"),
        id: Reflect.get(Object(transient), "display_id"),
      });
      return Promise.resolve();
    },
    () => time.ms,
    () => Promise.resolve(),
  );
  return { screen, sent, time };
}

Deno.test("a progress bar is one output that is updated at most ten times a second", async () => {
  const { screen, sent, time } = notebook();
  const bar = await screen.progress("Loading");
  for (let done = 1; done <= 50; done++) {
    time.ms += 10;
    bar.update(done, 100, "requests");
  }
  bar.note("Read <this>.");
  await bar.finish("Done.");
  assert.equal(new Set(sent.map(({ id }) => id)).size, 1);
  assert.deepEqual(sent.map(({ type }) => type).slice(0, 2), ["display_data", "update_display_data"]);
  assert.ok(sent.length <= 2 + 6, `${sent.length} messages in half a second`);
  assert.match(sent[1]?.html ?? "", /<progress value="1" max="100"/);
  assert.match(sent.at(-1)?.html ?? "", /Done\.[\s\S]*Read &lt;this&gt;\./);
});

Deno.test("outputs are numbered, so that a lost one is noticed", async () => {
  const { screen, sent } = notebook();
  await screen.show(new TextView("one"));
  const live = await screen.live("nothing yet");
  await live.finish(new TextView("two"));
  await screen.show(new TextView("three"));
  assert.deepEqual(sent.map(({ output }) => output), [1, 2, 2, 3]);
});

Deno.test("a terminal gets results on one stream and progress on the other", async () => {
  const printed: string[] = [];
  const reported: string[] = [];
  const screen = terminalScreen({
    print: (text) => printed.push(text),
    report: (text) => reported.push(text),
    interactive: false,
  }, () => 0);
  const bar = await screen.progress("Loading");
  bar.update(1, 2, "requests");
  await bar.finish("Done.");
  await screen.show(new TextView("**Bold** \x1b[2Jnot obeyed"));
  assert.deepEqual(reported, ["Loading\n", "Done.\n"]);
  assert.deepEqual(printed, ["Bold ␛[2Jnot obeyed"]);
});

Deno.test("numbers are right-aligned, and text cannot become markup", () => {
  const table = new TableView([{ name: "<b>", "n": 3 }, { name: "x", "n": null }], "n & m");
  assert.match(
    table.html,
    /<td style="text-align:right[^"]*">3<\/td>[\s\S]*<td style="text-align:right[^"]*">–<\/td>/,
  );
  assert.match(table.html, /&lt;b&gt;/);
  assert.doesNotMatch(table.html, /<b>/);
  assert.equal(String(table), "name  n\n<b>   3\nx     –\nn & m");
});
