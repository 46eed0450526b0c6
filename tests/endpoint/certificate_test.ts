/** Endpoints behind a certificate of the user's own authority: DENO_CERT makes them work, and the message says so. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runProgram } from "../../lib/program.ts";

const root = new URL("../..", import.meta.url);

/** An authority and a certificate for 127.0.0.1 that it signed; null where there is no openssl. */
async function certificates(dir: string): Promise<{ authority: string; cert: string; key: string } | null> {
  const at = (name: string) => join(dir, name);
  await Deno.writeTextFile(at("san.txt"), "subjectAltName=IP:127.0.0.1,DNS:localhost");
  const openssl = async (line: string) => (await runProgram(["openssl", ...line.split(" ")]))?.code === 0;
  const ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
  const made = await openssl(
    `req -x509 ${ec} -keyout ${at("ca.key")} -out ${at("ca.pem")} -days 2 -subj /CN=test-authority`,
  ) &&
    await openssl(`req ${ec} -keyout ${at("server.key")} -out ${at("server.csr")} -subj /CN=localhost`) &&
    await openssl(
      `x509 -req -in ${at("server.csr")} -CA ${at("ca.pem")} -CAkey ${at("ca.key")} -CAcreateserial ` +
        `-days 2 -extfile ${at("san.txt")} -out ${at("server.pem")}`,
    );
  if (!made) return null;
  return {
    authority: at("ca.pem"),
    cert: await Deno.readTextFile(at("server.pem")),
    key: await Deno.readTextFile(at("server.key")),
  };
}

/** One timed request in a process of its own, whose environment may name an authority. */
async function requestFrom(baseUrl: string, env: Record<string, string>) {
  const code = `
    import { timedClient } from "${new URL("lib/endpoint/timed_client.ts", root)}";
    import { timedRequest } from "${new URL("lib/endpoint/timed_request.ts", root)}";
    const clock = () => performance.now();
    const { post } = timedClient({ clock, fetch });
    const request = { model: "m", messages: [{ role: "user", content: "Hi" }], maxTokens: 4, temperature: 0 };
    const trace = await timedRequest({ name: "lab", baseUrl: "${baseUrl}" }, request, { clock, post, timeoutMs: 9000 });
    console.log(JSON.stringify({ status: trace.status, reason: trace.reason, content: trace.content }));`;
  const end = await runProgram([Deno.execPath(), "eval", "--no-check", code], { env, cwd: root.pathname });
  return JSON.parse(end?.stdout ?? "null");
}

Deno.test("an endpoint with a certificate of the user's own authority works with DENO_CERT", async (t) => {
  const dir = await Deno.makeTempDir();
  const made = await certificates(dir);
  if (made === null) return console.log("not tested: this machine has no openssl");
  const { authority, cert, key } = made;
  const answer = 'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
  const headers = { "content-type": "text/event-stream" };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, cert, key, onListen: () => {} },
    () => new Response(answer, { headers }),
  );
  const baseUrl = `https://127.0.0.1:${server.addr.port}/v1`;
  await t.step("trusted", async () => {
    const trace = await requestFrom(baseUrl, { DENO_CERT: authority });
    assert.deepEqual(trace, { status: "ok", reason: null, content: "Hi" });
  });
  await t.step({
    name: "trusted by the system",
    ignore: Deno.build.os !== "linux", // elsewhere no variable names the system's certificates
    async fn() {
      const trace = await requestFrom(baseUrl, { DENO_TLS_CA_STORE: "system", SSL_CERT_FILE: authority });
      assert.equal(trace.status, "ok", trace.reason);
    },
  });
  await t.step("not trusted: the message says what to set", async () => {
    const trace = await requestFrom(baseUrl, { DENO_TLS_CA_STORE: "mozilla" });
    assert.equal(trace.status, "failed");
    assert.match(
      trace.reason,
      /invalid peer certificate: UnknownIssuer: .*DENO_CERT.*DENO_TLS_CA_STORE=system/,
    );
  });
  await server.shutdown();
  await Deno.remove(dir, { recursive: true });
});
