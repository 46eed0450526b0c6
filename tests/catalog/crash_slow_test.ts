import assert from "node:assert/strict";
import { statIfThere } from "../../lib/catalog/store.ts";
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

const content = tinyGguf(3_000_000);

Deno.test("a download killed again and again, at any moment, still ends with the whole file", async () => {
  await using server = fileServer({ content });
  server.state.pauseMs = 10;
  await using folder = await scratch();
  const variant = { sha256: sha256(content), sources: [{ kind: "url", url: `${server.url}/f` }] };
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
    assert.equal(sha256(await Deno.readFile(whole)), sha256(content), "a file that has its name is whole");
    break;
  }
  server.state.pauseMs = 0;
  const { code, out, err } = await models(args);
  assert.equal(code, 0, err);
  assert.equal(JSON.parse(out).pulled[0].sha256, sha256(content));
  assert.ok(server.log.some(({ range }) => range !== null), "something was continued");
});
