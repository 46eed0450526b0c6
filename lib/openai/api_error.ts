/** Refusals in OpenAI's shape. */

/** A refusal in OpenAI's shape; `status` is the HTTP status. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly param: string | null;
  readonly code: string | null;

  constructor(readonly status: number, message: string, detail: { param?: string; code?: string } = {}) {
    super(message);
    this.param = detail.param ?? null;
    this.code = detail.code ?? null;
  }
}

/**
 * The body of an error answer.
 *
 * ```ts
 * const body = errorBody(new ApiError(404, "no such model", { param: "model", code: "model_not_found" }));
 * if (body.error.type !== "invalid_request_error") throw new Error("4xx is the client's");
 * ```
 */
export function errorBody(error: ApiError) {
  const type = error.status === 401
    ? "authentication_error"
    : error.status >= 500
    ? "server_error"
    : "invalid_request_error";
  return { error: { message: error.message, type, param: error.param, code: error.code } };
}
