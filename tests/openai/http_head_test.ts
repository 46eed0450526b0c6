/** Heads of requests: what is refused, and that a head which is known is read as if it were not. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ApiError } from "../../lib/openai/api_error.ts";
import { HeadReader, parseHead } from "../../lib/openai/http_head.ts";

/** What a head is read as, or that it is refused. */
function told(read: () => ReturnType<typeof parseHead>) {
  try {
    const { headers, ...rest } = read();
    return { ...rest, headers: [...headers] };
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}

const name = fc.constantFrom("Host", "content-length", "Content-Length", "X-Stainless-OS", "connection", "x");
const value = fc.oneof(fc.nat(99_999).map(String), fc.constantFrom("a", "close", "", " 12 ", "1\t2", "é"));
const header = fc.tuple(name, fc.constantFrom(":", ": ", ":  "), value).map((parts) => parts.join(""));
const line = fc.constantFrom("POST /v1/chat/completions HTTP/1.1", "GET / HTTP/1.0", "POST /x?y=1 HTTP/1.1");
const head = fc.tuple(line, fc.array(header, { maxLength: 6 }))
  .map(([first, headers]) => [first, "Host: a", ...headers, "", ""].join("\r\n"));
/** A head with other digits in it, or with one character exchanged: nearly the same, which is not the same. */
const nearly = (text: string) =>
  fc.oneof(
    fc.nat(9_999_999).map((n) => text.replace(/(content-length: *)\d+/i, `$1${n}`)),
    fc.tuple(fc.nat(text.length - 5), fc.constantFrom("0", "a", " ", "\r", ":", "")).map(([at, char]) =>
      text.slice(0, at) + char + text.slice(at + 1)
    ),
    fc.constant(text),
  );

Deno.test("a head that is known but for its length is read as if it were not", () => {
  const heads = head.chain((first) =>
    fc.array(nearly(first), { maxLength: 4 }).map((others) => [first, ...others])
  );
  fc.assert(
    fc.property(heads, fc.constantFrom("", "{}", "POST"), (texts, body) => {
      const reader = new HeadReader();
      for (const text of texts) {
        const seen = told(() => reader.read(text + body, text.length));
        assert.deepEqual(seen, told(() => parseHead(text, text.length)), JSON.stringify(text));
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("what two readers could take differently is refused", () => {
  const lines = (...headers: string[]) => `POST / HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`;
  for (
    const text of [
      lines("Host: a", "Host: b"),
      lines("Host: a", "Content-Length: 1", "content-length: 1"),
      lines("Host: a", "X : 1"),
      lines("Host: a", " folded"),
      lines("Host: a", "X\u0000: 1"),
      lines("Host: a", "X: a\nY: b"),
      lines("Host: a", ": nameless"),
      lines("Host: a", "no colon"),
      lines("X: no host"),
      "post / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
      "GET /\u0001 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /\r\nHost: a HTTP/1.1\r\n\r\n",
      "\r\n\r\n",
    ]
  ) assert.throws(() => parseHead(text, text.length), ApiError, JSON.stringify(text));
});
