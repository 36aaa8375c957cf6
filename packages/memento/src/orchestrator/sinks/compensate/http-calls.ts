import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { systemCode } from "../../../core/path-errors.ts";
import type { Sink } from "../sink.ts";
import { compensatingCalls } from "./calls-sink.ts";
import { type Call, type CallsOptions, type MadeCall, randomOf } from "./options.ts";

/** What a request is made of, from the call that it is for. */
export interface RequestOptions<C> {
  readonly url: string | ((call: C) => string);
  readonly method?: string;
  /** Sent with every request; a function gives them for each, for example with a credential that was renewed. */
  readonly headers?:
    | Readonly<Record<string, string>>
    | ((call: C) => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>);
  /** What is sent as JSON; null for no body. */
  readonly body?: (call: C) => Json;
}

/** What the journal keeps of a response, for the compensation. */
export interface HttpAnswer {
  readonly status: number;
  /** The response's `Location`; null for none. */
  readonly location: string | null;
  /** Its JSON, up to 64 KiB; null for anything else. */
  readonly body: Json;
}

/** A request that was made and is to be taken back. */
export interface MadeHttpCall<Row> extends Omit<MadeCall<Row>, "answer"> {
  /** What it was answered; a status of 0 where that is not known. */
  readonly answer: HttpAnswer;
}

/** What `httpCalls` takes. */
export interface HttpCallsOptions<Row>
  extends RequestOptions<Call<Row>>, Omit<CallsOptions<Row>, "name" | "write" | "compensate"> {
  /** For people; method and URL by default, without its query. */
  readonly name?: string;
  /** How a call is taken back: DELETE by default. 404 and 410 say that it is gone already. Left out: the sink cannot revert. */
  readonly compensate?: RequestOptions<MadeHttpCall<Row>>;
  /** The header that takes the idempotency key; default `Idempotency-Key`. */
  readonly idempotencyHeader?: string;
  /** How long one request may take; default 30,000. */
  readonly timeoutMs?: number;
  /** How often a request is made at most where the far end fails or does not answer; default 5. */
  readonly attemptsMax?: number;
  /** In place of the global `fetch`. */
  readonly fetch?: typeof fetch;
}

const TIMEOUT_MS = 30_000;
const ATTEMPTS_MAX = 5;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
const ANSWER_BYTES_MAX = 65_536;
const EXCERPT_CHARACTERS = 200;

/**
 * A sink into an HTTP API: a request for each batch of rows, or for each row (`rowsPerCall: 1`), with an idempotency key. 2xx is
 * done. 408, 409, 425, 429, 5xx, timeouts and lost connections are tried again with the same key, with pauses that grow
 * (and as `Retry-After` says, up to 10 s), then STORE_UNREACHABLE. 401 and 403 are ACCESS_DENIED; any other answer, a
 * redirect among them, is RECORD_INVALID. The body is the array of rows, or the row itself where a call has one.
 */
export function httpCalls<Row = Json>(options: HttpCallsOptions<Row>): Sink<Row> {
  const { url, method = "POST", compensate, name, rowsPerCall } = options;
  const target = typeof url === "string" ? shownUrl(url) : "requests";
  const shown = name ?? `${method} ${target}`;
  const client = new HttpClient(options, shown);
  const body = (call: Call<Row>): Json => (rowsPerCall === 1 ? call.rows[0] : call.rows) as Json;
  const { journal, callsAtOnce, unanswered, busyTimeoutMs, random } = options;
  return compensatingCalls<Row>({
    name: shown,
    journal,
    ...(rowsPerCall === undefined ? {} : { rowsPerCall }),
    ...(callsAtOnce === undefined ? {} : { callsAtOnce }),
    ...(unanswered === undefined ? {} : { unanswered }),
    ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }),
    ...(random === undefined ? {} : { random }),
    write: async (call) => ({ ...(await client.send(call, { body, ...options, method }, [])) }),
    ...(compensate === undefined
      ? {}
      : {
          compensate: async (call) => {
            const answer = (call.answer ?? { status: 0, location: null, body: null }) as unknown as HttpAnswer;
            await client.send({ ...call, answer }, { method: "DELETE", body: () => null, ...compensate }, [404, 410]);
          },
        }),
  });
}

/** The settings that all requests of a sink share. */
type ClientOptions = Pick<
  HttpCallsOptions<never>,
  "idempotencyHeader" | "timeoutMs" | "attemptsMax" | "fetch" | "random"
>;

class HttpClient {
  readonly #options: ClientOptions;
  readonly #name: string;

  constructor(options: ClientOptions, name: string) {
    this.#options = options;
    this.#name = name;
  }

