// graphql-ws, as the documentation of the clients that build on it says; it comes back at once when it is cut off.

import { createClient } from "graphql-ws";
import { WebSocket } from "ws";

const TOKEN_ENDED = [4401, 4403];

// With a `login` (session.js) it comes in with a token that is good: after a 4401 or a 4403 it renews it first.
export function socket({ url, token, login }) {
  let isStale = false;
  return createClient({
    url: url.replace(/^http/, "ws"),
    webSocketImpl: WebSocket,
    async connectionParams() {
      if (isStale) {
        await login.renew();
        isStale = false;
      }
      return { authorization: `Bearer ${login?.token ?? token}` };
    },
    on: {
      closed: ({ code }) => (isStale = login !== undefined && TOKEN_ENDED.includes(code)),
    },
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
