import assert from "node:assert/strict";
import {
  resolveAgain,
  resolveCandidates,
  type ResolveFrom,
  type ServiceListing,
} from "../../lib/bench/named_candidate.ts";
import { parseRegistry } from "../../lib/catalog/registry.ts";

const file = (name: string) => ({
  name,
  format: "gguf",
  file: `${name}.gguf`,
  sources: [{ kind: "file", path: `${name}.gguf` }],
});
const registry = parseRegistry(
  JSON.stringify({
    schema_version: 1,
    models: [
      {
        alias: "smollm2",
        other_names: ["smollm2-135m"],
        license: { id: "Apache-2.0", open: true },
        variants: [file("q4"), file("q8")],
      },
      { alias: "phi-4-mini", foundry_alias: "phi-4-mini", variants: [{ name: "int4", format: "onnx" }] },
    ],
  }),
  "models.json",
);
const service = (name: string, ...ids: string[]): ServiceListing => ({
  endpoint: { name, baseUrl: `http://127.0.0.1:9/${name}` },
  models: ids.map((id) => ({ id, ownedBy: null })),
});
const from = (...services: ServiceListing[]): ResolveFrom => ({
  registry,
  services,
  engine: { gpu: "auto" },
});
const ids = (names: string[], ...services: ServiceListing[]) =>
  resolveCandidates(names, from(...services)).map(({ info }) => info.id);

Deno.test("a name of the registry is its first GGUF file, or the variant named", () => {
  assert.deepEqual(ids(["smollm2", "SmolLM2-135M:q8"]), ["smollm2:q4", "smollm2:q8"]);
});

Deno.test("engine options make a candidate of their own", () => {
  const [one, two] = resolveCandidates(
    ["smollm2:threads=1", "smollm2:q8+context=512+flash=on+gpu=off"],
    from(),
  );
  assert.ok(one?.kind === "embedded" && two?.kind === "embedded");
  assert.equal(one.info.id, "smollm2:q4+threads=1");
  assert.deepEqual(one.engine, { gpu: "auto", threads: 1 });
  assert.deepEqual(two.engine, { gpu: "off", contextTokens: 512, flashAttention: true });
  assert.equal(two.info.device, "off");
  const [three] = resolveCandidates(["smollm2:kv=q8_0+batch=128+mmap=off+parallel=4"], from());
  assert.ok(three?.kind === "embedded");
  assert.deepEqual(three.engine, {
    gpu: "auto",
    kvCache: "q8_0",
    batchTokens: 128,
    mmap: false,
    parallel: 4,
  });
  for (
    const wrong of [
      "threads=0",
      "threads=",
      "flash=maybe",
      "kv=q9",
      "batch=31",
      "batch=8193",
      "mmap=1",
      "parallel=0",
      "parallel=65",
      "gpu=big",
      "speed=9",
    ]
  ) {
    assert.throws(() => ids([`smollm2:${wrong}`]), /invalid engine setting ".*": give threads=N/);
  }
});

Deno.test("a service that has the model is asked, by id, by alias, and CPU before other devices", () => {
  const foundry = service(
    "foundry",
    "phi-4-mini-instruct-cuda-gpu:5",
    "phi-4-mini-cuda-gpu:5",
    "phi-4-mini-generic-cpu:5",
  );
  assert.deepEqual(ids(["phi-4-mini"], foundry), ["phi-4-mini:generic-cpu@foundry"]);
  assert.deepEqual(ids(["phi-4-mini:cuda-gpu"], foundry), ["phi-4-mini:cuda-gpu@foundry"]);
  const ollama = service("ollama", "qwen2.5:0.5b");
  const [candidate] = resolveCandidates(["qwen2.5:0.5b"], from(ollama));
  assert.equal(candidate?.info.id, "qwen2.5:0.5b@ollama");
  assert.equal(candidate?.info.model_id, "qwen2.5:0.5b");
});

