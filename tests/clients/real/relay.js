import {
  Environment,
  Network,
  Observable,
  RecordSource,
  Store,
  commitMutation,
  fetchQuery,
  requestSubscription,
} from "relay-runtime";
import desks from "../compiled/officeDesksQuery.graphql.js";
import follow from "../compiled/officeFollowSubscription.graphql.js";
import occupy from "../compiled/officeOccupyMutation.graphql.js";
import tooMany from "../compiled/officeTooManyQuery.graphql.js";
import { socket, told } from "./socket.js";

const compiled = { desks, follow, occupy, tooMany };

export function open({ url, token }) {
  const ws = socket({ url, token });
  const environment = new Environment({
    network: Network.create(
      async ({ text }, variables) => {
        const response = await fetch(url, {
          method: "POST",
          headers: {
            accept: "application/graphql-response+json, application/json;q=0.9",
            authorization: `Bearer ${token}`,
            "content-type": "application/json",
          },
          body: JSON.stringify({ query: text, variables }),
        });
        return response.json();
      },
      ({ text, name }, variables) =>
        Observable.create((sink) =>
          ws.subscribe(
            { operationName: name, query: text, variables },
            { ...sink, next: sink.next, error: (problem) => sink.error(told(problem)), complete: sink.complete },
          ),
        ),
    ),
    store: new Store(new RecordSource()),
  });
  return {
    query: (name, variables) => fetchQuery(environment, compiled[name], variables ?? {}).toPromise(),
    mutate: (name, variables) =>
      new Promise((resolve, reject) => {
        commitMutation(environment, { mutation: compiled[name], variables, onCompleted: resolve, onError: reject });
      }),
    subscribe(name, { next, error }) {
      requestSubscription(environment, { subscription: compiled[name], variables: {}, onNext: next, onError: error });
    },
  };
}
