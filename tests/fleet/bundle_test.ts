/** Bundles: what is packed comes out the same; what is hostile or can't be true is refused, says why, and leaves nothing. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { requireRun } from "../../lib/bench/find_run.ts";
import type { RunInfo, SampleRecord } from "../../lib/bench/records.ts";
import { importBundle, packRun } from "../../lib/fleet/bundle.ts";
import { idOfKey, newKey, type SigningKey, signingKey, signText } from "../../lib/fleet/keys.ts";

const RUN = "reports/2026-11-21T07-30-18-gzss";
const now = new Date("2026-11-29T00:00:00Z");
const key = await signingKey(await newKey());

const original = new Map<string, string>();
for (const name of ["run.json", "samples.jsonl", "answers.jsonl"]) {
  original.set(name, await Deno.readTextFile(join(RUN, name)));
}
const runInfo: RunInfo = JSON.parse(original.get("run.json") ?? "");

async function inFolder(test: (out: string) => Promise<void>) {
  const out = await Deno.makeTempDir({ prefix: "podium-fleet-" });
  try {
    await test(out);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

interface Forged {
  readonly files?: ReadonlyMap<string, string>;
  /** Changes the manifest before it is signed. */
  readonly manifest?: (manifest: Record<string, unknown>) => void;
  /** Changes the header after that. */
  readonly header?: (header: Record<string, unknown>) => void;
  /** What follows the files. */
  readonly more?: Uint8Array<ArrayBuffer>;
  readonly signer?: SigningKey;
}

/** A bundle as anyone could write it, with a good signature of its own. */
async function forge(path: string, { files = original, manifest, header, more, signer = key }: Forged) {
  const { machine, versions, run_id } = JSON.parse(files.get("run.json") ?? "{}");
  const content: Record<string, unknown> = {
    schema_version: 1,
    kind: "run",
    run_id,
    created_at: now.toISOString(),
    sender: { id: await idOfKey(signer.publicKey), name: null, tags: [], machine, versions },
    files: [...files].map(([name, text]) => ({
      name,
      bytes: new TextEncoder().encode(text).length,
      sha256: createHash("sha256").update(text).digest("hex"),
    })),
  };
  manifest?.(content);
  const text = JSON.stringify(content);
  const top: Record<string, unknown> = {
    podium_bundle: 1,
    key: signer.publicKey,
    signature: await signText(signer, text),
    manifest: text,
  };
  header?.(top);
  const body = [`${JSON.stringify(top)}\n`, ...files.values(), ...(more === undefined ? [] : [more])];
  const zipped = new Blob(body).stream().pipeThrough(new CompressionStream("gzip"));
  await Deno.writeFile(path, zipped);
}

async function refusal(path: string, out: string): Promise<string> {
  const result = await importBundle(path, { out, now });
  assert.ok(result.status === "refused", `${path} was imported`);
  return result.reasons.join("; ");
}

async function leftIn(out: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(join(out, "imports")))).map(({ name }) => name);
}

/** The recorded run with its samples changed one by one. */
function withSamples(
  change: (record: Extract<SampleRecord, { kind: "request" }>, nth: number) => object | null,
) {
  let nth = 0;
  const lines = (original.get("samples.jsonl") ?? "").trimEnd().split("\n").flatMap((line) => {
    const record: SampleRecord = JSON.parse(line);
    const changed = record.kind === "request" ? change(record, nth++) : record;
    return changed === null ? [] : [JSON.stringify(changed)];
  });
  return new Map([...original, ["samples.jsonl", `${lines.join("\n")}\n`]]);
}

const withInfo = (change: object) =>
  new Map([...original, ["run.json", JSON.stringify({ ...runInfo, ...change })]]);

Deno.test("a run is packed and imported, byte for byte, apart from the own runs and never the latest", () =>
  inFolder(async (out) => {
    const path = join(out, "a.podium");
    const { manifest } = await packRun(RUN, path, {
      key,
      sender: { name: "left-desk", tags: ["room-2"] },
      now,
    });
    const result = await importBundle(path, { out, now });
    assert.ok(result.status === "imported");
    assert.equal(result.folder, join(out, "imports", `${manifest.run_id}-${await idOfKey(key.publicKey)}`));
    for (const [name, text] of original) {
      assert.equal(await Deno.readTextFile(join(result.folder, name)), text);
    }
    await assert.rejects(requireRun(undefined, out), /there is no run/);
    assert.match(await refusal(path, out), /duplicate: .* is here already/);
  }));

