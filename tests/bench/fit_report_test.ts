/** `fit` from names to the answer, on a model folder of small true files and a stand-in for the hub. */
import assert from "node:assert/strict";
import { fitReport, type FitRequest } from "../../lib/bench/fit_report.ts";
import { addToCalibration, readCalibration, type RecordedSpeed } from "../../lib/catalog/calibration.ts";
import { describeMachine } from "../../lib/catalog/machine.ts";
import { parseRegistry } from "../../lib/catalog/registry.ts";
import { fitText } from "../../lib/report/fit_text.ts";
import { scratch, sha256, tinyGguf } from "../catalog/fixtures.ts";

const content = tinyGguf(100_000);

function registry(dir: string) {
  const model = (
    alias: string,
    parameters_b: number,
    size_bytes: number,
    more: Record<string, unknown> = {},
  ) => ({
    alias,
    task: ["chat"],
    parameters_b,
    kv_bytes_per_token: 65_536,
    context_tokens: 32_768,
    variants: [{ name: "q4_k_m", quantization: "Q4_K_M", size_bytes, file: `${alias}.gguf`, sources: [] }],
    ...more,
  });
  return parseRegistry(
    JSON.stringify([
      model("tiny", 0.1, content.length),
      model("small", 1, 6e8),
      model("medium", 4, 2.4e9),
      model("large", 30, 18e9),
      model("experts", 30, 18e9, { active_parameters_b: 1 }),
      model("asks", 0.5, 3e8, { min_ram_gb: 100_000 }),
      { alias: "unknown", task: ["chat"], variants: [{ name: "q4", file: "u.gguf", sources: [] }] },
    ]),
    `${dir}/models.json`,
  );
}

async function setUp(env: Record<string, string> = {}) {
  const folder = await scratch();
  await Deno.mkdir(`${folder.dir}/tiny`);
  await Deno.writeFile(`${folder.dir}/tiny/tiny.gguf`, content);
  const store = { dir: folder.dir, unreachable: new Set<string>() };
  const resources = { registry: registry(folder.dir), store, fetch, env: new Map(Object.entries(env)) };
  const ask = (request: FitRequest) => fitReport({ reports: folder.dir, ramGb: 64, ...request }, resources);
  return { store, ask, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

/** Decode and prefill times of a machine that reads 10 GB/s and multiplies 50 · 10^9 weights per second. */
function measured(model: string, bytes: number): RecordedSpeed[] {
  const common = {
    model,
    device: "cpu",
    threads: 2,
    source: "probe",
    at: "2026-11-29T00:00:00Z",
    features: {
      readBytes: { Q4_K: bytes },
      promptValues: { Q4_K: bytes * 1.6 },
      layers: 24,
      vocabulary: 50_000,
      attention: { full: 30_000, windowed: 0, window: 0 },
      approximate: false,
    },
  };
  return [
    { ...common, kind: "decode", tokens: 300, seconds: bytes / 10e9 + 0.001 },
    { ...common, kind: "prefill", tokens: 512, seconds: bytes * 1.6 * 512 / 50e9 },
  ];
}

Deno.test("what is here is read from its header, what is not from models.json, and each no has its reason", async () => {
  await using place = await setUp();
  const { rows } = await place.ask({ ramGb: 4 });
  const shown = rows.map(({ model, basis, here, reasons }) => [model.alias, basis, here, reasons.length]);
  assert.deepEqual(shown, [
    ["tiny", "header", true, 0],
    ["small", "registry", false, 0],
    ["medium", "registry", false, 0],
    ["large", "registry", false, 1],
    ["experts", "registry", false, 1],
    ["asks", "registry", false, 0],
    ["unknown", "nothing", false, 1],
  ]);
  const large = rows.find(({ model }) => model.alias === "large");
  assert.match(
    large?.reasons.join() ?? "",
    /needs 17\.\d GB and 0\.5 GB in reserve, 4 GB are free: .*--kv q8_0/,
  );
  const real = await place.ask({ names: ["asks"], ramGb: undefined });
  assert.match(real.rows[0]?.reasons.join() ?? "", /asks for 100000 GB of RAM, this machine has/);
});

Deno.test("calibrated, the largest model that is fast enough is taken, and the experts' share counts", async () => {
  await using place = await setUp();
  await addToCalibration(place.store, await describeMachine(), [
    ...measured("a:q4", 2e8),
    ...measured("b:q4", 6e8),
    ...measured("c:q4", 1.2e9),
  ]);
  const { rows, recommended, accuracy, calibration } = await place.ask({ threads: 2 });
  const speed = (alias: string) => rows.find(({ model }) => model.alias === alias)?.decode?.tokensPerS ?? 0;
  assert.ok(Math.abs(speed("small") - 10e9 / 6e8) < 6, `${speed("small")}`);
  assert.ok(speed("experts") > 10 * speed("large"), "only the chosen experts are read");
  assert.equal(calibration.models, 3);
  assert.ok((accuracy.decode?.medianError ?? 1) < 0.2);
  assert.equal(recommended?.row.model.alias, "experts");
  assert.match(
    recommended?.because ?? "",
    /of 6 variants that fit, it is the largest that decodes at least 8 tokens\/s/,
  );
  const slower = await place.ask({ threads: 2, ramGb: 8 });
  assert.notEqual(slower.recommended?.row.model.alias, "experts", "18 GB don't go into 8");
});

Deno.test("what if: a graphics card, a bandwidth, several users, a quantised KV cache", async () => {
  await using place = await setUp();
  const one = async (request: FitRequest) => (await place.ask({ names: ["large"], ...request })).rows[0];
  assert.deepEqual((await one({ vramGb: 48 }))?.place, { kind: "gpu" });
  const split = (await one({ vramGb: 10 }))?.place;
  assert.ok(split?.kind === "split" && split.layersOnGpu > 0 && split.layersOnGpu < split.layers);
  const rate = (await one({ vramGb: 48, bandwidthGbS: 1000 }))?.decode;
  assert.ok(rate !== null && rate !== undefined);
  assert.ok(rate.low > 1000 / 18 * 0.35 && rate.high < 1000 / 18 && rate.low < rate.tokensPerS);
  const [alone, four, small] = [
    await one({}),
    await one({ users: 4 }),
    await one({ users: 4, kvCache: "q4_0" }),
  ];
  assert.equal(four?.parts?.kv, (alone?.parts?.kv ?? 0) * 4);
  assert.equal(small?.parts?.kv, (four?.parts?.kv ?? 0) * 4.5 / 16);
  assert.ok((four?.decodePerUser?.tokensPerS ?? 99) < (alone?.decode?.tokensPerS ?? 0));
});

Deno.test("a repository's header is read by ranges, and its other variants are scaled from it", async () => {
  const ranges: string[] = [];
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    if (new URL(request.url).pathname.startsWith("/api/")) {
      const file = (rfilename: string, size: number) => ({
        rfilename,
        lfs: { sha256: sha256(content), size },
      });
      return Response.json({
        siblings: [file("m-Q4_K_M.gguf", content.length), file("m-Q8_0.gguf", 250_000)],
      });
    }
    const range = request.headers.get("range") ?? "";
    ranges.push(range);
    const [from = 0, to = 0] = range.replace("bytes=", "").split("-").map(Number);
    const part = content.slice(from, to + 1);
    return new Response(part, {
      status: 206,
      headers: { "content-range": `bytes ${from}-${from + part.length - 1}/${content.length}` },
    });
  });
  await using place = await setUp({ HF_ENDPOINT: `http://127.0.0.1:${server.addr.port}` });
  const { rows } = await place.ask({ names: ["hf:me/m"] });
  assert.deepEqual(rows.map(({ variant, basis }) => [variant.name, basis]), [["q4_k_m", "header"], [
    "q8_0",
    "header",
  ]]);
  assert.ok(ranges.length >= 1 && ranges.every((range) => /^bytes=\d+-\d+$/.test(range)), ranges.join());
  assert.ok((rows[1]?.parts?.weights ?? 0) > 2 * (rows[0]?.parts?.weights ?? 0));
});

