import assert from "node:assert/strict";
import { filesNamed, listStored } from "../../lib/catalog/cache.ts";
import { readGguf } from "../../lib/catalog/gguf.ts";
import { hubReachable } from "../../lib/catalog/hub.ts";
import { neededRamGb } from "../../lib/catalog/machine.ts";
import { pull } from "../../lib/catalog/pull.ts";
import { locate, openStore, readReceipt } from "../../lib/catalog/store.ts";
import { UserError } from "../../lib/errors.ts";
import {
  type Fault,
  fileServer,
  only,
  registryOf,
  scratch,
  sha256,
  surroundings,
  tinyGguf,
} from "./fixtures.ts";

const content = tinyGguf(600_000);
const hash = sha256(content);
const other = tinyGguf(600_000, 2);

const fromUrl = (url: string, fields: Record<string, unknown> = {}) =>
  only(registryOf({ sha256: hash, size_bytes: content.length, sources: [{ kind: "url", url }], ...fields }));

/** One pull from a server with these faults. */
async function pullWith(faults: Fault[], fields: Record<string, unknown> = {}) {
  await using server = fileServer({ content, faults });
  await using folder = await scratch();
  const store = await openStore(folder.dir);
  const { entry, variant } = fromUrl(`${server.url}/f`, fields);
  const { options, events } = surroundings();
  const path = await pull(store, entry, variant, options);
  assert.deepEqual(await Deno.readFile(path), content);
  const left = (await Array.fromAsync(Deno.readDir(`${folder.dir}/tiny`))).map(({ name }) => name).sort();
  assert.deepEqual(left, ["tiny.gguf", "tiny.gguf.receipt.json"]);
  return { events, log: server.log, receipt: await readReceipt(path) };
}

Deno.test("a file comes, is checked, gets its name and a receipt with what it says about itself", async () => {
  const { receipt, events, log } = await pullWith([]);
  assert.equal(receipt?.sha256, hash);
  assert.equal(receipt?.checked_against, "registry");
  assert.deepEqual(receipt?.gguf, {
    architecture: "llama",
    license: "apache-2.0",
    context_tokens: 2048,
    quantization: "Q4_1",
    chat_template: true,
    kv_bytes_per_token: 2 * 2 * (16 + 16) * 2,
  });
  assert.equal(log.length, 1);
  const last = events.findLast(({ kind }) => kind === "progress");
  assert.deepEqual([last?.receivedBytes, last?.totalBytes], [content.length, content.length]);
  assert.deepEqual([events[0]?.kind, events.at(-1)?.kind], ["source", "done"]);
});

Deno.test("a connection that drops in mid-file is continued where it stopped, of the same file", async () => {
  const { log } = await pullWith([{ kind: "drop", afterBytes: 200_000 }, {
    kind: "drop",
    afterBytes: 150_000,
  }]);
  assert.equal(log[0]?.range, null);
  assert.ok(log.length >= 3);
  for (const { range, ifRange } of log.slice(1)) {
    assert.ok(Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]) > 0, `${range}`);
    assert.equal(ifRange, '"v1"');
  }
});

Deno.test("a stalled transfer is given up and continued", async () => {
  const { log, events } = await pullWith([{ kind: "stall", afterBytes: 300_000 }]);
  assert.ok(log.length === 2 && log[1]?.range !== null);
  assert.match(events.find(({ kind }) => kind === "retry")?.message ?? "", /no data for 0\.25 s/);
});

Deno.test("a server that ignores ranges, or answers with another one, starts the file again", async () => {
  const drop: Fault = { kind: "drop", afterBytes: 100_000 };
  await pullWith([drop, { kind: "ignore-range" }]);
  const { log } = await pullWith([drop, { kind: "wrong-range" }]);
  assert.equal(log.at(-1)?.range, null);
});

Deno.test("a file that changed on the server is not glued to the old part", async () => {
  await using server = fileServer({
    content: other,
    etag: '"old"',
    faults: [{ kind: "drop", afterBytes: 200_000 }],
  });
  await using folder = await scratch();
  const { entry, variant } = fromUrl(`${server.url}/f`, { sha256: null });
  const { options, events } = surroundings();
  const changing = {
    ...options,
    onProgress: (event: (typeof events)[number]) => {
      if (event.kind === "retry") Object.assign(server.state, { content, etag: '"new"' });
    },
  };
  const path = await pull(await openStore(folder.dir), entry, variant, changing);
  assert.equal(sha256(await Deno.readFile(path)), hash);
  assert.equal(server.log[1]?.ifRange, '"old"');
});