Deno.test("the same samples under another name are a duplicate, and so is a run of one's own", () =>
  inFolder(async (out) => {
    const [first, renamed] = [join(out, "a.podium"), join(out, "b.podium")];
    await forge(first, {});
    await importBundle(first, { out, now });
    const run_id = "2026-11-22T07-30-18-zzzz";
    const signer = await signingKey(await newKey());
    await forge(renamed, { files: withInfo({ run_id }), manifest: (one) => one.run_id = run_id, signer });
    assert.match(await refusal(renamed, out), /duplicate: .*with the same samples/);
    await forge(first, {});
    assert.match(await refusal(first, "reports"), /duplicate: .* is a run of your own/);
  }));

const file = (name: string, bytes: number) => ({ name, bytes, sha256: "0".repeat(64) });
const hostile: Record<string, { readonly forged: Forged; readonly says: RegExp }> = {
  "a file outside the folder": {
    forged: { files: new Map([...original, ["../../evil.ts", "Deno.exit()"]]) },
    says: /manifest is not accepted.*name/,
  },
  "a program": {
    forged: { files: new Map([...original, ["start.sh", "rm -rf ."]]) },
    says: /manifest is not accepted.*name/,
  },
  "a run whose name is a path": {
    forged: { manifest: (one) => one.run_id = "../../../tmp/x" },
    says: /manifest is not accepted.*run_id/,
  },
  "a device whose id is a path": {
    forged: { manifest: (one) => Object.assign(one.sender ?? {}, { id: "../x" }) },
    says: /manifest is not accepted.*id/,
  },
  "someone else's id": {
    forged: { manifest: (one) => Object.assign(one.sender ?? {}, { id: "d-0123456789" }) },
    says: /is not the id of the key/,
  },
  "a manifest that was changed after it was signed": {
    forged: { header: (one) => one.manifest = String(one.manifest).replace("07-30-18", "07-30-19") },
    says: /signature doesn't fit/,
  },
  "a key that is none": { forged: { header: (one) => one.key = "AAAA" }, says: /signature doesn't fit/ },
  "the hash of another file": {
    forged: {
      manifest: (one) =>
        one.files = [
          { ...file("run.json", original.get("run.json")?.length ?? 0) },
          file("samples.jsonl", 1),
        ],
    },
    says: /is not the file whose SHA-256/,
  },
  "a file that is listed twice": {
    forged: { manifest: (one) => one.files = [file("run.json", 1), file("run.json", 1)] },
    says: /lists a file twice/,
  },
  "no samples": {
    forged: { files: new Map([["run.json", original.get("run.json") ?? ""], ["answers.jsonl", ""]]) },
    says: /samples.jsonl is missing/,
  },
  "a file of a terabyte": {
    forged: { manifest: (one) => one.files = [file("run.json", 1e12), file("samples.jsonl", 1)] },
    says: /at most/,
  },
  "40 MB of zeros behind the last file": {
    forged: { more: new Uint8Array(40e6) },
    says: /more follows/,
  },
  "a job that reads files of this machine": {
    forged: { files: new Map([...original, ["prompts.json", '{"cases":"/etc/passwd","prompt":"{{x}}"}']]) },
    says: /prompts.json: "cases" names a file/,
  },
  "a job with code": {
    forged: {
      files: new Map([...original, [
        "prompts.json",
        '[{"prompt":"x","checks":[{"kind":"tests","tests":"1"}]}]',
      ]]),
    },
    says: /"tests" holds code/,
  },
  "a run that says it is another": {
    forged: { manifest: (one) => one.run_id = "2026-11-21T07-30-18-aaaa" },
    says: /run.json is of the run/,
  },
  "another machine in the manifest": {
    forged: {
      manifest: (one) => Object.assign(one.sender ?? {}, { machine: { ...runInfo.machine, cores: 64 } }),
    },
    says: /names another machine/,
  },
  "samples that are no records": {
    forged: { files: new Map([...original, ["samples.jsonl", '{"kind":"request"}\n']]) },
    says: /samples.jsonl, line 1 can't be read/,
  },
};

for (const [what, { forged, says }] of Object.entries(hostile)) {
  Deno.test(`refused: ${what}`, () =>
    inFolder(async (out) => {
      const path = join(out, "x.podium");
      await forge(path, forged);
      assert.match(await refusal(path, out), says);
      assert.deepEqual(await leftIn(out), []);
    }));
}

Deno.test("refused: what is no bundle, is cut short, or never ends its first line", () =>
  inFolder(async (out) => {
    const path = join(out, "x.podium");
    await forge(path, {});
    const whole = await Deno.readFile(path);
    await Deno.writeFile(path, whole.subarray(0, whole.length / 2));
    assert.match(await refusal(path, out), /damaged|cut short/);
    await Deno.writeTextFile(path, "hello");
    assert.match(await refusal(path, out), /not a bundle/);
    const endless = new Blob([new Uint8Array(10e6)]).stream().pipeThrough(new CompressionStream("gzip"));
    await Deno.writeFile(path, endless);
    assert.match(await refusal(path, out), /no first line/);
    assert.deepEqual(await leftIn(out), []);
  }));

/** A request of 40 tokens, one every `ms`. */
const paced = (record: Extract<SampleRecord, { kind: "request" }>, ms: number) => {
  const chunk_ms = Array.from({ length: 40 }, (_, at) => 1 + at * ms);
  const chunk_chars = chunk_ms.map((_, at) => at === 0 ? record.content_chars : 0);
  return { ...record, chunk_ms, chunk_chars, output_tokens: 40 };
};

const untrue: Record<string, { readonly files: ReadonlyMap<string, string>; readonly says: RegExp }> = {
  "a million tokens per second": {
    files: withSamples((record) => paced(record, 0.001)),
    says: /speed: .* tokens\/s; no machine reaches 5000/,
  },
  "more than the memory can deliver": {
    files: withSamples((record) => paced(record, 0.22)),
    says: /speed: .* which reads .* GB\/s; this machine \(2 cores\) reaches 400 at most/,
  },
  "a run of next year": {
    files: withInfo({ created_at: "2027-11-21T07:30:18Z" }),
    says: /clock: .* still to come/,
  },
  "a run from before there were such models": {
    files: withInfo({ created_at: "1999-11-21T07:30:18Z" }),
    says: /clock: .* before 2024/,
  },
  "time that goes back": {
    files: withSamples((record) => ({ ...record, chunk_ms: record.chunk_ms.toReversed() })),
    says: /clock: time goes back/,
  },
  "more requests than time": {
    files: withSamples((record) => ({ ...record, due_ms: 0, sent_ms: 0, headers_ms: null })),
    says: /clock: .* ms of requests by 1 clients in/,
  },
  "chunks in seconds, ends in milliseconds": {
    files: withSamples((record) => ({
      ...record,
      chunk_ms: record.chunk_ms.map((ms) => ms / 1000),
      output_tokens: 7,
    })),
    says: /units: /,
  },
  "more tokens than were allowed": {
    files: withSamples((record) => ({ ...record, output_tokens: 4000 })),
    says: /counts: .* has 4000 tokens/,
  },
  "a request twice": {
    files: withSamples((record) => ({ ...record, id: "timed/1/p1/x" })),
    says: /duplicates: request/,
  },
  "a candidate of another run": {
    files: withSamples((record) => ({ ...record, candidate: "gpt-9" })),
    says: /counts: gpt-9 is not a candidate/,
  },
  "characters that don't add up": {
    files: withSamples((record) => ({ ...record, content_chars: record.content_chars + 1 })),
    says: /counts: the chunks of/,
  },
  "answers to what was never sent": {
    files: withSamples((record, nth) => nth === 3 ? null : record),
    says: /counts: an answer to/,
  },
  "a model larger than the machine": {
    files: withInfo({ machine: { ...runInfo.machine, ram_gb: 0.1 } }),
    says: /machine: .* MB/,
  },
  "a prompt that is not what was hashed": {
    files: new Map([...original, [
      "run.json",
      (original.get("run.json") ?? "").replace(/"content": "/, '"content": "Ha! '),
    ]]),
    says: /hashes: prompt/,
  },
};

for (const [what, { files, says }] of Object.entries(untrue)) {
  Deno.test(`can't be true: ${what}`, () =>
    inFolder(async (out) => {
      const path = join(out, "x.podium");
      await forge(path, { files });
      assert.match(await refusal(path, out), says);
      assert.deepEqual(await leftIn(out), []);
    }));
}
