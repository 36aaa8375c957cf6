import type { MementoError } from "../../core/errors.ts";
import { failureOfAnswer } from "../blobs/service-failure.ts";

/** Of @azure/identity, where it finds no account or is refused one. */
const NO_CREDENTIALS = new Set(["CredentialUnavailableError", "AuthenticationError", "AggregateAuthenticationError"]);

/** Refusals that come with another status than 401 and 403. */
const REFUSED = new Set(["InvalidAuthenticationInfo", "PublicAccessNotPermitted", "NoAuthenticationInformation"]);

const HINTS = {
  ACCESS_DENIED:
    "Check AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; a signature needs read, add, create, write, delete and list (racwdl), an identity the role Storage Blob Data Contributor.",
  PLACE_MISSING: "Make the container, or correct the account, the container's name or the endpoint.",
} as const;

/** What an error of @azure/storage-blob is in our words; `secrets` are never shown. */
export function azureFailure(error: unknown, doing: string, secrets: readonly string[]): MementoError {
  const facts = error instanceof Error ? (error as Error & { code?: unknown; statusCode?: unknown }) : null;
  const status = typeof facts?.statusCode === "number" ? facts.statusCode : null;
  const code = typeof facts?.code === "string" ? facts.code : null;
  return failureOfAnswer({
    doing,
    status,
    code: code ?? (facts?.name === "AbortError" ? "ABORT_ERR" : null),
    message: facts === null ? String(error) : facts.message,
    placeMissing: code === "ContainerNotFound" || code === "ContainerBeingDeleted",
    noCredentials: NO_CREDENTIALS.has(facts?.name ?? "") || REFUSED.has(code ?? ""),
    secrets,
    hints: HINTS,
  });
}