Deno.test("@ decides where it runs", () => {
  const lab = service("lab", "smollm2");
  assert.deepEqual(ids(["smollm2", "smollm2@embedded", "smollm2@lab"], lab), [
    "smollm2@lab",
    "smollm2:q4",
    "smollm2@lab#2",
  ]);
  assert.throws(() => ids(["smollm2@nowhere"], lab), /unknown endpoint "nowhere"; known: embedded, lab/);
  assert.throws(() => ids(["phi@lab"], lab), /lab lists smollm2/);
  assert.deepEqual(ids(["team@x"], service("lab", "team@x")), ["team@x@lab"], "an id may hold an @");
});

Deno.test("what nobody has is named, with what comes near", () => {
  assert.throws(() => ids(["smolm2"]), /"smolm2".*did you mean smollm2/);
  assert.throws(() => ids(["gpt-9"], service("lab", "a", "b")), /"gpt-9"; the services list a, b/);
  assert.throws(() => ids(["phi-4-mini"]), /no GGUF file and no adapter for phi-4-mini.*--endpoint/);
  assert.throws(() => ids(["smollm2:q2"]), /no variant "q2": give q4, q8/);
});

Deno.test("a resumed run finds its candidates again, under the ids they had", () => {
  const lab = service("lab", "phi-4-mini-generic-cpu:5", "smollm2");
  const chosen = resolveCandidates(
    ["smollm2:threads=1@embedded", "smollm2", "smollm2", "phi-4-mini"],
    from(lab),
  );
  const infos = chosen.map(({ info }) => info);
  assert.deepEqual(resolveAgain(infos, from(lab)), chosen);
  assert.throws(() => resolveAgain(infos, from()), /measured at the endpoint lab.*--endpoint lab=URL/);
});

Deno.test("a model that is named is requested from a service that lists nothing", () => {
  const unlisted = { ...service("lab"), listed: false };
  assert.deepEqual(ids(["my-model@lab", "my-model"], unlisted), ["my-model@lab", "my-model@lab#2"]);
  assert.throws(() => ids(["my-model@lab"], service("lab")), /my-model/);
});

Deno.test("a name in double quotes may hold what separates the parts of others", () => {
  const lab = service("lab", "team:a+b@x,y");
  assert.deepEqual(ids(['"team:a+b@x,y"@lab', '"team:a+b@x,y"'], lab), [
    "team:a+b@x,y@lab",
    "team:a+b@x,y@lab#2",
  ]);
  assert.throws(() => ids(['"smollm2:q4']), /a quote is not closed/);
  assert.throws(() => ids(["hf:owner"]), /hf:owner: .*hf:OWNER\/REPO/);
});

Deno.test("a model file is a candidate of its own, also when its run is resumed", () => {
  const [model] = parseRegistry(
    '{"schema_version": 1, "models": [{"alias": "x", "variants": [{"name": "q8_0", "format": "gguf", "file": "x.gguf"}]}]}',
    "x",
  ).models;
  assert.ok(model);
  const files = new Map([["C:\\my models\\x.gguf", model], ["./x.gguf", model]]);
  const all: ResolveFrom = { ...from(), files };
  const names = ['"C:\\my models\\x.gguf":threads=2', "./x.gguf", "./x.gguf:threads=1@embedded"];
  const found = resolveCandidates(names, all);
  assert.deepEqual(found.map(({ info }) => info.id), ["x:q8_0+threads=2", "x:q8_0", "x:q8_0+threads=1"]);
  assert.deepEqual(found.map((one) => one.kind === "embedded" && one.file), [
    "C:\\my models\\x.gguf",
    "./x.gguf",
    "./x.gguf",
  ]);
  const infos = found.map(({ info }) => info);
  assert.ok(!JSON.stringify(infos).includes("my models"), "runs name no folder");
  assert.deepEqual(resolveAgain(infos, all).map(({ info }) => info), infos);
  assert.throws(() => resolveAgain(infos, from()), /measured from a file.*--models PATH/);
});
