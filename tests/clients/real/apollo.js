import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { operations } from "./operations.js";
import { socket } from "./socket.js";

export function open({ url, token }) {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket({ url, token })),
      new HttpLink({ uri: url, headers: { authorization: `Bearer ${token}` } }),
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
