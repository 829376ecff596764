import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { ErrorLink } from "@apollo/client/link/error";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { RetryLink } from "@apollo/client/link/retry";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createHash } from "node:crypto";
import { from, switchMap } from "rxjs";
import { operations } from "./operations.js";
import { session } from "./session.js";
import { socket } from "./socket.js";

// With `persisted`, documents go by their hashes, queries by GET. With a `refreshToken` the login is kept up.
export function open({ url, token, refreshToken, persisted }) {
  const login = session({ url, token, refreshToken });
  const http = authorized(login, refreshToken !== undefined, new HttpLink({ uri: url }));
  // For graphql-ws a 4401 is the end of what ran on the socket: whoever follows asks again.
  const again = new RetryLink({
    delay: { initial: 100, jitter: false },
    attempts: { max: 20, retryIf: (problem) => refreshToken !== undefined && /4401/.test(problem?.message) },
  });
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      again.concat(new GraphQLWsLink(socket({ url, token, login: refreshToken && login }))),
      persisted ? new PersistedQueryLink({ sha256, useGETForHashedQueries: true }).concat(http) : http,
    ),
  });
  return {
    renewals: () => login.renewals,
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

// The token that is good now with each request; who is told that it is not renews it, if that can be, and asks once more.
function authorized(login, canRenew, http) {
  const withToken = new SetContextLink(({ headers }) => ({
    headers: { ...headers, authorization: `Bearer ${login.token}` },
  }));
  const renewing = new ErrorLink(({ error, operation, forward }) => {
    const isOver = error.statusCode === 401 || error.errors?.some((one) => one.extensions?.code === "UNAUTHENTICATED");
    const wasRenewed = operation.getContext().wasRenewed;
    if (isOver && canRenew && !wasRenewed) {
      operation.setContext({ wasRenewed: true });
      return from(login.renew()).pipe(switchMap(() => forward(operation)));
    }
  });
  return ApolloLink.from([renewing, withToken, http]);
}
