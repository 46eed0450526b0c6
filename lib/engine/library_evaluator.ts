/** Evaluates by way of node-llama-cpp, on every device that it supports. */
import {
  type Llama,
  type LlamaContextSequence,
  type LlamaGrammar,
  LlamaGrammarEvaluationState,
  type LlamaModel,
  type SequenceEvaluateOptions,
  type Token,
} from "node-llama-cpp";
import { commonStart, type Evaluator, type Picking, type PromptRun } from "./evaluator.ts";

/** One model's evaluations in a sequence of node-llama-cpp. */
export class LibraryEvaluator implements Evaluator {
  readonly givesLogprobs = false;

  constructor(
    readonly contextTokens: number,
    private readonly llama: Llama,
    private readonly model: LlamaModel,
    private readonly sequence: LlamaContextSequence,
  ) {}

  async prompt(tokens: readonly Token[], picking: Picking, signal: AbortSignal): Promise<PromptRun> {
    const before = this.sequence.tokenMeter.getState();
    const rest = await this.#reuse(tokens, signal);
    const generated: Token[] = [];
    const options = this.#options(picking, generated);
    const grammar = picking.grammar === null
      ? null
      : await this.llama.createGrammar({ grammar: picking.grammar });
    const run = this.sequence.evaluate(rest, { ...options, ...this.#grammarState(grammar) });
    let last = this.#orInstead(tokenOf(await run.next()), picking);
    // Measured by the library's own meter, so that a lost cache doesn't count.
    const used = this.sequence.tokenMeter.diff(before);
    const cachedTokens = Math.max(0, tokens.length - used.usedInputTokens - used.usedOutputTokens);
    return {
      first: last,
      cachedTokens,
      next: async () => {
        generated.push(last);
        last = this.#orInstead(tokenOf(await run.next(last)), picking);
        return last;
      },
      logprobs: () => null,
      end: async () => void await run.return(),
    };
  }

  forget(): Promise<void> {
    return this.sequence.clearHistory();
  }

  #orInstead(token: Token, { insteadOfEnd }: Picking): Token {
    return insteadOfEnd !== null && this.model.isEogToken(token) ? insteadOfEnd : token;
  }

  #grammarState(grammar: LlamaGrammar | null) {
    if (grammar === null) return {};
    return { grammarEvaluationState: new LlamaGrammarEvaluationState({ model: this.model, grammar }) };
  }

  async #reuse(prompt: readonly Token[], signal: AbortSignal): Promise<Token[]> {
    // The last token is always evaluated: its logits give the answer's first token.
    const same = Math.min(commonStart(this.sequence.contextTokens, prompt), prompt.length - 1);
    if (same < this.sequence.nextTokenIndex) {
      await this.sequence.eraseContextTokenRanges([{ start: same, end: this.sequence.nextTokenIndex }]);
    }
    const piece = this.sequence.context.batchSize;
    let at = this.sequence.nextTokenIndex;
    for (; prompt.length - at > piece; at += piece) {
      signal.throwIfAborted();
      await this.sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(at, at + piece));
    }
    signal.throwIfAborted();
    return prompt.slice(at);
  }

  #options({ sampling }: Picking, generated: Token[]): SequenceEvaluateOptions {
    const { temperature, topP, topK, minP, seed, presencePenalty, frequencyPenalty } = sampling;
    const free = { temperature, topP, topK, minP, seed, yieldEogToken: true };
    if (presencePenalty === 0 && frequencyPenalty === 0) return free;
    const punishTokens = () => generated;
    const maxPunishTokens = this.contextTokens;
    return {
      ...free,
      repeatPenalty: { punishTokens, maxPunishTokens, penalty: 1, presencePenalty, frequencyPenalty },
    };
  }
}

function tokenOf(result: IteratorResult<Token, void>): Token {
  if (result.done === true) throw new Error("the model gave no further token");
  return result.value;
}
