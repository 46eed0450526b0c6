/** What a custom model does wrong stays its own: it loops, leaks, hangs, and others go on. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { running, start } from "./adapter_fixture.ts";
import { isAlive, until } from "../engine/real_model.ts";

const misbehaving = { module: "adapters/misbehaving.ts" };

Deno.test("an adapter that loops for ever is ended at its deadline, and started again for the next request", async () => {
  await using custom = await running({ ...misbehaving, answer_timeout_s: 0.7 });
  await using other = await running(misbehaving);
  const [pid, otherPid] = [await custom.ask("pid"), await other.ask("pid")];
  const looping = custom.ask("loop");
  const waiting = custom.ask("pid");
  assert.equal(await other.ask("and you?"), "You said: and you?", "others answer meanwhile");
  assert.match(await looping, /^504 adapter_timeout: .*within 0.7 s \("answer_timeout_s"\).*again/);
  assert.notEqual(await waiting, pid, "who waited in line gets its answer, from a new process");
  assert.equal(await other.ask("pid"), otherPid);
  assert.match(await custom.ask("flood", { max_tokens: 3 }), /^x x x\s*$/);
});

Deno.test("an adapter that leaks dies alone at its memory limit, inside V8's heap and outside of it", async () => {
  await using custom = await running({ ...misbehaving, memory_mb: 160 });
  for (const order of ["leak", "hoard"]) {
    const pid = await custom.ask("pid");
    assert.match(await custom.ask(order), /^503 adapter_ended: .*memory_mb.*again/, order);
    assert.notEqual(await custom.ask("pid"), pid);
  }
});

Deno.test("an error that nobody catches ends the process with its message", async () => {
  await using custom = await running(misbehaving);
  assert.match(await custom.ask("reject"), /^503 adapter_ended: .*nobody catches this/);
  assert.equal(await custom.ask("hello"), "You said: hello");
});

Deno.test("a client that goes away ends its answer; an adapter that does not listen is ended", async () => {
  await using custom = await running(misbehaving);
  const pid = await custom.ask("pid");
  for (const [order, same] of [["wait", true], ["deaf", false]] as const) {
    const gone = new AbortController();
    const response = await custom.post(order, { stream: true }, gone.signal);
    const reader = response.body?.getReader();
    await reader?.read();
    gone.abort();
    assert.equal(await custom.ask("pid") === pid, same, order);
  }
});

Deno.test("aborting ends an adapter that is still loading", async () => {
  for (const afterMs of [0, 300]) {
    const stop = new AbortController();
    const loading = start({ ...misbehaving, options: { fail: "loop" } }, undefined, stop.signal);
    setTimeout(() => stop.abort(new Error("enough")), afterMs);
    await assert.rejects(loading, /enough/);
  }
});

Deno.test({
  name: "a parent that is killed leaves no adapter behind, not even one that loops",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const program = fileURLToPath(new URL("./adapter_parent.ts", import.meta.url));
    const parent = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--no-check",
        "--allow-read",
        "--allow-env",
        "--allow-run",
        "--allow-net=127.0.0.1",
        program,
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const output = parent.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const adapter = Number((await output.read()).value);
    assert.ok(isAlive(adapter), `adapter ${adapter} runs`);
    parent.kill("SIGKILL");
    await parent.status;
    await until(() => !isAlive(adapter));
    await output.cancel();
  },
});