Deno.test("a part of an earlier process is continued", async () => {
  await using server = fileServer({ content, faults: [{ kind: "drop", afterBytes: 400_000 }] });
  await using folder = await scratch();
  const { entry, variant } = fromUrl(`${server.url}/f`);
  const first = surroundings();
  const stopping = { ...first.options, onProgress: () => server.log.length > 0 && first.abort() };
  await assert.rejects(pull(await openStore(folder.dir), entry, variant, stopping), /stopped/);
  Object.assign(server.state, { faults: [] });
  const { options } = surroundings();
  await pull(await openStore(folder.dir), entry, variant, options);
  assert.ok(server.log.length >= 2);
});

Deno.test("a wrong file never takes the name, and the next source is tried", async () => {
  await using wrong = fileServer({ content: other });
  await using right = fileServer({ content });
  await using folder = await scratch();
  const sources = [{ kind: "url", url: `${wrong.url}/f` }, { kind: "url", url: `${right.url}/f` }];
  const { entry, variant } = fromUrl("", { sources });
  const { options, events } = surroundings();
  const path = await pull(await openStore(folder.dir), entry, variant, options);
  assert.equal(sha256(await Deno.readFile(path)), hash);
  assert.match(
    events.find(({ kind }) => kind === "source-failed")?.message ?? "",
    /has the SHA-256 [0-9a-f]{64}, expected/,
  );
});

Deno.test("where no source gives the file, every reason is named", async () => {
  await using missing = fileServer({ content, faults: [{ kind: "status", status: 404 }] });
  await using closed = fileServer({ content, faults: [{ kind: "status", status: 403 }] });
  await using folder = await scratch();
  const sources = [
    { kind: "url", url: `${missing.url}/f` },
    { kind: "url", url: `${closed.url}/f` },
    { kind: "url", url: "http://127.0.0.1:1/f" },
    { kind: "file", path: `${folder.dir}/none` },
  ];
  const { entry, variant } = fromUrl("", { sources });
  await assert.rejects(pull(await openStore(folder.dir), entry, variant, surroundings().options), (error) => {
    assert.ok(error instanceof UserError && error.exitCode === 1);
    for (
      const part of [
        "404",
        "no such file there",
        "403",
        "set HF_TOKEN",
        "can't reach 127.0.0.1:1",
        "no file at ",
      ]
    ) {
      assert.ok(error.message.includes(part), `${part} in ${error.message}`);
    }
    assert.ok(!error.message.includes("\n"));
    return true;
  });
});

Deno.test("a source that fails later leaves the part of an earlier one for the next time", async () => {
  await using server = fileServer({
    content,
    faults: [{ kind: "drop", afterBytes: 300_000 }, ...Array(4).fill({ kind: "drop", afterBytes: 0 })],
  });
  await using folder = await scratch();
  const sources = [{ kind: "url", url: `${server.url}/f` }, { kind: "file", path: `${folder.dir}/none` }];
  const { entry, variant } = fromUrl("", { sources });
  await assert.rejects(
    pull(await openStore(folder.dir), entry, variant, surroundings().options),
    /could not be downloaded/,
  );
  const { size } = await Deno.stat(`${folder.dir}/tiny/tiny.gguf.part`);
  assert.ok(size >= 200_000);
  await pull(await openStore(folder.dir), entry, variant, surroundings().options);
  assert.equal(server.log.at(-1)?.range, `bytes=${size}-`);
});

Deno.test("Retry-After is obeyed, and a server that asks for too long is left", async () => {
  const waits: number[] = [];
  const run = async (fault: Fault) => {
    await using server = fileServer({ content, faults: [fault] });
    await using folder = await scratch();
    const { entry, variant } = fromUrl(`${server.url}/f`);
    const { options } = surroundings();
    const sleep: typeof options.sleep = (ms, signal) => {
      waits.push(ms);
      return options.sleep(Math.min(ms, 300), signal);
    };
    await pull(await openStore(folder.dir), entry, variant, { ...options, sleep });
  };
  await run({ kind: "status", status: 429, headers: { "retry-after": "4" } });
  assert.ok(waits.some((ms) => ms > 3900 && ms <= 4000), `${waits}`);
  await run({ kind: "status", status: 503 });
  await assert.rejects(
    run({ kind: "status", status: 429, headers: { "retry-after": "86400" } }),
    /asks to wait 86400 s/,
  );
});