Deno.test("an unknown name has its nearest ones, an unknown variant the ones there are", async () => {
  await using place = await setUp();
  await assert.rejects(place.ask({ names: ["smal"] }), /no model called "smal"; did you mean small/);
  await assert.rejects(place.ask({ names: ["small:q8"] }), /small has no variant "q8": give q4_k_m/);
});

Deno.test("the text says what was measured, what fits, what doesn't, and what to take", async () => {
  await using place = await setUp();
  const rough = fitText(await place.ask({ ramGb: 4 }));
  assert.match(
    rough.before.join("\n"),
    /What if: 4 GB of memory free\.\nNothing was measured .* fit --probe/,
  );
  assert.ok(rough.after.some((line) => /^ {2}large:q4_k_m: it needs/.test(line)));
  await addToCalibration(place.store, await describeMachine(), [
    ...measured("tiny:q4_k_m", 2e8),
    ...measured("b:q4", 6e8),
  ]);
  const text = fitText(await place.ask({ threads: 2 }));
  assert.match(text.before.join("\n"), /Measured here: 2 models, .*decode speed was off by \d+ %/);
  assert.match(text.rows[0]?.join() ?? "", /^tiny:q4_k_m,.*tokens\/s [+−]\d+ %, first token [+−]\d+ %$/);
  assert.match(text.after.at(-1) ?? "", /^Take experts:q4_k_m: .*not predicted/);
});

Deno.test("measurements are kept per machine, the latest few, and a damaged file is named", async () => {
  await using place = await setUp();
  const machine = await describeMachine();
  const other = { ...machine, cpu: "another" };
  await addToCalibration(place.store, other, measured("x:q4", 1e8));
  for (let time = 0; time < 8; time++) {
    await addToCalibration(
      place.store,
      machine,
      measured("a:q4", 1e8).map((one) => ({ ...one, at: `2026-11-2${time}`, seconds: 1 + time })),
    );
  }
  const kept = await readCalibration(place.store, machine);
  assert.deepEqual(kept.filter(({ kind }) => kind === "decode").map(({ seconds }) => seconds), [
    4,
    5,
    6,
    7,
    8,
  ]);
  assert.equal((await readCalibration(place.store, other)).length, 2);
  await Deno.writeTextFile(`${place.store.dir}/calibration.json`, "{");
  await assert.rejects(readCalibration(place.store, machine), /calibration\.json is damaged .*delete it/);
});
