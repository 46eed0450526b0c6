/**
 * Hostile servers, through sockets and all: a thousand seeded streams of random bytes and of real answers cut,
 * torn and flipped. Never a crash, never a hang past the time-out, never a wrong count taken for a right one.
 */
import assert from "node:assert/strict";
import type { Trace } from "../../lib/endpoint/trace.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { type Attack, HEADS, traces } from "./hostile_server.ts";

const encoder = new TextEncoder();

/** Cuts bytes into up to `parts` pieces at random places. */
function torn(bytes: Uint8Array, parts: number, random: () => number): Uint8Array[] {
  const cuts = Array.from(
    { length: Math.floor(random() * parts) },
    () => Math.floor(random() * bytes.length),
  );
  const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((to, i) => bytes.subarray(edges[i] ?? 0, to)).filter((piece) => piece.length > 0);
}

const WORDS = ["Grüße", " aus", " 日本", " 🙂", " und", " Köln", "."];
const USAGE = { prompt_tokens: 2, completion_tokens: WORDS.length, total_tokens: WORDS.length + 2 };

/** Real answers in several dialects, whole. */
function realAnswers(): Uint8Array[] {
  const answers: Uint8Array[] = [];
  for (const framing of ["chunked", "close"] as const) {
    for (const done of [true, false]) {
      const events = [
        ...WORDS.map((content) => ({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })),
        { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
        { choices: [], usage: USAGE },
      ].map((event) => `data: ${JSON.stringify(event)}\n\n`);
      if (done) events.push("data: [DONE]\n\n");
      const body = framing === "close" ? events : [
        ...events.map((event) => `${encoder.encode(event).length.toString(16)}\r\n${event}\r\n`),
        "0\r\n\r\n",
      ];
      answers.push(encoder.encode(HEADS[framing] + body.join("")));
    }
  }
  const whole = JSON.stringify({
    choices: [{ index: 0, message: { content: WORDS.join("") }, finish_reason: "stop" }],
    usage: USAGE,
  });
  const length = encoder.encode(whole).length;
  answers.push(
    encoder.encode(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${whole}`,
    ),
  );
  answers.push(encoder.encode(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n${whole}`));
  return answers;
}

function assertSane(trace: Trace): void {
  assert.equal(trace.reason === null, trace.status === "ok");
  assert.ok(trace.reason === null || (trace.reason.length <= 300 && !/[\r\n]/.test(trace.reason)));
  assert.equal(trace.status === "partial", trace.reason !== null && trace.chunks.length > 0);
  assert.ok(trace.endMs >= trace.sentMs);
}

Deno.test("hostile: whole answers are accepted, however they are cut", async () => {
  const random = seededRandom("torn");
  const attacks = Array.from({ length: 30 }, () => realAnswers()).flat()
    .map((answer): Attack => ({ pieces: torn(answer, 4, random), closes: true }));
  for (const trace of await traces(attacks, 5000)) {
    assert.equal(trace.reason, null);
    assert.equal(trace.content, WORDS.join(""));
    assert.equal(trace.usage?.outputTokens, WORDS.length);
  }
});

Deno.test("hostile: truncated answers never count as whole", async () => {
  const random = seededRandom("truncated");
  const answers = realAnswers();
  const attacks = Array.from({ length: 400 }, (_, i): Attack => {
    const answer = answers[i % answers.length] ?? new Uint8Array();
    const cut = answer.subarray(0, Math.floor(random() * answer.length));
    return { pieces: torn(cut, 3, random), closes: true };
  });
  let broken = 0;
  for (const trace of await traces(attacks, 5000)) {
    assertSane(trace);
    if (trace.status !== "ok") broken++;
    else {
      assert.equal(trace.content, WORDS.join(""), "an incomplete text was taken for an answer");
      assert.ok(trace.usage === null || trace.usage.outputTokens === WORDS.length);
    }
    assert.ok(trace.usage === null || trace.usage.outputTokens === WORDS.length, "a count from nowhere");
  }
  assert.ok(broken > 300, `only ${broken} of 400 cuts were noticed`);
});

Deno.test("hostile: random bytes and flipped bits are failures with a reason, or an answer", async () => {
  const random = seededRandom("random");
  const answers = realAnswers();
  const attacks = Array.from({ length: 500 }, (_, i): Attack => {
    const noise = Uint8Array.from({ length: Math.floor(random() * 2000) }, () => Math.floor(random() * 256));
    if (i % 3 === 0) return { pieces: torn(noise, 3, random), closes: true };
    if (i % 3 === 1) {
      const head = encoder.encode(random() < 0.5 ? HEADS.chunked : HEADS.close);
      return { pieces: [head, ...torn(noise, 3, random)], closes: true };
    }
    const flipped = (answers[i % answers.length] ?? noise).slice();
    for (let n = 0; n < 1 + random() * 4; n++) {
      flipped[Math.floor(random() * flipped.length)] = random() * 256;
    }
    return { pieces: torn(flipped, 3, random), closes: true };
  });
  for (const trace of await traces(attacks, 5000)) assertSane(trace);
});

Deno.test("hostile: whatever stays open ends at the time-out", async () => {
  const random = seededRandom("open");
  const attacks = Array.from({ length: 40 }, (_, i): Attack => {
    const answers = realAnswers();
    const answer = answers[i % answers.length] ?? new Uint8Array();
    return { pieces: [answer.subarray(0, Math.floor(random() * answer.length))], closes: false };
  });
  for (const trace of await traces(attacks, 30)) {
    assertSane(trace);
    if (trace.status === "ok") assert.equal(trace.content, WORDS.join(""));
  }
});

Deno.test("hostile: an error body without end is cut off", async () => {
  const head = encoder.encode("HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n");
  const pieces = [head, ...Array.from({ length: 100 }, () => new Uint8Array(8_000).fill(120))];
  const [trace] = await traces([{ pieces, closes: false }], 5_000);
  assert.equal(trace?.httpStatus, 500);
  assert.match(trace?.reason ?? "", /^HTTP 500: x+/);
});
