/** Where GraphiQL remembers tabs and history: localStorage, without the headers, since they may hold a token. */

const WITH_HEADERS = ["graphiql:queries", "graphiql:favorites"];

export const isFirstVisit = localStorage.getItem("graphiql:tabState") === null;

export const storage = {
  get length() {
    return localStorage.length;
  },
  key: (index) => localStorage.key(index),
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, value) => localStorage.setItem(key, WITH_HEADERS.includes(key) ? withoutHeaders(value) : value),
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => localStorage.clear(),
};

function withoutHeaders(json) {
  return JSON.stringify(JSON.parse(json, (key, value) => (key === "headers" ? undefined : value)));
}
