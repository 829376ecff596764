// graphql-ws, as the documentation of the clients that build on it says; it comes back at once when it is cut off.

import { createClient } from "graphql-ws";
import { WebSocket } from "ws";

export function socket({ url, token }) {
  return createClient({
    url: url.replace(/^http/, "ws"),
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: 50,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
    shouldRetry: () => true,
  });
}

// Who observes is told of a closed socket in the words of its close frame.
export function told(problem) {
  return problem instanceof Error || Array.isArray(problem)
    ? problem
    : Object.assign(new Error(problem.reason), { code: problem.code });
}
