import assert from "node:assert/strict";
import { describeMachine, fits, neededRamGb } from "../../lib/catalog/machine.ts";
import { parseRegistry } from "../../lib/catalog/registry.ts";

const machine = { cpu: "x", cores: 4, gpu: [], os: "x", arch: "x86_64", ram_gb: 15.5, freeRamGb: 10 };

function entry(fields: Record<string, unknown>) {
  const [model] = parseRegistry(JSON.stringify([{ name: "m", ...fields }]), "m").models;
  if (model === undefined) throw new Error("no model");
  return model;
}

Deno.test("a machine sold with 16 GB runs what asks for 16 GB", () => {
  assert.ok(fits(entry({ min_ram_gb: 16 }), machine).ok);
  const fit = fits(entry({ min_ram_gb: 24 }), machine);
  assert.ok(!fit.ok);
  assert.deepEqual(fit.reasons, ["it asks for 24 GB of RAM, this machine has 15.5 GB"]);
});

Deno.test("free memory must hold weights, context, the engine and a reserve", () => {
  const big = entry({ size_mb: 8_000, kv_bytes_per_token: 131_072, context_tokens: 32_768 });
  const gb = 2 ** 30;
  assert.equal(neededRamGb(big)?.toFixed(3), ((8e9 + 4096 * 131_072) / gb + 0.35).toFixed(3));
  assert.ok(fits(big, machine).ok);
  const fit = fits(big, { ...machine, freeRamGb: 8 });
  assert.ok(
    !fit.ok && fit.reasons[0]?.includes("8 GB are free: stop other programs or models"),
    JSON.stringify(fit),
  );
  assert.ok(!fits(big, machine, { contextTokens: 32_768 }).ok, "a longer context takes more");
  assert.ok(
    fits(big, machine, { contextTokens: 32_768, kvBytesPerToken: 1024 }).ok,
    "the file's own figure counts",
  );
});

Deno.test("the context is no longer than the model's own, and a model of unknown size is not refused", () => {
  const short = entry({ size_mb: 1_000, kv_bytes_per_token: 1_000_000, context_tokens: 512 });
  assert.ok((neededRamGb(short, { contextTokens: 100_000 }) ?? 99) < 2);
  assert.equal(neededRamGb(entry({})), null);
  assert.ok(fits(entry({}), { ...machine, freeRamGb: 0 }).ok);
});

Deno.test("a file that does not go onto the disk is a reason", () => {
  const model = entry({ variants: [{ name: "q", size_bytes: 2e9, file: "f", sources: [] }] });
  const fit = fits(model, machine, { freeDiskBytes: 1e9 });
  assert.ok(!fit.ok && fit.reasons[0]?.includes("takes 2.0 GB, the disk has 1.0 GB free"));
});

Deno.test("this machine has a processor and memory, and no name", async () => {
  const own = await describeMachine();
  assert.ok(own.cores >= 1 && own.ram_gb > 0 && own.freeRamGb > 0 && own.freeRamGb <= own.ram_gb + 0.1);
  assert.ok(!JSON.stringify(own).includes(Deno.hostname()) || Deno.hostname().length < 4);
});