Deno.test("a server that never answers is left after the connection's time", async () => {
  await using server = fileServer({ content, faults: [{ kind: "silent" }] });
  await using folder = await scratch();
  const { entry, variant } = fromUrl(`${server.url}/f`);
  const { options } = surroundings();
  const retry = { ...options.retry, connectMs: 100 };
  await assert.rejects(
    pull(await openStore(folder.dir), entry, variant, { ...options, retry }),
    /no data for 0\.1 s/,
  );
});

Deno.test("Hugging Face: the token goes to its host alone, its announced hash is checked, and the commit is kept", async () => {
  await using cdn = fileServer({ content });
  await using hub = fileServer({ content });
  Object.assign(hub.state, {
    redirectTo: `${cdn.url}/blob`,
    headers: {
      "x-linked-etag": `"${hash}"`,
      "x-linked-size": String(content.length),
      "x-repo-commit": "abc123",
    },
  });
  await using folder = await scratch();
  const sources = [{ kind: "huggingface", repo: "me/tiny", path: "sub dir/t.gguf", revision: "main" }];
  const { entry, variant } = only(registryOf({ sources }));
  const { options, events } = surroundings({ HF_ENDPOINT: `${hub.url}/`, HF_TOKEN: "hf_secret" });
  const path = await pull(await openStore(folder.dir), entry, variant, options);
  assert.equal(hub.log[0]?.path, "/me/tiny/resolve/main/sub%20dir/t.gguf");
  assert.equal(hub.log[0]?.authorization, "Bearer hf_secret");
  assert.equal(cdn.log[0]?.authorization, null);
  const receipt = await readReceipt(path);
  assert.equal(receipt?.checked_against, "hub");
  assert.equal(receipt?.version, "abc123");
  assert.ok(!JSON.stringify([receipt, events]).includes("hf_secret"));
});

Deno.test("Hugging Face: an offer of another file is refused before it is fetched", async () => {
  await using hub = fileServer({ content });
  Object.assign(hub.state, { headers: { "x-linked-etag": `"${sha256(other)}"` } });
  await using folder = await scratch();
  const sources = [{ kind: "huggingface", repo: "me/tiny", path: "t.gguf" }];
  const { entry, variant } = only(registryOf({ sha256: hash, sources }));
  const { options } = surroundings({ HF_ENDPOINT: hub.url });
  await assert.rejects(
    pull(await openStore(folder.dir), entry, variant, options),
    /offers another file than the registry names/,
  );
});

