import { MementoError } from "../../core/errors.ts";

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

const PARAMETERS = ["endpoint", "region", "pathStyle"] as const;

/**
 * Reads `s3://BUCKET/PREFIX?endpoint=URL&region=NAME&pathStyle=true`. With an endpoint, the bucket stands in the path unless
 * `pathStyle=false`. Credentials are never part of it: the SDK finds them (environment, profile, role).
 *
 * INVALID_ARGUMENT for anything else; what may be a secret is not repeated.
 */
export function readS3Url(text: string): S3Address {
  const url = URL.parse(text);
  if (url?.protocol !== "s3:") throw invalid("it is not of the form s3://BUCKET/PREFIX?endpoint=URL&region=NAME");
  if (url.username !== "" || url.password !== "") throw invalid("credentials do not belong into it");
  const unknown = [...url.searchParams.keys()].find((name) => !PARAMETERS.some((known) => known === name));
  if (unknown !== undefined) {
    const taken = `it takes ${PARAMETERS.join(", ")}, and no credentials`;
    throw invalid(`it has the parameter ${JSON.stringify(unknown.slice(0, 40))}; ${taken}`);
  }
  const endpoint = url.searchParams.get("endpoint") ?? undefined;
  return checkS3Address({
    bucket: url.host,
    prefix: decodeURIComponent(url.pathname),
    endpoint,
    region: url.searchParams.get("region") ?? undefined,
    pathStyle: pathStyleOf(url.searchParams.get("pathStyle"), endpoint),
  });
}

/** An address with its prefix in order. INVALID_ARGUMENT for a bucket, prefix or endpoint that cannot be. */
export function checkS3Address(address: S3Address): S3Address {
  const prefix = address.prefix.replace(/^\/+|\/+$/g, "");
  if (!/^[0-9A-Za-z][0-9A-Za-z._-]{1,254}$/.test(address.bucket)) throw invalid("it names no bucket");
  const segments = prefix === "" ? [] : prefix.split("/");
  if (Buffer.byteLength(prefix) > 700 || segments.some((segment) => ["", ".", ".."].includes(segment))) {
    throw invalid("its prefix has an empty segment, `.` or `..`, or is longer than 700 bytes");
  }
  if (address.endpoint !== undefined) checkEndpoint(address.endpoint);
  return { ...address, prefix };
}

/** The address as a URL for people: `readS3Url` reads it again. */
export function s3UrlOf({ bucket, prefix, endpoint, region, pathStyle }: S3Address): string {
  const parameters = new URLSearchParams();
  if (endpoint !== undefined) parameters.set("endpoint", endpoint);
  if (region !== undefined) parameters.set("region", region);
  if (pathStyle !== (endpoint !== undefined)) parameters.set("pathStyle", String(pathStyle));
  const path = prefix.split("/").map(encodeURIComponent).join("/");
  return `s3://${bucket}${path === "" ? "" : `/${path}`}${parameters.size === 0 ? "" : `?${parameters}`}`;
}

function checkEndpoint(endpoint: string): void {
  const url = URL.parse(endpoint);
  if (url === null || !["http:", "https:"].includes(url.protocol)) throw invalid("its endpoint is no http or https URL");
  if (url.username !== "" || url.password !== "") throw invalid("credentials do not belong into its endpoint");
  if (url.search !== "") throw invalid("its endpoint has parameters of its own");
}

function pathStyleOf(text: string | null, endpoint: string | undefined): boolean {
  if (text === null) return endpoint !== undefined;
  if (text !== "true" && text !== "false") throw invalid("its pathStyle is neither true nor false");
  return text === "true";
}

function invalid(problem: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", `The URL of a store on S3 cannot be used: ${problem}`);
}
