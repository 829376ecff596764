// A login that is kept up: the access token that is good now, and one renewal for all who need it at the same moment.

const RENEW = `
  mutation ($token: String!) {
    refreshToken(token: $token) {
      __typename
      ... on SignedIn { accessToken refreshToken }
      ... on Refusal { message }
    }
  }`;

export function session({ url, token, refreshToken }) {
  let renewing;
  const login = {
    token,
    renewals: 0,
    renew: () => (renewing ??= exchange().finally(() => (renewing = undefined))),
  };

  async function exchange() {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: RENEW, variables: { token: refreshToken } }),
    });
    const answer = (await response.json()).data.refreshToken;
    if (answer.__typename !== "SignedIn") {
      throw new Error(answer.message);
    }
    login.token = answer.accessToken;
    login.renewals += 1;
    refreshToken = answer.refreshToken;
  }

  return login;
}
