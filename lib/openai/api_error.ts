/** Errors in OpenAI's shape. */

/** An error that a client receives in OpenAI's shape; `status` is the HTTP status. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    readonly status: number,
    message: string,
    detail: { readonly param?: string; readonly code?: string } = {},
  ) {
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

/**
 * The whole error answer. It ends the connection where the client may still be sending its body, and says
 * when to try again where waiting helps.
 *
 * ```ts
 * const response = errorResponse(new ApiError(503, "no model can answer now"));
 * if (response.headers.get("retry-after") !== "5") throw new Error("a client may try again");
 * ```
 */
export function errorResponse(error: ApiError, headers: Readonly<Record<string, string>> = {}): Response {
  const { status } = error;
  return new Response(JSON.stringify(errorBody(error)), {
    status,
    headers: {
      "content-type": "application/json",
      ...(status === 503 ? { "retry-after": "5" } : {}),
      ...(status === 408 || status === 413 ? { connection: "close" } : {}),
      ...headers,
    },
  });
}
