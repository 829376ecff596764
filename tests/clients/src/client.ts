// A client of one page over what was generated: documents go in, typed results come out.

import { createClient, type SubscribePayload } from "graphql-ws";
import { WebSocket } from "ws";
import type { TypedDocumentString } from "../generated/graphql.js";

export interface Office {
  /** Runs a query or mutation. Throws what the server answered instead of data. */
  run<Result, Variables>(document: TypedDocumentString<Result, Variables>, variables: Variables): Promise<Result>;

  /** Follows a subscription until the loop over it ends. */
  follow<Result, Variables extends Record<string, unknown>>(
    document: TypedDocumentString<Result, Variables>,
    variables: Variables,
  ): AsyncIterableIterator<Result, undefined>;

  close(): Promise<void>;
}

/** With `byHash`, documents are not sent but named, as a server that trusts a list of them takes them too. */
export function office(url: string, token: string, byHash = false): Office {
  const authorization = `Bearer ${token}`;
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: 0,
  });
  const meant = <Result, Variables>(document: TypedDocumentString<Result, Variables>) =>
    byHash ? { query: "", documentId: document.__meta__?.["hash"] } : { query: document.toString() };
  return {
    async run(document, variables) {
      const response = await fetch(url, {
        method: "POST",
        headers: {
          Accept: "application/graphql-response+json",
          Authorization: authorization,
          "Content-Type": "application/json",
        },
        body: JSON.stringify({ ...meant(document), variables }),
      });
      return dataOf(await response.json());
    },

    async *follow<Result, Variables extends Record<string, unknown>>(
      document: TypedDocumentString<Result, Variables>,
      variables: Variables,
    ): AsyncGenerator<Result, undefined> {
      const payload = { ...meant(document), variables } as unknown as SubscribePayload;
      for await (const answer of socket.iterate<Result>(payload)) {
        yield dataOf<Result>(answer);
      }
      return undefined;
    },

    async close() {
      await socket.dispose();
    },
  };
}

function dataOf<Result>(answer: unknown): Result {
  const { data, errors } = answer as { data?: Result; errors?: unknown };
  if (errors !== undefined || data === undefined) {
    throw new Error(JSON.stringify(errors));
  }
  return data;
}
