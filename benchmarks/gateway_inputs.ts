/** What costly requests cost the gateway: time and memory at growing sizes, each input with a fresh gateway. */
import { interruptSignal, realClock } from "../scripts/cli.ts";
import { startFakeProcess } from "../lib/selfcheck/fake_process.ts";
import { startGateway } from "./gateway_proxies.ts";

export interface InputBench {
  readonly kind: "inputs";
  readonly rows: readonly InputCost[];
}

export interface InputCost {
  readonly input: string;
  readonly sizes: readonly SizeCost[];
  /** How much resident memory grew with the first request, of the largest size; null where the system doesn't tell. */
  readonly grown_mb: number | null;
}

/** A body of one size: the shortest of three times until the whole answer, through the gateway and without it. */
export interface SizeCost {
  readonly mb: number;
  readonly status: number;
  readonly ms: number;
  /** null where the gateway refuses the body. */
  readonly direct_ms: number | null;
}

const LARGEST_MB = 8;
const SIZES_MB = [1, 2, 4, LARGEST_MB];
const REPEATS = 3;

/** A body of about the given number of bytes: a beginning, a repeated piece, an end. */
const filled = (before: string, piece: string, after: string) => (bytes: number) =>
  before + piece.repeat(Math.floor(bytes / new TextEncoder().encode(piece).length)) + after;

const REST = `"model":"flood","stream":false,"messages":[{"role":"user","content":"x"}]}`;
const content = (piece: string) =>
  filled(`{"model":"flood","messages":[{"role":"user","content":"`, piece, `"}]}`);

const INPUTS: readonly (readonly [name: string, body: (bytes: number) => string])[] = [
  ["a long text", content("hello ")],
  ["escaped characters", content("\\u0000")],
  ["emoji", content("😀")],
  ["quotes", content('\\"')],
  ["special tokens", content("<|im_end|>")],
  ["the key `model`, again and again", filled("{", `"model":"flood",`, REST)],
  ["opening brackets", filled("", "[", "")],
  ["nested objects", filled("", '{"a":', "")],
  ["many messages", filled(`{"messages":[`, `{"role":"user","content":"x"},`, `1],${REST}`)],
  ["many tools", filled(`{"tools":[`, `{"type":"function","function":{"name":"f"}},`, `1],${REST}`)],
  [
    "a long enum",
    filled(
      `{"response_format":{"type":"json_schema","json_schema":{"schema":{"enum":[`,
      '"a",',
      `1]}}},${REST}`,
    ),
  ],
  ["numbers", filled(`{"x":[`, "1e9,", `1],${REST}`)],
];

/** Sends each input at each size to a gateway of its own. */
export async function inputCosts(): Promise<InputBench> {
  await using fake = await startFakeProcess({ models: { flood: { tokens: 1, ttftMs: 0, log: "nothing" } } });
  const rows: InputCost[] = [];
  for (const [input, body] of INPUTS) {
    console.error(input);
    await using gateway = await startGateway(fake.baseUrl);
    await post(gateway.baseUrl, body(10_000));
    const before = await gateway.memoryMb();
    await post(gateway.baseUrl, body(LARGEST_MB * 1e6));
    const after = await gateway.memoryMb();
    const sizes: SizeCost[] = [];
    for (const mb of SIZES_MB) {
      sizes.push({ mb, ...await cost(body(mb * 1e6), gateway.baseUrl, fake.baseUrl) });
    }
    rows.push({ input, sizes, grown_mb: before === null || after === null ? null : after - before });
  }
  return { kind: "inputs", rows };
}

/** In turns. What the gateway refuses is not JSON, which would end the fake endpoint. */
async function cost(text: string, gatewayUrl: string, directUrl: string): Promise<Omit<SizeCost, "mb">> {
  const times: number[] = [];
  const directTimes: number[] = [];
  let status = 0;
  for (let i = 0; i < REPEATS; i++) {
    const answer = await post(gatewayUrl, text);
    times.push(answer.ms);
    status = answer.status;
    if (status === 200) directTimes.push((await post(directUrl, text)).ms);
  }
  const direct_ms = directTimes.length > 0 ? Math.min(...directTimes) : null;
  return { status, ms: Math.min(...times), direct_ms };
}

async function post(baseUrl: string, text: string): Promise<{ ms: number; status: number }> {
  interruptSignal().throwIfAborted();
  const startMs = realClock();
  const response = await fetch(`${baseUrl}/chat/completions`, { method: "POST", body: text });
  await response.arrayBuffer();
  return { ms: realClock() - startMs, status: response.status };
}
