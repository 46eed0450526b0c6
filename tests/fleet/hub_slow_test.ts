/** The hub with the real NATS server: what devices may do, what they may not, and that nothing is lost or doubled. */
import { jetstream } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/nats-core";
import assert from "node:assert/strict";
import { join } from "node:path";
import { faultRun } from "../../benchmarks/fleet_faults.ts";
import { LIMITS, simulatedDevice, type SimulatedTerms } from "../../benchmarks/fleet_devices.ts";
import { BUNDLED, filesOf } from "../../lib/fleet/bundle.ts";
import { readFleet } from "../../lib/fleet/fleet_folder.ts";
import { markStopped } from "../../lib/fleet/hub.ts";
import { credentialsFor } from "../../lib/fleet/join.ts";
import { idOfKey, newKey, signingKey } from "../../lib/fleet/keys.ts";
import {
  connectHub,
  endReply,
  joinLine,
  OFFSET,
  parseJoinLine,
  PLANS,
  subjects,
} from "../../lib/fleet/wire.ts";
import { type TestHub, withHub } from "./hub.ts";

const signal = new AbortController().signal;

function deviceIn(room: TestHub, name: string, change: Partial<SimulatedTerms> = {}) {
  const requestMs = (candidate: number) => candidate === 0 ? 10 : 20;
  return simulatedDevice({ home: join(room.home, name), name, cores: 4, ramGb: 7.6, requestMs, ...change });
}

/** A device that carries nothing out: its connection, with its own credentials. */
async function bareDevice(room: TestHub, name: string): Promise<{ id: string; connection: NatsConnection }> {
  const { statement } = await deviceIn(room, name);
  const key = await signingKey(await newKey());
  const id = await idOfKey(key.publicKey);
  const line = parseJoinLine(room.hub.newJoinLine(1));
  const state = join(room.home, name);
  const credentials = await credentialsFor(line, { state, key, statement: { ...statement, id } });
  return { id, connection: await connectHub({ ...credentials, name: id, credentials }) };
}

/** Publishes a piece of a run as a device would; what the server says when it takes none. */
async function publish(
  connection: NatsConnection,
  subject: string,
  bytes: Uint8Array,
  offset = 0,
): Promise<string | null> {
  const head = headers();
  head.set(OFFSET, String(offset));
  return await jetstream(connection, { timeout: 1000 }).publish(subject, bytes, { headers: head, retries: 0 })
    .then(
      () => null,
      (error) => String(error),
    );
}

