import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createHash } from "node:crypto";
import { operations } from "./operations.js";
import { socket } from "./socket.js";

// With `persisted`, documents go by their hashes, queries by GET.
export function open({ url, token, persisted }) {
  const http = new HttpLink({ uri: url, headers: { authorization: `Bearer ${token}` } });
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket({ url, token })),
      persisted ? new PersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(http) : http,
    ),
  });
  return {
    async query(name, variables) {
      const { data } = await client.query({ query: gql(operations[name]), variables, fetchPolicy: "network-only" });
      return data;
    },
    async mutate(name, variables) {
      const { data } = await client.mutate({ mutation: gql(operations[name]), variables });
      return data;
    },
    subscribe(name, { next, error }) {
      client.subscribe({ query: gql(operations[name]), fetchPolicy: "no-cache" }).subscribe({
        next: (result) => (result.error ? error(result.error) : next(result.data)),
        error,
      });
    },
  };
}
