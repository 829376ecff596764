// Everything over server-sent events, mutations too.

import { createClient } from "graphql-sse";
import { operations } from "./operations.js";

export function open({ url, token }) {
  const client = createClient({
    url,
    headers: { authorization: `Bearer ${token}` },
    retryAttempts: 50,
    retry: () => new Promise((resolve) => setTimeout(resolve, 100)),
  });
  const once = (name, variables) =>
    new Promise((resolve, reject) => {
      let answer;
      client.subscribe(
        { query: operations[name], variables },
        {
          next: (result) => (answer = result),
          error: reject,
          complete: () => (answer.errors ? reject(answer.errors) : resolve(answer.data)),
        },
      );
    });
  return {
    query: once,
    mutate: once,
    subscribe(name, { next, error }) {
      client.subscribe(
        { query: operations[name] },
        { next: (result) => (result.errors ? error(result.errors) : next(result.data)), error, complete() {} },
      );
    },
  };
}
