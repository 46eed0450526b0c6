/** What a case requests besides its messages: tools, and how the answer is to be generated. */

/** A function that a model may call; a request carries it as `{"type": "function", "function": …}`. */
export interface ToolDefinition {
  readonly name: string;
  readonly description?: string;
  /** JSON schema of its arguments, an object. */
  readonly parameters?: Readonly<Record<string, unknown>>;
}

/** A call that a model made. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON, as the model wrote it: it need not be valid. */
  readonly arguments: string;
}

/** Settings of a request; what is left out keeps the run's own value or the endpoint's default. */
export interface RequestSettings {
  /** Maximum length of the answer, in tokens. */
  readonly maxTokens?: number;
  readonly temperature?: number;
  /** Texts at which the answer ends. */
  readonly stop?: readonly string[];
  /** `json`: any JSON object (`response_format` json_object); `schema`: JSON that fits `schema`. */
  readonly format?: "free" | "json" | "schema";
  /** The JSON schema of `format: "schema"`. */
  readonly schema?: Readonly<Record<string, unknown>>;
  /** Whether tools may, must or must not be called, or the name of the one that must be. */
  readonly toolChoice?: "auto" | "none" | "required" | { readonly name: string };
  /** Reasoning on, off, or its largest number of tokens. */
  readonly thinking?: "on" | "off" | number;
}