Deno.test("devices join over TLS, carry out a plan, and their runs arrive byte for byte", () =>
  withHub(async (room) => {
    const line = room.hub.newJoinLine(2);
    assert.match(line, /^wss:\/\/127\.0\.0\.1:\d+\/#[2-9A-Z]{5}-[2-9A-Z]{5}\.[\w-]{43}$/);
    const devices = [await deviceIn(room, "left"), await deviceIn(room, "right")];
    const serving = devices.map((device) => device.serve(line, signal));
    await room.until("both joined", async () => (await readFleet(room.folder)).devices.length === 2);
    const plan = await room.send(devices.map(({ statement }) => statement.id));
    await Promise.all(serving);
    const fleet = await readFleet(room.folder);
    assert.deepEqual(fleet.runs.map(({ status, plan }) => [status, plan]), [["complete", plan], [
      "complete",
      plan,
    ]]);
    assert.deepEqual(fleet.plans[0]?.outcomes.map(({ status }) => status), ["complete", "complete"]);
    assert.deepEqual(fleet.devices.map(({ statement }) => statement.name).sort(), ["left", "right"]);
    for (const { folder, device, info } of fleet.runs) {
      const own = await filesOf(join(room.home, device.name ?? "", "reports", info.run_id), BUNDLED);
      assert.deepEqual(await filesOf(folder, BUNDLED), own);
      assert.equal(info.status, "completed");
    }
  }, { tls: true }));

Deno.test("another authority than the join line's is not trusted", () =>
  withHub(async (room) => {
    const line = parseJoinLine(room.hub.newJoinLine(1));
    const stranger = (await signingKey(await newKey())).publicKey;
    const device = await deviceIn(room, "left");
    await assert.rejects(device.serve(joinLine({ ...line, authority: stranger }), signal), /can't connect/);
    await assert.rejects(device.serve(joinLine({ ...line, authority: null }), signal), /can't connect/);
  }, { tls: true }));

Deno.test("a code lets in as many devices as it says, once each, and no one without it", () =>
  withHub(async (room) => {
    const line = room.hub.newJoinLine(1);
    const [first, second] = [await deviceIn(room, "one"), await deviceIn(room, "two")];
    const controller = new AbortController();
    const serving = first.serve(line, controller.signal);
    await room.until("the first joined", () => room.events.some(({ kind }) => kind === "joined"));
    await assert.rejects(second.serve(line, signal), /this code was used/);
    await assert.rejects(second.serve(line.replace(/#.*/, "#AAAAA-AAAAA"), signal), /not known/);
    controller.abort();
    await serving;
    // It has its credentials, and needs no code any more.
    const again = new AbortController();
    const back = first.serve(line, again.signal);
    await room.until(
      "it is heard again",
      () => room.events.filter(({ kind }) => kind === "state").length > 2,
    );
    again.abort();
    await back;
  }));

Deno.test("a client without credentials can do nothing but ask to join", () =>
  withHub(async (room) => {
    const { url } = room.hub;
    const connection = await connectHub({ url, authority: null, name: "join", credentials: null });
    const denied = /Permissions Violation/;
    await assert.rejects(connection.request("$JS.API.STREAM.LIST", "", { timeout: 1000 }), denied);
    await assert.rejects(connection.request("fleet.state.d-0123456789", "{}", { timeout: 1000 }), denied);
    for (const subject of ["fleet.>", ">", "fleet.join"]) {
      const heard = connection.subscribe(subject);
      await assert.rejects(
        (async () => {
          for await (const message of heard) throw new Error(`heard ${message.subject}`);
        })(),
        denied,
        subject,
      );
    }
    await connection.close();
  }));

Deno.test("a device can't read another's plans, write another's results, or ask the server for anything else", () =>
  withHub(async (room) => {
    const [mine, other] = [await bareDevice(room, "mine"), await bareDevice(room, "other")];
    const { connection } = mine;
    const plan = await room.send([other.id]);
    const denied = /Permissions Violation/;
    for (
      const subject of [
        subjects.end(other.id),
        subjects.state(other.id),
        subjects.plan(mine.id),
        `$JS.API.CONSUMER.MSG.NEXT.${PLANS}.${other.id}`,
        `$JS.API.CONSUMER.CREATE.${PLANS}`,
        `$JS.API.STREAM.MSG.GET.${PLANS}`,
        `$JS.API.DIRECT.GET.${PLANS}`,
        "$JS.API.STREAM.PURGE.PODIUM_RECORDS",
        "$SYS.REQ.SERVER.PING",
      ]
    ) await assert.rejects(connection.request(subject, "{}", { timeout: 1000 }), denied, subject);
    const theirs = `${subjects.records(other.id)}.${plan}.2026-11-29T00-00-00-aaaa.samples`;
    assert.match(await publish(connection, theirs, new Uint8Array(1)) ?? "", denied);
    for (const subject of [subjects.plan(other.id), `_INBOX_${other.id}.>`, "fleet.>"]) {
      const heard = connection.subscribe(subject);
      await assert.rejects(
        (async () => {
          for await (const message of heard) throw new Error(`heard ${message.subject}`);
        })(),
        denied,
        subject,
      );
    }
    await mine.connection.close();
    await other.connection.close();
  }));

Deno.test("what a device may not send is refused by name: no plan of its own, no such file, a path", () =>
  withHub(async (room) => {
    const { id, connection } = await bareDevice(room, "mine");
    const other = await bareDevice(room, "other");
    const plan = await room.send([other.id]);
    const own = subjects.records(id);
    const bytes = new TextEncoder().encode("{}\n");
    for (
      const [tail, says] of [
        [`${plan}.2026-11-29T00-00-00-aaaa.samples`, /was not sent the plan/],
        [`p-00000000.2026-11-29T00-00-00-aaaa.samples`, /was not sent the plan/],
        [`${plan}.2026-11-29T00-00-00-aaaa.program`, /a record for program/],
        [`up%2F%2Fetc.%2Fpasswd.samples`, /no id of a device, a plan or a run/],
      ] as const
    ) {
      const before = room.events.length;
      assert.equal(await publish(connection, `${own}.${tail}`, bytes), null);
      await room.until(tail, () => room.events.length > before);
      const event = room.events.at(-1);
      assert.ok(event?.kind === "refused" && says.test(event.reason), JSON.stringify(event));
    }
    const there = await Array.fromAsync(Deno.readDir(join(room.folder, "devices", id)), ({ name }) => name);
    assert.deepEqual(there.filter((name) => /^\d/.test(name)), []);
    await connection.close();
    await other.connection.close();
  }));

Deno.test("pieces that come twice, late, in the wrong order or torn make the same file; a lie is refused", () =>
  withHub(async (room) => {
    const source = "reports/2026-11-21T07-30-18-gzss";
    const { id, connection } = await bareDevice(room, "mine");
    // The job of the recorded run, so that the run is about what the plan names.
    const info = JSON.parse(await Deno.readTextFile(join(source, "run.json")));
    const job = info.plan.prompt_set.prompts.map(({ id, messages }: { id: string; messages: unknown }) => ({
      id,
      messages,
    }));
    await Deno.writeTextFile(join(room.home, "recorded.json"), JSON.stringify(job));
    const plan = await room.send([id], { job: "recorded.json" });
    const samples = await Deno.readFile(join(source, "samples.jsonl"));
    const million = new TextDecoder().decode(samples).replaceAll(
      /"chunk_ms":\[[^\]]+\]/g,
      (list) => list.replaceAll(/[\d.]+/g, (ms) => String(Number(ms) / 1e5)),
    );
    const send = async (run: string, bytes: Uint8Array) => {
      const at = `${subjects.records(id)}.${plan}.${run}`;
      const text = new TextEncoder();
      const runJson = text.encode(JSON.stringify({ ...info, run_id: run }));
      await publish(connection, `${at}.run`, runJson);
      const cuts = [0, 1000, 1001, 70_000, bytes.length].filter((cut) => cut <= bytes.length);
      const pieces = cuts.slice(1).map((cut, nth) => [cuts[nth] ?? 0, cut] as const);
      for (const [from, until] of [...pieces.toReversed(), ...pieces, [500, 2000] as const]) {
        await publish(connection, `${at}.samples`, bytes.subarray(from, until), from);
      }
      await publish(connection, `${at}.answers`, await Deno.readFile(join(source, "answers.jsonl")));
      const own = join(room.home, run);
      await Deno.mkdir(own);
      await Deno.writeFile(join(own, "run.json"), runJson);
      await Deno.writeFile(join(own, "samples.jsonl"), bytes);
      await Deno.copyFile(join(source, "answers.jsonl"), join(own, "answers.jsonl"));
      const request = JSON.stringify({ plan, run, problem: null, files: await filesOf(own, BUNDLED) });
      let reply = endReply.parse((await connection.request(subjects.end(id), request)).json());
      await room.until("a verdict", async () => {
        reply = endReply.parse(
          (await connection.request(subjects.end(id), request, { timeout: 5000 })).json(),
        );
        return reply.verdict !== null;
      });
      return { verdict: reply.verdict, own };
    };
    const honest = await send("2026-11-21T07-30-18-aaaa", samples);
    assert.deepEqual(honest.verdict, { status: "complete", reasons: [] });
    const copy = join(room.folder, "devices", id, "2026-11-21T07-30-18-aaaa");
    assert.deepEqual(await filesOf(copy, BUNDLED), await filesOf(honest.own, BUNDLED));
    const lie = await send("2026-11-21T07-30-18-bbbb", new TextEncoder().encode(million));
    assert.equal(lie.verdict?.status, "refused");
    assert.match(lie.verdict?.reasons.join() ?? "", /speed: .* tokens\/s/);
    const { runs } = await readFleet(room.folder);
    assert.deepEqual(runs.map(({ status }) => status), ["complete", "refused"]);
    await connection.close();
  }));

Deno.test("a plan beyond a device's limits is refused by the device, with the reason", () =>
  withHub(async (room) => {
    const line = room.hub.newJoinLine(1);
    const device = await deviceIn(room, "left", {
      limits: { ...LIMITS, kinds: ["bench"], max_requests: 10 },
    });
    const serving = device.serve(line, signal, 4);
    const ids = [device.statement.id];
    await room.until("it joined", () => room.events.some(({ kind }) => kind === "joined"));
    await room.send(ids);
    await room.send(ids, { kind: "race" });
    await room.send(ids, { rounds: 1, models: ["/home/ana/model.gguf"] });
    await room.send(ids, { rounds: 1, models: ["hf:owner/repo:Q4_0"] });
    await serving;
    const { plans } = await readFleet(room.folder);
    assert.deepEqual(
      plans.flatMap(({ outcomes }) => outcomes.map(({ status }) => status)),
      Array(4).fill("refused"),
    );
    const reasons = plans.flatMap(({ outcomes }) => outcomes.flatMap(({ reasons }) => reasons)).sort().join(
      "\n",
    );
    assert.match(reasons, /12 requests, and this device allows 10/);
    assert.match(reasons, /it is a race, and this device allows bench/);
    assert.match(reasons, /model\.gguf is not a model of this device's registry/);
    assert.match(reasons, /hf:owner\/repo:Q4_0 is not a model/);
  }));

Deno.test("a stopped plan ends within seconds, and what was measured is kept", () =>
  withHub(async (room) => {
    const line = room.hub.newJoinLine(1);
    const device = await deviceIn(room, "left");
    const serving = device.serve(line, signal);
    await room.until("it joined", () => room.events.some(({ kind }) => kind === "joined"));
    const plan = await room.send([device.statement.id], { rounds: 1000 });
    await room.until("it runs", () => room.events.some(({ kind }) => kind === "records"));
    await markStopped(room.folder, plan);
    await serving;
    const { plans, runs } = await readFleet(room.folder);
    assert.equal(plans[0]?.outcomes[0]?.status, "stopped");
    assert.deepEqual(runs.map(({ status, info }) => [status, info.status]), [["complete", "interrupted"]]);
  }));

Deno.test("a full disk at the hub, and then at its server, loses nothing: devices wait until there is room", async () => {
  let full = true;
  const append = (path: string, bytes: Uint8Array) => {
    // As a disk does: it takes a part, then no more.
    Deno.writeFileSync(path, full ? bytes.subarray(0, 7) : bytes, { append: true });
    if (full) throw new Error("No space left on device (os error 28)");
  };
  await withHub(async (room) => {
    const line = room.hub.newJoinLine(1);
    const device = await deviceIn(room, "left", { requestMs: () => 5 });
    const serving = device.serve(line, signal);
    await room.until("it joined", () => room.events.some(({ kind }) => kind === "joined"));
    await room.send([device.statement.id], { rounds: 100 });
    // 600 samples are more than the server may keep.
    await room.until(
      "it has measured all",
      () => room.events.some((event) => event.kind === "state" && event.state.doing === "sending"),
    );
    assert.ok(room.events.some(({ kind }) => kind === "can't write"));
    full = false;
    await serving;
    const { runs } = await readFleet(room.folder);
    assert.deepEqual(runs.map(({ status, reasons }) => [status, reasons]), [["complete", []]]);
  }, { append, waitingBytes: 300_000 });
});

Deno.test("a device whose clock is a year ahead is told from one that lies", () =>
  withHub(async (room) => {
    const line = room.hub.newJoinLine(1);
    const device = await deviceIn(room, "left", { clockOffMs: 365 * 86_400_000 });
    const serving = device.serve(line, signal);
    await room.until("it joined", () => room.events.some(({ kind }) => kind === "joined"));
    await room.send([device.statement.id]);
    await serving;
    const { runs, devices } = await readFleet(room.folder);
    assert.deepEqual(runs.map(({ status }) => status), ["complete"]);
    assert.ok((devices[0]?.state?.clock_off_s ?? 0) > 360 * 86_400);
  }));

Deno.test("ten kills of hub, server, devices and network: no sample is lost or doubled", async () => {
  const { lost, doubled, different, complete, refused } = await faultRun({ kills: 10, devices: 3, seed: 1 });
  assert.deepEqual({ lost, doubled, different, complete, refused }, {
    lost: 0,
    doubled: 0,
    different: [],
    complete: 3,
    refused: [],
  });
});
