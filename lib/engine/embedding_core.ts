/** Turns texts into vectors with an embedding model, by way of node-llama-cpp. */
import type { LlamaEmbeddingContext, LlamaModel } from "node-llama-cpp";
import { ApiError } from "../openai/api_error.ts";
import type { Embedded, LoadedModel, TextGenerator } from "../openai/model_server.ts";

/** Whether a file holds an embedding model: its metadata says how the vectors of its tokens become one. */
export function isEmbeddingModel({ fileInfo }: Pick<LlamaModel, "fileInfo">): boolean {
  const { architecture } = fileInfo.metadata.general;
  return (fileInfo.architectureMetadata.pooling_type ?? 0) !== 0 || /bert|embedding$/.test(architecture);
}

/** An embedding model that is loaded. It writes no text. */
export class EmbeddingCore implements TextGenerator<LoadedModel> {
  constructor(
    readonly model: LoadedModel,
    private readonly words: LlamaModel,
    private readonly context: LlamaEmbeddingContext,
  ) {}

  prepare(): Promise<never> {
    const why = "this is an embedding model, which writes no text: send texts to /v1/embeddings";
    return Promise.reject(new ApiError(400, why, { param: "model" }));
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<Embedded> {
    const inputs = texts.map((text) => this.words.tokenize(text));
    // With the tokens that the model wants before and after a text.
    const lengths = inputs.map((input) => this.context.calculateInputLength(input));
    const { contextTokens } = this.model;
    const long = lengths.findIndex((length) => length >= contextTokens);
    if (long >= 0) {
      throw new ApiError(
        400,
        `text ${long + 1} has ${lengths[long]} tokens, and this model takes ${contextTokens - 1}: shorten it`,
        { param: "input", code: "context_length_exceeded" },
      );
    }
    const vectors: number[][] = [];
    for (const input of inputs) {
      signal.throwIfAborted();
      vectors.push(unit((await this.context.getEmbeddingFor(input)).vector));
    }
    return { vectors, promptTokens: lengths.reduce((sum, length) => sum + length, 0) };
  }
}

/** OpenAI's vectors have the length 1, so that a dot product is a cosine. */
function unit(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return length === 0 ? [...vector] : vector.map((value) => value / length);
}