Deno.test("Hugging Face out of reach is found out once, and not at all where HF_HUB_OFFLINE says so", async () => {
  await using folder = await scratch();
  const sources = [{ kind: "huggingface", repo: "me/tiny", path: "t.gguf" }];
  const { entry, variant } = only(registryOf({ sha256: hash, sources }));
  const store = await openStore(folder.dir);
  const gone = surroundings({ HF_ENDPOINT: "http://127.0.0.1:1" });
  await assert.rejects(pull(store, entry, variant, gone.options), /can't reach 127\.0\.0\.1:1/);
  await assert.rejects(pull(store, entry, variant, gone.options), /could not be reached a moment ago/);
  const offline = surroundings({ HF_HUB_OFFLINE: "1" });
  await assert.rejects(pull(store, entry, variant, offline.options), /HF_HUB_OFFLINE is set/);
  await assert.rejects(
    pull(store, entry, variant, surroundings({ HF_ENDPOINT: "hub" }).options),
    /HF_ENDPOINT is "hub"/,
  );
  assert.equal(await hubReachable(gone.options), false);
  await using hub = fileServer({ content });
  assert.equal(await hubReachable(surroundings({ HF_ENDPOINT: hub.url }).options), true);
});

Deno.test("without a stated hash the file is recorded, not checked, and that is said", async () => {
  const { receipt, events } = await pullWith([], { sha256: null });
  assert.equal(receipt?.checked_against, null);
  assert.match(events.find(({ kind }) => kind === "note")?.message ?? "", /recorded, not checked/);
});

Deno.test("what is no model never takes a model's place", async () => {
  for (
    const bad of [
      new TextEncoder().encode("<html>Log in to the network</html>"),
      content.slice(0, 300_000),
      content.slice(0, 300),
    ]
  ) {
    await using server = fileServer({ content: bad });
    await using folder = await scratch();
    const { entry, variant } = only(registryOf({ sources: [{ kind: "url", url: `${server.url}/f` }] }));
    await assert.rejects(
      pull(await openStore(folder.dir), entry, variant, surroundings().options),
      /is not a model: .*GGUF/,
    );
  }
});

Deno.test("terms of a model that is not open are asked for once, before its first download", async () => {
  await using server = fileServer({ content });
  await using folder = await scratch();
  const license = { id: "gemma", open: false, name: "Gemma Terms of Use", url: "https://terms.test" };
  const { entry, variant } = only(
    registryOf({ sources: [{ kind: "url", url: `${server.url}/f` }] }, { license }),
  );
  const store = await openStore(folder.dir);
  const { options } = surroundings();
  const asked: unknown[] = [];
  const answer = (yes: boolean) => ({
    ...options,
    onTerms: (terms: unknown) => asked.push(terms) > 0 && yes,
  });
  await assert.rejects(
    pull(store, entry, variant, answer(false)),
    /its terms \(Gemma Terms of Use\) were not accepted/,
  );
  assert.equal(server.log.length, 0);
  await pull(store, entry, variant, answer(true));
  await pull(store, entry, variant, answer(false));
  assert.deepEqual(asked.length, 2);
  assert.deepEqual(asked[0], { model: "tiny", license: "Gemma Terms of Use", url: "https://terms.test" });
});

Deno.test("a disk that is too small is told before anything is asked for", async () => {
  await using server = fileServer({ content });
  await using folder = await scratch();
  const { entry, variant } = fromUrl(`${server.url}/f`, { size_bytes: 9e15 });
  await assert.rejects(
    pull(await openStore(folder.dir), entry, variant, surroundings().options),
    /needs 9,000,000,\d+ MB on the disk of/,
  );
  assert.equal(server.log.length, 0);
});

Deno.test("a model folder that is a file, and a variant without a source, are the user's to mend", async () => {
  await using folder = await scratch();
  await Deno.writeTextFile(`${folder.dir}/file`, "");
  const { entry, variant } = fromUrl("http://127.0.0.1:1/f");
  const store = await openStore(`${folder.dir}/file/models`);
  await assert.rejects(
    pull(store, entry, variant, surroundings().options),
    /can't write to .*name another folder with --store/,
  );
  const bare = only(registryOf({ sources: [] }));
  await assert.rejects(
    pull(store, bare.entry, bare.variant, surroundings().options),
    /names no source for tiny:q4/,
  );
});

Deno.test("a local file is taken in, checked like any other", async () => {
  await using folder = await scratch();
  await Deno.writeFile(`${folder.dir}/mine.gguf`, content);
  const { entry, variant } = only(
    registryOf({ sha256: hash, sources: [{ kind: "file", path: `${folder.dir}/mine.gguf` }] }),
  );
  const store = await openStore(`${folder.dir}/store`);
  assert.equal(await locate(store, entry, variant), null);
  const path = await pull(store, entry, variant, surroundings().options);
  assert.equal(await locate(store, entry, variant), path);
  assert.equal(sha256(await Deno.readFile(path)), hash);
});

Deno.test("two pulls of one file at once fetch it once", async () => {
  await using server = fileServer({ content });
  server.state.pauseMs = 5;
  await using folder = await scratch();
  const { entry, variant } = fromUrl(`${server.url}/f`);
  const both = [surroundings(), surroundings()].map(async ({ options, events }) => {
    await pull(await openStore(folder.dir), entry, variant, options);
    return events.map(({ kind }) => kind);
  });
  const kinds = (await Promise.all(both)).flat();
  assert.equal(server.log.length, 1);
  assert.ok(kinds.includes("waiting"));
});

/** What lies in the model's folder. */
const filesIn = async (dir: string) =>
  (await Array.fromAsync(Deno.readDir(`${dir}/tiny`))).map(({ name }) => name).sort();

Deno.test("a body longer than stated stops there, and the next source is tried", async () => {
  const stated: [string, Record<string, unknown>, RegExp][] = [
    ["bytes", { size_bytes: content.length }, /more than the \d+ bytes that models\.json states: stopped/],
    [
      "bytes without a hash",
      { size_bytes: content.length, sha256: null },
      /that models\.json states: stopped/,
    ],
    ["megabytes", { size_bytes: null, size_mb: 0.6 }, /that models\.json states: stopped/],
  ];
  for (const [name, fields, says] of stated) {
    await using endless = fileServer({ content, faults: Array(9).fill({ kind: "endless" }) });
    await using right = fileServer({ content });
    await using folder = await scratch();
    const sources = [{ kind: "url", url: `${endless.url}/f` }, { kind: "url", url: `${right.url}/f` }];
    const { entry, variant } = fromUrl("", { ...fields, sources });
    const { options, events } = surroundings();
    let most = 0;
    const onProgress = (event: (typeof events)[number]) => {
      events.push(event);
      most = Math.max(most, event.receivedBytes);
    };
    await pull(await openStore(folder.dir), entry, variant, { ...options, onProgress });
    assert.match(events.find(({ kind }) => kind === "source-failed")?.message ?? "", says, name);
    assert.equal(endless.log.length, 1, "it is not asked again");
    assert.ok(most < 2_000_000, `${most} bytes`);
    assert.deepEqual(await filesIn(folder.dir), ["tiny.gguf", "tiny.gguf.receipt.json"]);
  }
});

Deno.test("an offer that is larger than stated is refused before a byte, and leaves nothing", async () => {
  await using server = fileServer({ content: tinyGguf(3_000_000) });
  await using folder = await scratch();
  for (const fields of [{ size_bytes: 1000, sha256: null }, { size_bytes: null, size_mb: 1 }]) {
    const { entry, variant } = fromUrl(`${server.url}/f`, fields);
    await assert.rejects(
      pull(await openStore(folder.dir), entry, variant, surroundings().options),
      /it offers 30\d{5} bytes, models\.json states/,
    );
    assert.deepEqual(await filesIn(folder.dir), []);
  }
});

Deno.test("a redirect leads to http(s) alone", async () => {
  await using folder = await scratch();
  await Deno.writeFile(`${folder.dir}/secret.gguf`, content);
  const targets = [
    `file://${folder.dir}/secret.gguf`,
    "FILE:/etc/passwd",
    "data:text/plain,GGUF",
    "blob:null/0",
    "ftp://127.0.0.1/f",
  ];
  for (const target of targets) {
    await using server = fileServer({ content });
    Object.assign(server.state, { redirectTo: target });
    const { entry, variant } = fromUrl(`${server.url}/f`);
    await assert.rejects(
      pull(await openStore(folder.dir), entry, variant, surroundings().options),
      /redirects to an address that is not http\(s\)/,
      target,
    );
    assert.equal(server.log.length, 1);
    assert.equal(await locate(await openStore(folder.dir), entry, variant), null);
  }
});

Deno.test({
  name: "links that somebody planted in a shared model folder are not written through",
  ignore: Deno.build.os === "windows",
}, async () => {
  const planted = ["tiny.gguf.part", "tiny.gguf.part.json", "tiny.gguf.receipt.json.new", "tiny.gguf.used"];
  for (const name of planted) {
    await using server = fileServer({ content });
    await using folder = await scratch();
    const victim = `${folder.dir}/victim`;
    await Deno.writeTextFile(victim, "precious");
    await Deno.mkdir(`${folder.dir}/store/tiny`, { recursive: true });
    await Deno.symlink(victim, `${folder.dir}/store/tiny/${name}`);
    const store = await openStore(`${folder.dir}/store`);
    const { entry, variant } = fromUrl(`${server.url}/f`);
    const path = await pull(store, entry, variant, surroundings().options);
    assert.equal(await locate(store, entry, variant), path, "using it writes a marker");
    assert.equal(await Deno.readTextFile(victim), "precious", name);
    assert.equal((await Deno.lstat(path)).isSymlink, false);
  }
  await using server = fileServer({ content });
  await using folder = await scratch();
  await Deno.mkdir(`${folder.dir}/store`);
  await Deno.mkdir(`${folder.dir}/elsewhere`);
  const { entry, variant } = fromUrl(`${server.url}/f`);
  for (const name of ["tiny", ".locks"]) {
    await Deno.symlink(`${folder.dir}/elsewhere`, `${folder.dir}/store/${name}`);
    await assert.rejects(
      pull(await openStore(`${folder.dir}/store`), entry, variant, surroundings().options),
      (error) =>
        error instanceof UserError && /is a link, and nothing is written through/.test(error.message),
    );
    await Deno.remove(`${folder.dir}/store/${name}`);
  }
  assert.deepEqual(await Array.fromAsync(Deno.readDir(`${folder.dir}/elsewhere`)), []);
  // A second name of a file that is not ours to change.
  await Deno.mkdir(`${folder.dir}/store/tiny`, { recursive: true });
  await Deno.writeTextFile(`${folder.dir}/victim`, "precious");
  await Deno.link(`${folder.dir}/victim`, `${folder.dir}/store/tiny/tiny.gguf.part`);
  await pull(await openStore(`${folder.dir}/store`), entry, variant, surroundings().options);
  assert.equal(await Deno.readTextFile(`${folder.dir}/victim`), "precious");
});

Deno.test("all parts of a split model are pulled, located, counted and removed together", async () => {
  const contents = [1, 2, 3].map((seed) => tinyGguf(100_000 * seed, seed));
  const name = (at: number) => `t-0000${at}-of-00003.gguf`;
  await using folder = await scratch();
  await Deno.mkdir(`${folder.dir}/from`);
  for (const [at, bytes] of contents.entries()) {
    await Deno.writeFile(`${folder.dir}/from/${name(at + 1)}`, bytes);
  }
  const total = contents.reduce((sum, { length }) => sum + length, 0);
  const registry = registryOf({
    file: name(1),
    size_bytes: total,
    sha256: sha256(contents[0] ?? new Uint8Array()),
    sources: [{ kind: "file", path: `${folder.dir}/from/${name(1)}` }],
  });
  const { entry, variant } = only(registry);
  const store = await openStore(`${folder.dir}/store`);
  const path = await pull(store, entry, variant, surroundings().options);
  assert.ok(path.endsWith(name(1)));
  for (const [at, bytes] of contents.entries()) {
    assert.deepEqual(await Deno.readFile(`${folder.dir}/store/tiny/${name(at + 1)}`), bytes);
  }
  assert.ok((neededRamGb(entry) ?? 0) > total / 2 ** 30 + 0.35, "the memory of all parts");
  const files = await listStored(store, registry);
  assert.deepEqual(
    files.map(({ named, state }) => [named?.model.alias, state]),
    Array(3).fill(["tiny", "ready"]),
  );
  assert.equal((await readGguf(path)).context_tokens, 2048);

  // A part that is missing is named, and pulled again alone.
  await Deno.remove(`${folder.dir}/store/tiny/${name(2)}`);
  assert.equal(await locate(store, entry, variant), null);
  await assert.rejects(
    readGguf(path),
    /one of 3 parts of a model, and 1 are missing \(.*t-00002-of-00003\.gguf\)/,
  );
  const { options, events } = surroundings();
  assert.equal(await pull(store, entry, variant, options), path);
  assert.equal(events.filter(({ kind }) => kind === "done").length, 1);
  assert.equal(filesNamed(files, registry, store, "tiny").length, 3);
  assert.equal(filesNamed(files, registry, store, "tiny:q4").length, 3);
});

Deno.test("a split model comes over HTTP part by part; a part that the server lacks is named", async () => {
  const hits: string[] = [];
  await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    hits.push(pathname);
    return pathname.includes("-00003-of") ? new Response(null, { status: 404 }) : new Response(content);
  });
  await using folder = await scratch();
  const url = `http://127.0.0.1:${server.addr.port}/m-00001-of-00003.gguf`;
  const { entry, variant } = fromUrl(url, { file: "m-00001-of-00003.gguf", size_bytes: 3 * content.length });
  const store = await openStore(folder.dir);
  await assert.rejects(pull(store, entry, variant, surroundings().options), /answers 404/);
  assert.deepEqual(hits, [1, 2, 3].map((at) => `/m-0000${at}-of-00003.gguf`));
  assert.equal(await locate(store, entry, variant), null);
});
