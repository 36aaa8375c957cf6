import { MementoError } from "../../core/errors.ts";
import { awsKms } from "./aws-kms.ts";
import { azureKeyVault } from "./azure-key-vault.ts";
import { googleKms } from "./google-kms.ts";
import type { KmsClient } from "./kms-ring.ts";
import { vaultTransit } from "./vault-transit.ts";

const EXAMPLES =
  "aws-kms://KEY, gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K, azure-kv://NAME.vault.azure.net/keys/KEY, or transit://HOST:PORT/MOUNT/KEY";

/**
 * The key that a URL names: `aws-kms://KEY?region=&endpoint=`, `gcp-kms://NAME`, `azure-kv://HOST/keys/KEY`,
 * `transit://HOST:PORT/MOUNT/KEY?tls=false` (`transit:///MOUNT/KEY`: at VAULT_ADDR). A URL never holds a secret:
 * one with a user or with any other parameter is refused, and not repeated in the message. INVALID_ARGUMENT.
 */
export function kmsFromUrl(
  url: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): KmsClient {
  const [, scheme = "", place = "", query = ""] = /^([a-z-]+):\/\/([^?#]*)(?:\?([^#]*))?$/.exec(url) ?? [];
  const parameters = new URLSearchParams(query);
  const path = place.replace(/^\/+/, "");
  if (place.includes("@")) throw refused("holds a user or a password");
  if (path === "") throw refused("names no key");
  const allow = (...names: readonly string[]): void => {
    if ([...parameters.keys()].some((name) => !names.includes(name)))
      throw refused("has a parameter that is not known");
  };
  switch (scheme) {
    case "aws-kms": {
      allow("region", "endpoint");
      const [region, endpoint] = [parameters.get("region"), parameters.get("endpoint")];
      return awsKms({
        keyId: path,
        ...(region === null ? {} : { region }),
        ...(endpoint === null ? {} : { endpoint }),
      });
    }
    case "gcp-kms":
      allow();
      return googleKms({ name: path });
    case "azure-kv":
      allow();
      return azureKeyVault({ keyId: `https://${path}` });
    case "transit":
      allow("tls");
      return transitFrom(place, parameters.get("tls") === "false" ? "http" : "https", environment);
    default:
      throw refused("is of no known kind");
  }
}

function transitFrom(
  place: string,
  protocol: string,
  environment: Readonly<Record<string, string | undefined>>,
): KmsClient {
  const [host = "", ...rest] = place.split("/");
  const key = rest.at(-1) ?? "";
  const mount = rest.slice(0, -1).join("/");
  if (key === "" || mount === "") throw refused("names no mount and key");
  return vaultTransit({ key, mount, environment, ...(host === "" ? {} : { address: `${protocol}://${host}` }) });
}

const refused = (why: string): MementoError =>
  new MementoError("INVALID_ARGUMENT", `The key's URL ${why}`, { hint: `It has the form ${EXAMPLES}.` });
