import assert from "node:assert/strict";
import { statIfThere } from "../../lib/catalog/files.ts";
import {
  fileServer,
  models,
  registryFile,
  scratch,
  sha256,
  startModels,
  tinyGguf,
  until,
} from "./fixtures.ts";

const content = tinyGguf(2_000_000);
const bigContent = tinyGguf(3_000_000);

async function slowServer() {
  await Promise.resolve();
  const server = fileServer({ content });
  server.state.pauseMs = 20;
  return server;
}

Deno.test("a download killed in the middle leaves a part, no name and no lock, and is continued", async () => {
  await using server = await slowServer();
  await using folder = await scratch();
  const variant = { sha256: sha256(content), sources: [{ kind: "url", url: `${server.url}/f` }] };
  const registry = await registryFile(folder.dir, variant);
  const args = ["pull", "tiny", "--registry", registry, "--store", `${folder.dir}/store`];
  const part = `${folder.dir}/store/tiny/tiny.gguf.part`;

  await using child = startModels(args);
  await until(async () => ((await statIfThere(part))?.size ?? 0) > 100_000, "a part came");
  child.kill("SIGKILL");
  await child.status;
  const left = (await Deno.stat(part)).size;
  assert.ok(left < content.length);
  assert.equal(await statIfThere(`${folder.dir}/store/tiny/tiny.gguf`), null);

  server.state.pauseMs = 0;
  const again = await models([...args, "--json"]);
  assert.equal(again.code, 0, again.err);
  const from = Number(/^bytes=(\d+)-$/.exec(server.log.at(-1)?.range ?? "")?.[1]);
  assert.ok(from > 100_000, `continued from ${from}`);
  assert.equal(JSON.parse(again.out).pulled[0].sha256, sha256(content));
});

Deno.test("two processes that want the same file take turns and fetch it once", async () => {
  await using server = await slowServer();
  await using folder = await scratch();
  const variant = { sha256: sha256(content), sources: [{ kind: "url", url: `${server.url}/f` }] };
  const registry = await registryFile(folder.dir, variant);
  const args = ["pull", "tiny", "--registry", registry, "--store", `${folder.dir}/store`, "--json"];
  const both = await Promise.all([models(args), models(args)]);
  for (const { code, out, err } of both) {
    assert.equal(code, 0, err);
    assert.equal(JSON.parse(out).pulled[0].sha256, sha256(content));
  }
  assert.equal(server.log.length, 1);
  assert.match(both.map(({ err }) => err).join(), /another process is downloading the same file/);
});

Deno.test("when the process that downloads dies, the one that waits goes on", async () => {
  await using server = await slowServer();
  await using folder = await scratch();
  const variant = { sha256: sha256(content), sources: [{ kind: "url", url: `${server.url}/f` }] };
  const registry = await registryFile(folder.dir, variant);
  const args = ["pull", "tiny", "--registry", registry, "--store", `${folder.dir}/store`, "--json"];
  await using first = startModels(args);
  await until(() => server.log.length === 1, "the first one downloads");
  const second = models(args);
  await new Promise((resolve) => setTimeout(resolve, 500));
  first.kill("SIGKILL");
  const { code, out, err } = await second;
  assert.equal(code, 0, err);
  assert.equal(JSON.parse(out).pulled[0].sha256, sha256(content));
});

Deno.test("a download killed again and again, at any moment, still ends with the whole file", async () => {
  await using server = fileServer({ content: bigContent });
  server.state.pauseMs = 10;
  await using folder = await scratch();
  const variant = { sha256: sha256(bigContent), sources: [{ kind: "url", url: `${server.url}/f` }] };
  const registry = await registryFile(folder.dir, variant);
  const args = ["pull", "tiny", "--registry", registry, "--store", `${folder.dir}/store`, "--json"];
  const whole = `${folder.dir}/store/tiny/tiny.gguf`;
  for (let kill = 0; kill < 12; kill++) {
    const asked = server.log.length;
    await using child = startModels(args);
    const ended = child.status.then(() => true);
    await Promise.race([ended, until(() => server.log.length > asked, "it asks")]);
    await new Promise((resolve) => setTimeout(resolve, kill * 37 % 200));
    const running = await Promise.race([ended.then(() => false), Promise.resolve(true)]);
    if (running) child.kill("SIGKILL");
    await Promise.all([ended, child.stdout.cancel(), child.stderr.cancel()]);
    if (await statIfThere(whole) === null) continue;
    assert.equal(sha256(await Deno.readFile(whole)), sha256(bigContent), "a file that has its name is whole");
    break;
  }
  server.state.pauseMs = 0;
  const { code, out, err } = await models(args);
  assert.equal(code, 0, err);
  assert.equal(JSON.parse(out).pulled[0].sha256, sha256(bigContent));
  assert.ok(server.log.some(({ range }) => range !== null), "something was continued");
});
