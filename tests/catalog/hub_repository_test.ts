/** hf:OWNER/REPO:QUANT, from the name to the file in the store, against a stand-in for the hub. */
import assert from "node:assert/strict";
import { parseCandidateName } from "../../lib/bench/candidate_name.ts";
import { modelFiles } from "../../lib/bench/model_file.ts";
import { resolveCandidates } from "../../lib/bench/named_candidate.ts";
import { hubModel } from "../../lib/catalog/hub_repository.ts";
import { pull } from "../../lib/catalog/pull.ts";
import { scratch, sha256, surroundings, tinyGguf } from "./fixtures.ts";

const content = tinyGguf(20_000);
const lfs = (bytes: Uint8Array) => ({ sha256: sha256(bytes), size: bytes.length });

/** The hub's API for one repository, and its files. */
function hub(siblings: unknown[], cardData: unknown = { license: "apache-2.0" }) {
  const seen: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    seen.push(`${pathname} ${request.headers.get("authorization") ?? ""}`.trim());
    if (pathname === "/api/models/me/small-GGUF") {
      return Response.json({ sha: "c0ffee", siblings, cardData, gguf: { context_length: 2048 } });
    }
    if (pathname.startsWith("/api/")) return new Response("no", { status: 404 });
    return new Response(content, { headers: { etag: '"v1"', "content-length": String(content.length) } });
  });
  return {
    env: new Map([["HF_ENDPOINT", `http://127.0.0.1:${server.addr.port}`], ["HF_TOKEN", "secret"]]),
    seen,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("a repository's files become variants, the usual quantisation first", async () => {
  await using server = hub([
    { rfilename: "README.md", size: 10 },
    { rfilename: "small-F16-00001-of-00002.gguf", lfs: { size: 100 } },
    { rfilename: "small-F16-00002-of-00002.gguf", lfs: { size: 50 } },
    { rfilename: "small-Q2_K.gguf", size: 30 },
    { rfilename: "UD/small-UD-Q4_K_XL.gguf", size: 60 },
    { rfilename: "small-Q4_K_M.gguf", lfs: lfs(content) },
    { rfilename: "mmproj-small-F16.gguf", size: 5 },
  ]);
  const model = await hubModel("me/small-GGUF", { fetch, env: server.env });
  assert.deepEqual(
    model.variants.map(({ name, sizeBytes, quantization }) => [name, sizeBytes, quantization]),
    [
      ["q4_k_m", content.length, "Q4_K_M"],
      ["q2_k", 30, "Q2_K"],
      ["ud-q4_k_xl", 60, "UD-Q4_K_XL"],
      ["f16", 150, "F16"],
    ],
  );
  assert.equal(model.contextTokens, 2048);
  assert.ok(model.license.open && model.license.id === "apache-2.0");
  assert.equal(server.seen[0], "/api/models/me/small-GGUF Bearer secret");
});

Deno.test("hf:OWNER/REPO:QUANT runs in the engine, and its size and licence are said before the download", async () => {
  await using server = hub([{ rfilename: "small-Q4_K_M.gguf", lfs: lfs(content) }], {
    license: "other",
    license_name: "my-terms",
  });
  await using folder = await scratch();
  const notes: string[] = [];
  const name = "hf:me/small-GGUF:Q4_K_M+threads=2";
  const files = await modelFiles([name], [], { fetch, env: server.env, note: (line) => notes.push(line) });
  assert.match(
    notes.join(),
    /^hf:me\/small-GGUF:Q4_K_M\+threads=2: 0 MB, licence my-terms \(read its terms: http/,
  );
  const [candidate] = resolveCandidates([name], {
    registry: { models: [] },
    services: [],
    engine: {},
    files,
  });
  assert.ok(candidate?.kind === "embedded" && candidate.file === null);
  assert.equal(candidate.info.id, "me/small-GGUF:q4_k_m+threads=2");
  assert.equal(candidate.engine.threads, 2);
  const { options } = surroundings(Object.fromEntries(server.env));
  const store = { dir: folder.dir, unreachable: new Set<string>() };
  const path = await pull(store, candidate.model, candidate.variant, options);
  assert.deepEqual(await Deno.readFile(path), content);
});

Deno.test("what is no repository, is not there, or holds no model is said in one line", async () => {
  await using server = hub([{ rfilename: "config.json", size: 3 }]);
  const own = { fetch, env: server.env };
  await assert.rejects(hubModel("me/small-GGUF", own), /hf:me\/small-GGUF: .*no GGUF file/);
  await assert.rejects(hubModel("me/other", own), /hf:me\/other: there is no such repository/);
  await assert.rejects(
    hubModel("me/x", { fetch, env: new Map([["HF_ENDPOINT", "http://127.0.0.1:1"]]) }),
    /hf:me\/x: 127\.0\.0\.1:1 can't be reached .*HF_ENDPOINT/,
  );
  await assert.rejects(
    hubModel("me/x", { fetch, env: new Map([["HF_HUB_OFFLINE", "1"]]) }),
    /HF_HUB_OFFLINE/,
  );
  assert.throws(() => parseCandidateName("hf:owner", []), /write hf:OWNER\/REPO/);
  assert.ok(parseCandidateName('"hf:a/b":q8_0@embedded', ["embedded"]).isHub);
});