  /** Sends until there is an answer that counts; statuses of `done` count as success. */
  async send<C extends Call<unknown>>(
    call: C,
    request: RequestOptions<C>,
    done: readonly number[],
  ): Promise<HttpAnswer> {
    const { attemptsMax = ATTEMPTS_MAX } = this.#options;
    for (let attempt = 1; ; attempt++) {
      let pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS);
      try {
        const response = await this.#fetch(call, request);
        if (response.ok || done.includes(response.status)) return await readAnswer(response);
        const failure = await this.#failureOf(response);
        if (failure.code !== "STORE_UNREACHABLE" || attempt >= attemptsMax) throw failure;
        const asked = Number(response.headers.get("retry-after") ?? Number.NaN) * 1_000;
        if (asked >= 0) pauseMs = Math.min(Math.max(asked, pauseMs), LONGEST_PAUSE_MS);
      } catch (error) {
        if (isMementoError(error)) throw error;
        call.signal.throwIfAborted();
        if (attempt >= attemptsMax) throw this.#unreached(error);
      }
      // Those who wait for the same come at different moments.
      const share = 0.5 + (randomOf(this.#options).bytes(1)[0] ?? 0) / 512;
      await call.clock.sleep(pauseMs * share, call.signal);
    }
  }

  async #fetch<C extends Call<unknown>>(
    call: C,
    { url, method = "POST", headers, body }: RequestOptions<C>,
  ): Promise<Response> {
    const { idempotencyHeader = "Idempotency-Key", timeoutMs = TIMEOUT_MS, fetch: send = fetch } = this.#options;
    const given = typeof headers === "function" ? await headers(call) : headers;
    const content = body?.(call) ?? null;
    const type: Record<string, string> = content === null ? {} : { "content-type": "application/json" };
    const target = typeof url === "function" ? url(call) : url;
    const init = {
      method,
      headers: { ...type, ...given, [idempotencyHeader]: call.key },
      ...(content === null ? {} : { body: JSON.stringify(content) }),
      // A redirected POST becomes a GET, which would look like success.
      redirect: "manual",
    } as const;
    this.#demandSendable(target, init);
    const signal = AbortSignal.any([call.signal, AbortSignal.timeout(timeoutMs)]);
    return await send(target, { ...init, signal }).catch((error: unknown) => {
      // Its own text may quote what was sent.
      throw isMementoError(error) ? error : new Error(reasonOf(error));
    });
  }

  /** RECORD_INVALID for what no request can be made of: that is so however often it is tried, and `fetch` would quote it. */
  #demandSendable(target: string, init: RequestInit): void {
    try {
      shownUrl(target);
      void new Request(target, init);
    } catch (error) {
      const why = isMementoError(error) ? error.message : "its method, headers and body do not fit together";
      throw new MementoError("RECORD_INVALID", `${this.#name}: no request can be made for this call: ${why}`, {
        hint: "Headers have no line ends and nothing past Latin-1, a GET has no body, and an account goes into headers, as authorization.",
      });
    }
  }

  async #failureOf(response: Response): Promise<MementoError> {
    const { status } = response;
    const text = excerptOf(await response.text());
    const message = `${this.#name} answered ${status}${text === "" ? "" : `: ${text}`}`;
    const details = { status };
    if (status >= 500 || [408, 409, 425, 429].includes(status))
      return new MementoError("STORE_UNREACHABLE", message, { details });
    if (status === 401 || status === 403) return new MementoError("ACCESS_DENIED", message, { details });
    return new MementoError("RECORD_INVALID", message, { details });
  }

  #unreached(error: unknown): MementoError {
    const reason = error instanceof Error ? error.message : String(error);
    return new MementoError("STORE_UNREACHABLE", `${this.#name} gave no answer: ${reason}`, { cause: error });
  }
}

/** How an answer begins; never with half a word, for the half of a secret is not known for one. */
function excerptOf(answer: string): string {
  const text = answer.replaceAll(/\s+/gu, " ");
  if (text.length <= EXCERPT_CHARACTERS) return text;
  return `${text.slice(0, EXCERPT_CHARACTERS).replace(/[^\s"',;<>(){}[\]]*$/u, "")}…`;
}

/** Why `fetch` failed, by a code or name alone: `ECONNREFUSED`, which stands in its cause; `TimeoutError`. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return systemCode(cause) ?? (cause instanceof Error ? cause.name : "unknown reason");
}

async function readAnswer(response: Response): Promise<HttpAnswer> {
  const { status, headers } = response;
  const text = await response.text();
  const isJson = /\bjson\b/iu.test(headers.get("content-type") ?? "") && text.length <= ANSWER_BYTES_MAX;
  return { status, location: headers.get("location"), body: isJson ? parsed(text) : null };
}

/** What says that it is JSON and is not is no reason to call again: the call was made. */
function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null;
  }
}

/** Without its query, where secrets stand. INVALID_ARGUMENT for what no request goes to. */
function shownUrl(url: string): string {
  if (!URL.canParse(url)) throw new MementoError("INVALID_ARGUMENT", "url is not a URL");
  const { origin, pathname, username, password } = new URL(url);
  if (username !== "" || password !== "")
    throw new MementoError(
      "INVALID_ARGUMENT",
      "url has an account in it, which belongs into headers, as authorization",
    );
  return `${origin}${pathname}`;
}
