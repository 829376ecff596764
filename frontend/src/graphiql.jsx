/** GraphiQL over this server's /graphql. */

import "graphiql/style.css";
import "./page.css";
import "./workers.js";
import { GraphiQL } from "graphiql";
import { useEffect, useMemo, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { buildBar } from "./bar.js";
import { createFetcher } from "./fetcher.js";
import { FIRST_TABS } from "./operations.js";
import { isFirstVisit, storage } from "./storage.js";
import { onTokenChange } from "./token.js";

function Page({ url, bar }) {
  const [round, setRound] = useState(0);
  const schemaIsKnown = useRef(false);
  const renew = () => setRound((number) => number + 1);
  useEffect(() => onTokenChange(renew), []);

  // GraphiQL reads the schema whenever it is given another fetcher: for a new token, and when a token in the headers
  // editor turned out to be good while the schema is still missing.
  const fetcher = useMemo(() => {
    function accepted(authorization, isIntrospection) {
      bar.accepted(authorization);
      if (authorization && !isIntrospection && !schemaIsKnown.current) renew();
    }
    const lost = () => bar.say("The connection was lost; trying again.", "problem");
    return createFetcher(url, { accepted, refused: bar.refused, lost });
  }, [round]);

  return (
    <GraphiQL
      fetcher={fetcher}
      onSchemaChange={() => (schemaIsKnown.current = true)}
      defaultTabs={FIRST_TABS}
      initialVariables={isFirstVisit ? FIRST_TABS[0].variables : undefined} // defaultTabs alone fill later tabs only
      defaultEditorToolsVisibility="variables"
      inputValueDeprecation
      schemaDescription
      shouldPersistHeaders={false}
      storage={storage}
    >
      <GraphiQL.Logo>
        <span />
      </GraphiQL.Logo>
    </GraphiQL>
  );
}

const place = document.getElementById("page");
const url = new URL(place.dataset.endpoint, location.href).href;
createRoot(place).render(<Page url={url} bar={buildBar()} />);
