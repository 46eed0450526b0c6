/** What models and services say is printed by every task, and obeyed by no terminal. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { DeviceStatement } from "../lib/fleet/device.ts";
import { type Task, workspace } from "./golden/podium.ts";

/** Sets the window's title, clears the screen, fakes a link, turns the text around, and begins a C1 sequence. */
const ATTACK = "\u001b]0;owned\u0007\u001b[2J\u001b]8;;http://evil\u0007\u202e\u009b2J";
const NAME = `evil${ATTACK}`;
// deno-lint-ignore no-control-regex -- none of these may come out; line feeds and tabs may
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

Deno.test("no task passes control characters of a model or service to the terminal", async () => {
  await using work = await workspace({
    [NAME]: { ttftMs: 1, itlMs: 1, words: ["It ", ATTACK, " is blue."] },
    [`broken${ATTACK}`]: {
      fault: { kind: "http", status: 500, body: `{"error":{"message":"${"\\u001b"}[2J"}}` },
    },
  });
  const endpoint = ["--endpoint", `lab=${work.endpoint}`];
  const out = ["--out", work.folder];
  const models = ["--models", `"${NAME}"@lab,quick@lab,"broken${ATTACK}"@lab`];
  const few = ["--prompt", "Say blue.", "--rounds", "2", "--warmup", "0"];
  const printed = async (task: Task, ...args: string[]) => {
    const child = work.start(task, args);
    const { stdout, stderr } = await child.output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.doesNotMatch(text, OBEYED, `${task} ${args.join(" ")}`);
    return text;
  };
  assert.match(await printed("chat", `"${NAME}"@lab`, ...endpoint, "--prompt", "Say blue."), /␛\[2J/);
  assert.match(
    await printed("chat", `"${NAME}"@lab`, ...endpoint, "--prompt", "Say blue.", "--json"),
    /is blue/,
  );
  assert.match(await printed("bench", ...models, ...endpoint, ...few, ...out), /evil␛/);
  const run = [...Deno.readDirSync(work.folder)].find(({ name }) => /^\d{4}-/.test(name))?.name ?? "";
  const folder = join(work.folder, run);
  await printed("report", folder);
  await printed("report", folder, "--json");
  await printed("compare", folder, folder);
  await printed("quality", "check", folder);
  await printed("select", folder, ...out);
  await printed("race", "--replay", folder);
  await printed("models", "service", ...endpoint);
  await printed("doctor", ...endpoint, "--models", `"${NAME}"@lab`);
});

Deno.test({
  name: "at 60 columns no task prints a wider line, but for paths and commands to copy",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using work = await workspace();
    const run = await work.recordedRun();
    const room = join(work.folder, "fleets", "room");
    await Deno.mkdir(join(room, "devices", "d-0000000001"), { recursive: true });
    const machine = {
      cpu: "AMD EPYC-Milan Processor, 16 cores",
      cores: 16,
      ram_gb: 23.5,
      gpu: [],
      os: "Linux",
      arch: "x86_64",
    };
    const statement: DeviceStatement = {
      schema_version: 1,
      id: "d-0000000001",
      name: "the-laptop-by-the-window",
      tags: [],
      machine,
      versions: {},
      free_ram_gb: 4,
      models: [],
      limits: { kinds: ["bench"], downloads: false, max_requests: 9, max_tokens: 9, max_minutes: 9 },
    };
    await Deno.writeTextFile(join(room, "fleet.json"), JSON.stringify({ schema_version: 1, name: "room" }));
    await Deno.writeTextFile(join(room, "devices", statement.id, "device.json"), JSON.stringify(statement));
    const out = ["--out", work.folder];
    const lab = ["--endpoint", `lab=${work.endpoint}`, "--models", "quick@lab,slow@lab"];
    const few = ["--prompt", "Say blue.", "--rounds", "2", "--warmup", "0"];
    const tasks: readonly (readonly [Task, ...string[]])[] = [
      ["bench", ...lab, ...few, ...out],
      ["report", run],
      ["select", run, ...out],
      ["compare", run, run],
      ["gate", run, "--against", run],
      ["race", "--replay", run, ...out],
      ["models", "list"],
      ["models", "fit"],
      ["fit"],
      ["doctor", ...lab],
      ["quality", "check", run],
      ["route", "show", join("tests", "golden", "expected", "route", "plan.json")],
      ["fleet", "status", "--fleets", join(work.folder, "fleets")],
    ];
    const wide: string[] = [];
    for (const [task, ...args] of tasks) {
      const lines = await work.terminal(task, args);
      assert.ok(lines.length > 1 && !lines.some((line) => line.startsWith("error:")), `${task}: ${lines}`);
      // What is redrawn in place is cut where it is shown.
      const copied = /(^| )(?:\/|file:|→|deno task|--)|[█░]/;
      wide.push(
        ...lines.filter((line) => line.length > 60 && !copied.test(line)).map((line) => `${task}: ${line}`),
      );
    }
    assert.deepEqual(wide, []);
  },
});
