/** A program that starts an adapter, prints its process id, makes it loop, and waits to be killed. */
import { running } from "./adapter_fixture.ts";

const custom = await running({ module: "adapters/misbehaving.ts" });
console.log(custom.model.pid);
await custom.ask("loop");
