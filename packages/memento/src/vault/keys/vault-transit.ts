import { MementoError } from "../../core/errors.ts";
import { unopened, unusable, type KmsClient } from "./kms-ring.ts";

/** A key (aes256-gcm96 or another that takes associated data) of the Transit engine of HashiCorp Vault or OpenBao. */
export interface VaultTransitOptions {
  /** The key's name. */
  readonly key: string;
  /** Where the engine is mounted. Default `transit`. */
  readonly mount?: string;
  /** The server's address; `VAULT_ADDR` by default. */
  readonly address?: string;
  /** Gives the token for each call; `VAULT_TOKEN` by default. */
  readonly token?: () => string | Promise<string>;
  /** `VAULT_NAMESPACE` by default. */
  readonly namespace?: string;
  readonly fetch?: typeof globalThis.fetch;
  /** How long a call may take. Default a minute. */
  readonly answerMsMax?: number;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** What may stand in a header of HTTP. */
const HEADER_TEXT = /^[\x20-\x7e]*$/;

/**
 * A key of HashiCorp Vault's Transit engine, by its HTTP API: there is no official client for JavaScript. `bound` is the
 * associated data, which Transit authenticates. INVALID_ARGUMENT without an address, KEY_SERVICE_FAILED without a token.
 */
export function vaultTransit(options: VaultTransitOptions): KmsClient {
  const { key, mount = "transit", environment = process.env, fetch = globalThis.fetch } = options;
  const address = (options.address ?? environment["VAULT_ADDR"] ?? "").replace(/\/+$/, "");
  if (!/^https?:\/\/[^@?#]+$/.test(address))
    throw new MementoError(
      "INVALID_ARGUMENT",
      "The address of HashiCorp Vault must be an http or https URL without a user",
      {
        hint: "Set VAULT_ADDR, or name the host in the key's URL.",
      },
    );
  const id = `transit:${address.replace(/^https?:\/\//, "")}/${mount}/${key}`;
  const namespace = (options.namespace ?? environment["VAULT_NAMESPACE"] ?? "").trim();
  if (!HEADER_TEXT.test(namespace))
    throw new MementoError("INVALID_ARGUMENT", "The namespace of HashiCorp Vault holds characters that none has", {
      hint: "Look at VAULT_NAMESPACE.",
    });
  const call = async (operation: "encrypt" | "decrypt", body: object, signal: AbortSignal): Promise<Answer> => {
    const token = tokenFor(id, (await options.token?.()) ?? environment["VAULT_TOKEN"] ?? "");
    const response = await reached(
      address,
      fetch(`${address}/v1/${mount}/${operation}/${encodeURIComponent(key)}`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-vault-token": token,
          "x-vault-request": "true",
          ...(namespace === "" ? {} : { "x-vault-namespace": namespace }),
        },
        body: JSON.stringify(body),
        redirect: "error",
        signal,
      }),
    );
    const answer = parsed(await response.text());
    if (!response.ok) throw refusal(id, response.status, answer);
    if (isObject(answer) && isObject(answer["data"])) return answer["data"];
    throw new MementoError(
      "KEY_SERVICE_FAILED",
      `What answers for the key ${id} gives no data, as HashiCorp Vault does`,
    );
  };
  const associated = (bound: string): { associated_data: string } => ({
    associated_data: Buffer.from(bound, "utf8").toString("base64"),
  });
  return {
    id,
    service: "HashiCorp Vault Transit",
    answerMsMax: options.answerMsMax,
    wrap: async (plain, bound, signal) => {
      const plaintext = Buffer.from(plain).toString("base64");
      const { ciphertext = "" } = await call("encrypt", { plaintext, ...associated(bound) }, signal);
      return Buffer.from(ciphertext, "utf8");
    },
    unwrap: async (wrapped, bound, signal) => {
      const ciphertext = Buffer.from(wrapped).toString("utf8");
      if (!/^vault:v\d{1,9}:[A-Za-z0-9+/=]+$/.test(ciphertext)) throw unopened(id);
      const { plaintext = "" } = await call("decrypt", { ciphertext, ...associated(bound) }, signal);
      return Buffer.from(plaintext, "base64");
    },
  };
}

interface Answer {
  readonly ciphertext?: string;
  readonly plaintext?: string;
}

/** A token, without the line end that a file has behind it. What cannot be one is not sent, for whoever refuses it would repeat it. */
function tokenFor(id: string, given: string): string {
  const token = given.trim();
  if (token === "")
    throw new MementoError("KEY_SERVICE_FAILED", `There is no token for the key ${id}`, { hint: "Set VAULT_TOKEN." });
  if (HEADER_TEXT.test(token)) return token;
  throw new MementoError("KEY_SERVICE_FAILED", `The token for the key ${id} holds characters that no token has`, {
    hint: "Set VAULT_TOKEN to the token alone, on one line.",
  });
}

/** The answer; a server that is not there is told with the reason. */
async function reached(address: string, answer: Promise<Response>): Promise<Response> {
  try {
    return await answer;
  } catch (error) {
    const why = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
    throw new MementoError("KEY_SERVICE_FAILED", `HashiCorp Vault at ${address} cannot be reached${why}`);
  }
}

/** The JSON of an answer; undefined for anything else. An error over it would show a part of the text, which may be a key. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

/** Of an answer only Vault's own `errors` are told: others may repeat what they were sent, the token and the key with it. */
function refusal(id: string, status: number, answer: unknown): MementoError {
  const errors = isObject(answer) && Array.isArray(answer["errors"]) ? (answer["errors"] as readonly unknown[]) : [];
  const text = errors.filter((error) => typeof error === "string").join("; ");
  if (status === 404 || /key not found|disallowed by policy/i.test(text))
    return unusable(id, "Vault has no such key, or none of that version");
  if (status === 400 && /invalid ciphertext|message authentication failed|decrypt/i.test(text)) return unopened(id);
  return new MementoError(
    "KEY_SERVICE_FAILED",
    `HashiCorp Vault refused to use the key ${id}: HTTP ${status}${text === "" ? "" : `: ${text.slice(0, 300)}`}`,
  );
}
