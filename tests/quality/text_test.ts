/** How words, sentences, items and languages are told, and what ROUGE-L and phrases find. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { detectLanguage } from "../../lib/quality/language.ts";
import { hasPhrasing, phraseText } from "../../lib/quality/phrases.ts";
import { rougeL } from "../../lib/quality/rouge.ts";
import { listItems, plainText, sentencesOf, visibleAnswer, wordsOf } from "../../lib/quality/text.ts";

Deno.test("words: hyphens, apostrophes and separators join, punctuation parts", () => {
  assert.deepEqual(wordsOf("Ana's well-made, 12,500-euro plan…"), [
    "Ana's",
    "well-made",
    "12,500-euro",
    "plan",
  ]);
  assert.deepEqual(wordsOf(""), []);
});

Deno.test("sentences: abbreviations, initials, ordinals and decimals end nothing; headings and items count", () => {
  assert.equal(sentencesOf("Dr. Wu met J. Smith at 3.5 km. They agreed, e.g. Ana did!").length, 2);
  assert.equal(sentencesOf("Am 14. März kommt Frau Dr. Lind. Alle sind da.").length, 2);
  assert.equal(sentencesOf("# Title\n- first item\n- second item").length, 3);
  assert.equal(sentencesOf("One.\n\nTwo? “Three!” She said four.").length, 4);
});

Deno.test("sentences and items are counted in linear time", () => {
  for (const piece of ["1. ", "A. ", "Mr. ", "\n", "\r\n", " \n", "* ", "*\n"]) {
    const startMs = performance.now();
    sentencesOf(`x${piece.repeat(100_000)}x`);
    listItems(`x${piece.repeat(100_000)}x`);
    const tookMs = performance.now() - startMs;
    // In quadratic time it takes minutes.
    assert.ok(tookMs < 30_000, `${JSON.stringify(piece)}: ${tookMs} ms`);
  }
});

Deno.test("items: bullets, numbers and check boxes", () => {
  assert.deepEqual(listItems("Text\n* a\n- [ ] b\n 1) c\n2. **d**\n• e\n3.14 is no item"), [
    "a",
    "b",
    "c",
    "d",
    "e",
  ]);
});

Deno.test("a leading block of thought is not part of the answer", () => {
  assert.equal(visibleAnswer("<think>two plus two</think>\n\nFour."), "Four.");
  assert.equal(visibleAnswer("<think>never ends"), "");
  assert.equal(
    visibleAnswer("Two plus two.\n</think>\n\nFour."),
    "Four.",
    "DeepSeek-R1's template opens the block",
  );
  assert.equal(
    visibleAnswer(`<think>${"so, ".repeat(9000)}</think>Four.`),
    "Four.",
    "a block of 36,000 characters",
  );
  assert.equal(visibleAnswer("[THINK]two plus two[/THINK]Four."), "Four.");
  assert.equal(plainText("**bold** and `code` and [link](http://x)"), "bold and code and link");
});

const samples: Record<string, string> = {
  en: "The release stays on Friday because nobody is blocked and the tests have passed.",
  de: "Die Auslieferung bleibt am Freitag, weil niemand blockiert ist und die Tests durchgelaufen sind.",
  fr: "La livraison reste prévue pour vendredi, parce que personne n'est bloqué et que les tests ont réussi.",
  es: "La entrega sigue siendo el viernes porque nadie está bloqueado y las pruebas han salido bien.",
  it: "La consegna resta venerdì perché nessuno è bloccato e le prove sono andate bene anche per il cliente.",
  nl: "De levering blijft op vrijdag omdat niemand vastzit en de tests zijn geslaagd, ook bij de klant.",
  pt: "A entrega continua na sexta-feira porque ninguém está bloqueado e os testes não falharam.",
};

Deno.test("seven languages are told apart; a few words are not guessed", () => {
  for (const [language, text] of Object.entries(samples)) {
    assert.equal(detectLanguage(text), language, text);
  }
  assert.equal(detectLanguage("Budget 2026: EUR 84,000"), null);
  assert.equal(detectLanguage(""), null);
});

Deno.test("another language is not taken for one of the seven, and Markdown hides none", () => {
  const polish = "Premiera została przełożona na 14 marca, ponieważ brakuje testów i nikt nie zna daty.";
  const swedish =
    "Lanseringen flyttas till den 14 mars eftersom testerna saknas och ingen vet när de kommer.";
  assert.deepEqual([polish, swedish].map(detectLanguage), ["pl", "sv"]);
  const table =
    "| task | owner |\n| --- | --- |\n| Call the new supplier | Ana |\n| Write the plan for us | Ben |";
  assert.equal(detectLanguage(table), "en");
  assert.equal(detectLanguage("1 2 3 4 5 6 7 8 9 10"), null);
});

Deno.test("ROUGE-L has the values of Lin's examples (2004, section 3)", () => {
  const reference = "police killed the gunman";
  assert.equal(rougeL("police kill the gunman", reference).f1, 0.75);
  assert.equal(rougeL("the gunman kill police", reference).f1, 0.5);
  assert.equal(rougeL("the gunman police killed", reference).f1, 0.5);
});

Deno.test("ROUGE-L is 1 for the same words, 0 without common ones, and symmetric in its F1", () => {
  const text = fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 12 }).map((w) =>
    w.join(" ")
  );
  fc.assert(fc.property(text, text, (a, b) => {
    assert.equal(rougeL(a, a).f1, 1);
    assert.equal(rougeL(a, "x y z").f1, 0);
    assert.ok(Math.abs(rougeL(a, b).f1 - rougeL(b, a).f1) < 1e-12);
    assert.equal(rougeL(a, b).recall, rougeL(b, a).precision);
  }));
  assert.deepEqual(rougeL("", "reference"), { recall: 0, precision: 0, f1: 0 });
});

Deno.test("phrases: endings, gaps, values of numbers, accents and patterns", () => {
  const text = phraseText(
    "The launch was postponed by three weeks (to 14 March); Émile calls the 2 new suppliers.",
  );
  const found = [
    "postpone* by 3 weeks",
    "emile .. suppliers",
    "launch .. march",
    "two new",
    "/to \\d+ march/",
  ];
  const missing = ["postpone by", "suppliers .. emile", "march launch", "/to \\d{3}/", "ten"];
  assert.deepEqual(found.filter((phrase) => !hasPhrasing(text, phrase)), []);
  assert.deepEqual(missing.filter((phrase) => hasPhrasing(text, phrase)), []);
});
