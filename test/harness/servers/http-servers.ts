import { createServer, type IncomingHttpHeaders, request, type RequestListener } from "node:http";

/** A small HTTP server of a test on a free port of 127.0.0.1. */
export interface HttpStub extends AsyncDisposable {
  readonly port: number;
}

/** What a request is before it is passed on. */
export interface PassedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** Starts a server that answers as told. */
export async function startHttpStub(answer: RequestListener): Promise<HttpStub> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : 0,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Starts a server that passes every request on to a port of 127.0.0.1, changed: without its conditions, say. */
export async function startForwarder(
  port: number,
  change: (passed: PassedRequest) => PassedRequest,
): Promise<HttpStub> {
  return await startHttpStub((incoming, outgoing) => {
    const passed = change({ path: incoming.url ?? "/", headers: incoming.headers });
    const onward = request({ host: "127.0.0.1", port, method: incoming.method, ...passed }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
}
