/** The HTTP/1.1 response parser: every framing, every cut, nothing believed that is not there. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ResponseParser } from "../../lib/endpoint/http1.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Feeds a response in the given pieces and ends the connection; returns the body, or what was thrown. */
function parse(text: string, cuts: readonly number[] = []): { body: string; parser: ResponseParser } {
  const parser = new ResponseParser();
  const all = bytes(text);
  const body: number[] = [];
  const edges = [0, ...[...cuts].sort((a, b) => a - b), all.length];
  for (const [i, from] of edges.entries()) {
    body.push(...parser.feed(all.slice(from, edges[i + 1] ?? all.length)));
  }
  if (!parser.done) parser.end();
  return { body: new TextDecoder().decode(new Uint8Array(body)), parser };
}

const responses: Record<string, [text: string, body: string, reusable: boolean]> = {
  "by length": ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true],
  "empty by length": ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true],
  "the same length twice": ["HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi", "hi", true],
  "until the connection closes": ["HTTP/1.1 200 OK\r\n\r\nhello", "hello", false],
  "asked to close": ["HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nhi", "hi", false],
  "HTTP/1.0": ["HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "hi", false],
  "HTTP/1.0 kept alive": [
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    "hi",
    true,
  ],
  "chunked": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "hello",
    true,
  ],
  "chunked with extensions and trailers": [
    'HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5 ;a="b"\r\nhello\r\n000\r\nX-Sum: 1\r\nY: 2\r\n\r\n',
    "hello",
    true,
  ],
  "chunked beats length": [
    "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "hi",
    true,
  ],
  "two equal Transfer-Encoding lines": [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "hi",
    true,
  ],
  "bare line feeds": ["HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n", "hi", true],
  "after 100 and 103": [
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi",
    "hi",
    true,
  ],
  "no content": ["HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", "", true],
  "bytes nobody asked for": ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more", "hi", false],
};

for (const [name, [text, body, reusable]] of Object.entries(responses)) {
  Deno.test(`http/1.1: ${name}, however it is cut`, () => {
    fc.assert(fc.property(fc.array(fc.nat(text.length), { maxLength: 12 }), (cuts) => {
      const parsed = parse(text, cuts);
      assert.equal(parsed.body, body);
      assert.equal(parsed.parser.reusable, reusable);
    }));
    assert.equal(parse(text, [text.lastIndexOf("\r\n\r\n", text.length - 5) + 4]).body, body);
    const single = Array.from({ length: text.length }, (_, i) => i);
    assert.equal(parse(text, single).body, body);
  });

  Deno.test(`http/1.1: ${name}, cut short, never counts as whole`, () => {
    for (let length = 0; length < text.length; length++) {
      const start = text.slice(0, length);
      const parser = new ResponseParser();
      const got = parser.feed(bytes(start)).length;
      if (parser.done || name === "until the connection closes" && parser.head !== null) {
        assert.ok(got <= body.length);
        if (name !== "until the connection closes") assert.equal(got, body.length);
      } else assert.throws(() => parser.end(), /the connection closed/);
    }
  });
}

const refused: Record<string, string> = {
  "not HTTP": "SSH-2.0-OpenSSH_9.2\r\n",
  "not HTTP from the first byte": "\r\n\r\n",
  "HTTP/2": "HTTP/2 200\r\n\r\n",
  "no status": "HTTP/1.1 OK\r\n\r\n",
  "status 999": "HTTP/1.1 999 No\r\n\r\n",
  "a header without colon": "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
  "a header with a blank in its name": "HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n",
  "a folded header": "HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n\r\n",
  "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
  "a negative length": "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n",
  "a length in words": "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n",
  "an unknown coding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
  "two different Transfer-Encoding lines":
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
  "a chunk size in words": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n",
  "a negative chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
  "a chunk of 2^60 bytes": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
  "an empty chunk size": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
  "a chunk longer than it says": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhixx\r\n",
  "a chunk that ends in another byte": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhix\n",
  "headers without end": `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(20_000)}`,
  "a header as long as a book": `HTTP/1.1 200 OK\r\nA: ${"b".repeat(70_000)}`,
  "a chunk size without end": `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;${"x".repeat(5_000)}`,
  "trailers without end": `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${
    "A: b\r\n".repeat(20_000)
  }`,
};

for (const [name, text] of Object.entries(refused)) {
  Deno.test(`http/1.1: ${name} is refused`, () => {
    assert.throws(() => new ResponseParser().feed(bytes(text)), SyntaxError);
    assert.throws(() => {
      const parser = new ResponseParser();
      const all = bytes(text);
      const step = Math.ceil(all.length / 200);
      for (let at = 0; at < all.length; at += step) parser.feed(all.subarray(at, at + step));
    }, SyntaxError);
    assert.throws(() => {
      const parser = new ResponseParser();
      const body = text.indexOf("\r\n\r\n") + 4;
      for (const part of [text.slice(0, body), text.slice(body)]) parser.feed(bytes(part));
    }, SyntaxError);
  });
}
