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
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

const ANSWER_MS_MAX = 30_000;

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
  const namespace = options.namespace ?? environment["VAULT_NAMESPACE"] ?? "";
  const call = async (operation: "encrypt" | "decrypt", body: object): Promise<Answer> => {
    const token = (await options.token?.()) ?? environment["VAULT_TOKEN"] ?? "";
    if (token === "")
      throw new MementoError("KEY_SERVICE_FAILED", `There is no token for the key ${id}`, { hint: "Set VAULT_TOKEN." });
    const response = await fetch(`${address}/v1/${mount}/${operation}/${encodeURIComponent(key)}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-vault-token": token,
        "x-vault-request": "true",
        ...(namespace === "" ? {} : { "x-vault-namespace": namespace }),
      },
      body: JSON.stringify(body),
      redirect: "error",
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const text = await response.text();
    if (response.ok) return (JSON.parse(text) as { readonly data: Answer }).data;
    throw refusal(id, response.status, text);
  };
  const associated = (bound: string): { associated_data: string } => ({
    associated_data: Buffer.from(bound, "utf8").toString("base64"),
  });
  return {
    id,
    service: "HashiCorp Vault Transit",
    wrap: async (plain, bound) => {
      const { ciphertext = "" } = await call("encrypt", {
        plaintext: Buffer.from(plain).toString("base64"),
        ...associated(bound),
      });
      return Buffer.from(ciphertext, "utf8");
    },
    unwrap: async (wrapped, bound) => {
      const ciphertext = Buffer.from(wrapped).toString("utf8");
      if (!/^vault:v\d{1,9}:[A-Za-z0-9+/=]+$/.test(ciphertext)) throw unopened(id);
      const { plaintext = "" } = await call("decrypt", { ciphertext, ...associated(bound) });
      return Buffer.from(plaintext, "base64");
    },
  };
}

interface Answer {
  readonly ciphertext?: string;
  readonly plaintext?: string;
}

function refusal(id: string, status: number, text: string): MementoError {
  if (status === 404 || /key not found|disallowed by policy/i.test(text))
    return unusable(id, "Vault has no such key, or none of that version");
  if (status === 400 && /invalid ciphertext|message authentication failed|decrypt/i.test(text)) return unopened(id);
  return new MementoError(
    "KEY_SERVICE_FAILED",
    `HashiCorp Vault refused to use the key ${id}: HTTP ${status}: ${text.slice(0, 300)}`,
  );
}
