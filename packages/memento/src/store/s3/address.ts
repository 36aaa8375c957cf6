import { MementoError } from "../../core/errors.ts";
import { endpointOf, parseObjectUrl, segmentsOf, shownUrl } from "../blobs/object-url.ts";

/** Where a store lies, as an `s3:` URL says it. */
export interface S3Address {
  readonly bucket: string;
  /** What stands before every key, without `/` at either end. */
  readonly prefix: string;
  /** Another server than Amazon's; undefined: the SDK's own choice. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  /** True: the bucket stands in the path and not in the host's name. */
  readonly pathStyle: boolean;
}

const PARAMETERS = ["endpoint", "region", "pathStyle"];

/**
 * Reads `s3://BUCKET/PREFIX?endpoint=URL&region=NAME&pathStyle=true`. With an endpoint, the bucket stands in the path unless
 * `pathStyle=false`. Credentials are never part of it: the SDK finds them (environment, profile, role).
 *
 * INVALID_ARGUMENT for anything else; what may be a secret is not repeated.
 */
export function readS3Url(text: string): S3Address {
  const { host: bucket, segments, parameters } = parseObjectUrl(text, "s3", PARAMETERS);
  const [endpoint, region] = [parameters.get("endpoint"), parameters.get("region")];
  const pathStyle = parameters.get("pathStyle") ?? String(endpoint !== undefined);
  if (pathStyle !== "true" && pathStyle !== "false") throw invalid("The pathStyle of an s3: URL is true or false");
  return checkS3Address({ bucket, prefix: segments.join("/"), endpoint, region, pathStyle: pathStyle === "true" });
}

/** An address in order. INVALID_ARGUMENT for a bucket, prefix or endpoint that cannot be. */
export function checkS3Address(address: S3Address): S3Address {
  const prefix = segmentsOf(address.prefix).join("/");
  if (!/^[0-9A-Za-z][0-9A-Za-z._-]{1,254}$/.test(address.bucket)) {
    throw invalid("A bucket's name has letters, digits, dots, dashes and underscores");
  }
  // With the longest key of a store that is what S3 takes, 1,024 bytes.
  if (Buffer.byteLength(prefix) > 700) throw invalid("A store's prefix has 700 bytes at most");
  const { endpoint } = address;
  return { ...address, prefix, endpoint: endpoint === undefined ? undefined : endpointOf(endpoint) };
}

/** The address as a URL for people: `readS3Url` reads it again. */
export function s3UrlOf({ bucket, prefix, endpoint, region, pathStyle }: S3Address): string {
  const isUsual = pathStyle === (endpoint !== undefined);
  const parameters = { endpoint, region, pathStyle: isUsual ? undefined : String(pathStyle) };
  return shownUrl("s3", [bucket, ...segmentsOf(prefix)], parameters);
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
