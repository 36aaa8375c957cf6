import { MementoError } from "../../core/errors.ts";
import type { Credential, CredentialOptions, CredentialProvider } from "./provider.ts";
import { unavailable } from "./unavailable.ts";

/** Which secret of HashiCorp Vault or OpenBao. */
export interface HashicorpVaultOptions extends CredentialOptions {
  /** What the API reads: `secret/data/warehouse` (KV 2), `kv/warehouse` (KV 1), `database/creds/loader` (made for each reader). */
  readonly path: string;
  /** The field with the secret; default: all fields, as JSON. */
  readonly field?: string;
  /** The server's address; `VAULT_ADDR` by default. */
  readonly address?: string;
  /** Gives the token for each call; `VAULT_TOKEN` by default. */
  readonly token?: () => string | Promise<string>;
  /** `VAULT_NAMESPACE` by default. */
  readonly namespace?: string;
  readonly fetch?: typeof globalThis.fetch;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

interface Answer {
  readonly lease_duration?: number;
  readonly data?: Readonly<Record<string, unknown>> | null;
}

const ANSWER_MS_MAX = 30_000;

/**
 * A secret of HashiCorp Vault, by its HTTP API: there is no official client for JavaScript. One with a lease expires with it, and
 * is read anew. INVALID_ARGUMENT without an address; CREDENTIAL_UNAVAILABLE, with the HTTP status alone, when it cannot be had.
 */
export function fromHashicorpVault(options: HashicorpVaultOptions): CredentialProvider {
  const { path, scope = path, seal = false, environment = process.env, fetch = globalThis.fetch } = options;
  const address = (options.address ?? environment["VAULT_ADDR"] ?? "").replace(/\/+$/, "");
  if (!/^https?:\/\/[^@?#]+$/.test(address))
    throw new MementoError(
      "INVALID_ARGUMENT",
      "The address of HashiCorp Vault must be an http or https URL without a user",
      { hint: "Set VAULT_ADDR, or give the address." },
    );
  const namespace = options.namespace ?? environment["VAULT_NAMESPACE"] ?? "";
  return {
    kind: "hashicorp-vault",
    scope,
    seal,
    acquire: async ({ name, clock, signal }) => {
      const token = (await options.token?.()) ?? environment["VAULT_TOKEN"] ?? "";
      if (token === "")
        throw unavailable(name, "is read from HashiCorp Vault, and there is no token", "Set VAULT_TOKEN.");
      const url = `${address}/v1/${path.split("/").map(encodeURIComponent).join("/")}`;
      const headers = {
        "x-vault-token": token,
        "x-vault-request": "true",
        ...(namespace === "" ? {} : { "x-vault-namespace": namespace }),
      };
      const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]);
      const response = await fetch(url, { headers, redirect: "error", signal: limit }).catch(() => {
        throw unavailable(name, `is read from ${path} of HashiCorp Vault, which did not answer`);
      });
      if (!response.ok)
        throw unavailable(name, `is read from ${path} of HashiCorp Vault, which answered ${response.status}`);
      const { data, lease_duration: seconds = 0 } = (await response.json()) as Answer;
      const value = valueOf(fieldsOf(data), options.field);
      if (value === null) throw unavailable(name, `is the field ${options.field ?? ""} of ${path}, which has none`);
      return { value, scope, expiresAt: seconds > 0 ? clock.now() + seconds * 1_000 : null } satisfies Credential;
    },
  };
}

/** KV 2 has the secret's fields one level further in, beside their version. */
function fieldsOf(data: Answer["data"]): Readonly<Record<string, unknown>> {
  const inner = data?.["data"];
  const isVersioned = typeof inner === "object" && inner !== null && typeof data?.["metadata"] === "object";
  return isVersioned ? (inner as Readonly<Record<string, unknown>>) : (data ?? {});
}

function valueOf(fields: Readonly<Record<string, unknown>>, field: string | undefined): string | null {
  if (field === undefined) return Object.keys(fields).length === 0 ? null : JSON.stringify(fields);
  const value = fields[field];
  if (typeof value === "string") return value === "" ? null : value;
  return value === undefined || value === null ? null : JSON.stringify(value);
}
