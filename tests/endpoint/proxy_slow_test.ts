/** Behind a proxy that can't be reached: what stays on this machine works all the same. */
import assert from "node:assert/strict";
import { startFake } from "../fake_endpoint.ts";
import { bench } from "../bench/command.ts";

Deno.test("a service on this machine is found, listed and measured without going through the proxy", async () => {
  const fake = startFake({ models: { one: { tokens: 4 } } });
  const out = await Deno.makeTempDir();
  try {
    for (const name of ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]) {
      const args = ["--endpoint", `lab=${fake.baseUrl}`, "--rounds", "1", "--warmup", "0", "--prompt", "Hi"];
      const { code, stderr } = await bench([...args, "--out", out], { [name]: "http://127.0.0.1:9" });
      assert.equal(code, 0, `${name}: ${stderr}`);
    }
    assert.ok(fake.log.length >= 3);
  } finally {
    await fake.stop();
    await Deno.remove(out, { recursive: true });
  }
});
